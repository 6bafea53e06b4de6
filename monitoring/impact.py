"""What a change of customers is worth: expected profit under the present policy, customers of the window against those of the reference.

Per 1,000 customers, by the model's own scores: the sum of (score x conversion value - contact cost) over those that the campaign's policy
picks. That is what the change of customers costs or brings while the model stays right about each of them; where it is no longer right,
outcomes show it. The impact of one column: the same rows, with this column's values drawn from the reference instead, whatever else they
hold; columns that move together are not separated by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitoring.evidently_report import Side
from propensity.campaign import Campaign
from propensity.decision import decide
from propensity.model import Model
from propensity.ports import MonitorMetric
from propensity.scoring import raw_features, table_from_raw

FloatArray = npt.NDArray[np.float64]
METHOD, SWAPPED = "expected_by_score", "expected_with_reference_values"
SAMPLE_ROWS = 2_000
_SEED = 0
_Z = 1.96


@dataclass(frozen=True)
class Impact:
    """Money in the campaign's currency per 1,000 customers: of the reference, of the window, and the change that each column makes.

    ``shares`` are the changes over the expected profit of the reference.
    """

    reference: float
    window: float
    columns: dict[str, float]
    shares: dict[str, float]
    metrics: tuple[MonitorMetric, ...]


def impact(campaign: Campaign, model: Model, reference: Side, current: Side, rows: int) -> Impact:
    """The impact of a window of ``rows`` customers, of which ``current`` is a uniform sample, as ``reference`` is of the training rows."""
    before, now = (_per_customer(campaign, side.scores) for side in (reference, current))
    change, half = float(now.mean() - before.mean()), _Z * float(np.hypot(_error(before), _error(now)))
    base = float(before.mean())
    columns = _columns(campaign, model, reference, current)
    metrics = [
        _metric("expected_profit_per_1000", METHOD, 1000 * float(now.mean()), 1000 * _Z * _error(now), len(now)),
        _metric("reference_profit_per_1000", METHOD, 1000 * base, 1000 * _Z * _error(before), len(before)),
        _metric("impact_per_1000", METHOD, 1000 * change, 1000 * half, len(now)),
        _metric("impact", METHOD, rows * change, rows * half, len(now)),
        *(
            _metric("impact_per_1000", SWAPPED, 1000 * by.mean(), 1000 * _Z * _error(by), len(by), column=name)
            for name, by in columns.items()
        ),
    ]
    means = {name: 1000 * float(by.mean()) for name, by in columns.items()}
    # Where the reference earns nothing, what one customer costs is the measure.
    per = 1000 * (base if base > 0 else float(campaign.economics.contact_cost))
    return Impact(1000 * base, 1000 * float(now.mean()), means, {name: mean / per for name, mean in means.items()}, tuple(metrics))


def _per_customer(campaign: Campaign, scores: FloatArray) -> FloatArray:
    """Expected profit of each customer, 0 for those whom the policy leaves out."""
    decision = decide(scores, campaign.policy, campaign.economics)
    return np.where(decision.contact, decision.expected_profit, 0.0)


def _columns(campaign: Campaign, model: Model, reference: Side, current: Side) -> dict[str, FloatArray]:
    """By column: what each customer's own value changes against a value of the reference."""
    rng = np.random.default_rng(_SEED)
    now = np.array(raw_features(current.table)[:SAMPLE_ROWS], order="F")
    drawn = raw_features(reference.table)[rng.integers(0, len(reference.table), len(now))]
    own = _profits(campaign, model, now)
    found = {}
    for at, name in enumerate(campaign.feature_names):
        kept = now[:, at].copy()
        now[:, at] = drawn[:, at]
        found[name] = own - _profits(campaign, model, now)
        now[:, at] = kept
    return found


def _profits(campaign: Campaign, model: Model, raw: FloatArray) -> FloatArray:
    n = len(raw)
    return _per_customer(campaign, model.score(table_from_raw(campaign, raw.copy(), ("",) * n, np.arange(1, n + 1))))


def _error(values: Sequence[float] | FloatArray) -> float:
    """Standard error of a mean of independent rows."""
    return float(np.std(values) / np.sqrt(max(1, len(values))))


def _metric(metric: str, method: str, value: float, half: float, rows: int, *, column: str | None = None) -> MonitorMetric:
    return MonitorMetric(column, metric, method, float(value), None, None, "stable", float(value - half), float(value + half), float(rows))
