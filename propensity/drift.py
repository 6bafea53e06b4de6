"""Whether the rows of a window still look like those that a model learned from.

The number is the population stability index (PSI) per column, of all rows, over bins that the reference decides:

- every category is a bin, and so is "missing";
- a number with few distinct values in the reference has a bin per value and one for each gap between them, so that a constant column
  (bins by quantile would be a single one, and its PSI zero for ever) shows any other value;
- any other number is cut at the deciles of the reference; a value that fills more than one decile has a bin of its own.

Verdict of a column: ``drift`` where its PSI or its missing share reaches the alert bound that the campaign declares, ``warning`` by the
warn bounds, else ``stable``. Two bounds are not taken as declared. A PSI bound is never below what chance alone exceeds once in a
thousand windows of that size: with fifty rows, twelve categories often give a PSI above 0.2 without any change. A missing share is bounded
above that of the reference: a column that is half empty by nature has not drifted. The bounds stored with each value are those used.

Verdict of a run: ``no_data`` without rows; ``drift`` where the share of drifted columns or the PSI of the predictions reaches its alert
bound; ``warning`` where one of these reaches its warn bound or any column is not stable; else ``stable``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign, Categorical, Feature, Monitor
from propensity.errors import DataError
from propensity.ports import MonitorMetric
from propensity.schema import CodeArray, Table

FloatArray = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Column = FloatArray | CodeArray
NO_DATA, STABLE, WARNING, DRIFT = "no_data", "stable", "warning", "drift"
VERDICTS = (STABLE, WARNING, DRIFT)
PSI, SHARE = "numpy_psi", "numpy_share"
BINS = 10
FEW_VALUES = 20
# Normal quantile of one in a thousand.
_RARE = 3.0902


@dataclass(frozen=True, slots=True)
class Psi:
    """A population stability index (0: same, higher: more different) and ``chance``, what one in a thousand unchanged samples exceeds."""

    value: float
    chance: float


@dataclass(frozen=True)
class Drift:
    """The comparison of a window with its reference.

    Attributes
    ----------
    columns : mapping of feature name to verdict
    drifted_share : float
        Share of the features whose verdict is ``drift``.
    """

    verdict: str
    columns: dict[str, str]
    drifted_share: float
    prediction_psi: float
    metrics: tuple[MonitorMetric, ...]


def compare(campaign: Campaign, reference: Table, current: Table, reference_scores: FloatArray, current_scores: FloatArray) -> Drift:
    """Compare all rows of a window with all rows of the reference, by the rule at the top of this module.

    Raises DataError where either side is empty: there is nothing to compare, and that is not "no drift".
    """
    if not len(reference) or not len(current):
        raise DataError("drift needs rows on both sides: a window without rows has the verdict no_data")
    metrics, columns = [], {}
    for feature in campaign.features:
        found = list(_column(campaign, feature, reference, current))
        metrics += found
        columns[feature.name] = worst([metric.verdict for metric in found])
    drifted_share = float(np.mean([verdict == DRIFT for verdict in columns.values()]))
    prediction = psi_numeric(reference_scores, current_scores)
    run = [
        judged(None, "prediction_psi", PSI, prediction.value, campaign.monitor("prediction_psi"), at_least=prediction.chance),
        judged(None, "drifted_share", SHARE, drifted_share, campaign.monitor("drifted_share")),
    ]
    return Drift(run_verdict(run, list(columns.values())), columns, drifted_share, prediction.value, (*run, *metrics))


def run_verdict(run: Sequence[MonitorMetric], columns: Sequence[str]) -> str:
    """The verdict of a run from its prediction PSI and drifted share, and the verdicts of its columns."""
    if any(metric.verdict == DRIFT for metric in run):
        return DRIFT
    return STABLE if {*columns, *(metric.verdict for metric in run)} <= {STABLE} else WARNING


def worst(verdicts: Sequence[str]) -> str:
    """The gravest of some verdicts; ``stable`` where there is none."""
    return max(verdicts, key=VERDICTS.index, default=STABLE)


def judged(
    column: str | None, metric: str, method: str, value: float, bounds: Monitor | None, *, at_least: float = 0.0, above: float = 0.0
) -> MonitorMetric:
    """A number with the verdict that the bounds give it: ``stable`` where the campaign watches no such number.

    The bounds used are those declared plus ``above``, and never below ``at_least``.
    """
    if bounds is None:
        return MonitorMetric(column, metric, method, value, None, None, STABLE)
    warn, alert = (max(bound + above, at_least) for bound in (bounds.warn, bounds.alert))
    verdict = DRIFT if value >= alert else WARNING if value >= warn else STABLE
    return MonitorMetric(column, metric, method, value, warn, alert, verdict)


def _column(campaign: Campaign, feature: Feature, reference: Table, current: Table) -> Iterator[MonitorMetric]:
    before, now = reference.columns[feature.name], current.columns[feature.name]
    psi = psi_column(feature, before, now)
    yield judged(feature.name, "psi", PSI, psi.value, campaign.monitor("psi"), at_least=psi.chance)
    usual = missing_share(feature, before)
    yield judged(feature.name, "missing_share", SHARE, missing_share(feature, now), campaign.monitor("missing_share"), above=usual)


def missing_share(feature: Feature, column: Column) -> float:
    """Share of the rows without a value, 0 to 1."""
    return float(np.mean(np.less(column, 0) if isinstance(feature, Categorical) else np.isnan(column)))


def psi_column(feature: Feature, reference: Column, current: Column) -> Psi:
    """PSI of one column of two tables; "missing" is a bin."""
    if isinstance(feature, Categorical):
        bins = len(feature.values) + 1
        return psi(np.bincount(reference + 1, minlength=bins), np.bincount(current + 1, minlength=bins))
    return psi_numeric(np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64))


def psi_numeric(reference: FloatArray, current: FloatArray) -> Psi:
    """PSI of numbers, NaN meaning missing, over the bins that the reference decides."""
    cuts = _cuts(reference[~np.isnan(reference)])
    return psi(_histogram(reference, cuts), _histogram(current, cuts))


def psi(reference: Counts, current: Counts) -> Psi:
    """PSI of two histograms over the same bins, half a row added to every bin that either side fills.

    Source: Siddiqi, "Credit risk scorecards", 2006, chapter 9. Without a change the PSI of n and m rows in b bins is distributed like
    (1/n + 1/m) times chi-squared with b - 1 degrees of freedom: Yurdakul and Naranjo, "Statistical properties of the population
    stability index", Journal of Risk Model Validation 14, 2020.
    """
    filled = (reference + current) > 0
    before, now = reference[filled] + 0.5, current[filled] + 0.5
    p, q = before / before.sum(), now / now.sum()
    noise = 1 / reference.sum() + 1 / current.sum()
    return Psi(float(np.sum((q - p) * np.log(q / p))), float(noise * _chi_squared(int(filled.sum()) - 1)))


def _chi_squared(freedom: int) -> float:
    """What chi-squared exceeds once in a thousand (Wilson and Hilferty, "The distribution of chi-square", 1931)."""
    if freedom < 1:
        return 0.0
    part = 2 / (9 * freedom)
    return float(freedom * (1 - part + _RARE * np.sqrt(part)) ** 3)


def _cuts(known: FloatArray) -> FloatArray:
    """Where bins begin, ascending; a pair (v, next number after v) gives the value v a bin of its own."""
    if not len(known):
        return np.empty(0)
    own = np.unique(known)
    between = np.empty(0)
    if len(own) > FEW_VALUES:
        edges = np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="lower")
        between, times = np.unique(edges, return_counts=True)
        own = between[times > 1]
    return np.unique(np.concatenate([between, own, np.nextafter(own, np.inf)]))


def _histogram(values: FloatArray, cuts: FloatArray) -> Counts:
    """Rows per bin, shape (cuts + 2,); the last bin is "missing"."""
    at = np.where(np.isnan(values), len(cuts) + 1, np.searchsorted(cuts, values, side="right"))
    return np.bincount(at, minlength=len(cuts) + 2).astype(np.int64)
