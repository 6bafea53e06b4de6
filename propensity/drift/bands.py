"""The bands that people know: the population stability index (PSI) per column of all rows against 0.1 and 0.2, and the KS distance.

Verdict of a column: ``drift`` where its PSI or its missing share reaches the alert bound that the campaign declares, ``warning`` by the
warn bounds, else ``stable``. Two bounds are not taken as declared. A PSI bound is never below what chance alone exceeds once in a
thousand windows of that size: with fifty rows, twelve categories often give a PSI above 0.2 without any change. A missing share is bounded
above that of the reference: a column that is half empty by nature has not drifted. The bounds stored with each value are those used.

Verdict of a run: ``no_data`` without rows; ``drift`` where the share of drifted columns or the PSI of the predictions reaches its alert
bound; ``warning`` where one of these reaches its warn bound or any column is not stable; else ``stable``.

These verdicts are for the eye. Whether somebody is called is decided by `propensity.drift.alarms`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from propensity.campaign import Campaign, Categorical, Feature, Monitor
from propensity.drift.bins import Column, Counts, FloatArray, as_numbers, bins_of, numeric_bins
from propensity.drift.counted import PREDICTION, ColumnReference, Counted, Reference, count_table, reference_of
from propensity.errors import DataError
from propensity.ports import MonitorMetric
from propensity.schema import Table

NO_DATA, STABLE, WARNING, DRIFT = "no_data", "stable", "warning", "drift"
VERDICTS = (STABLE, WARNING, DRIFT)
PSI, SHARE, KS, KS_P = "numpy_psi", "numpy_share", "ks_at_cuts", "kolmogorov"
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
    known = reference_of(campaign, reference, reference_scores)
    return compare_counts(campaign, known, count_table(known, current, current_scores))


def compare_counts(campaign: Campaign, reference: Reference, window: Counted) -> Drift:
    """`compare`, of what was counted. Raises DataError where the window has no row."""
    if not window.rows:
        raise DataError("drift needs rows on both sides: a window without rows has the verdict no_data")
    metrics, columns = [], {}
    for feature in campaign.features:
        found = list(_column(campaign, feature, reference.columns[feature.name], window.columns[feature.name].sum(axis=0)))
        metrics += found
        columns[feature.name] = worst([metric.verdict for metric in found])
    drifted_share = float(np.mean([verdict == DRIFT for verdict in columns.values()]))
    scores, now = reference.columns[PREDICTION], window.columns[PREDICTION].sum(axis=0)
    prediction = psi(scores.coarse, scores.bins.coarsen(now))
    run = [
        judged(None, "prediction_psi", PSI, prediction.value, campaign.monitor("prediction_psi"), at_least=prediction.chance),
        judged(None, "drifted_share", SHARE, drifted_share, campaign.monitor("drifted_share")),
    ]
    return Drift(
        run_verdict(run, list(columns.values())), columns, drifted_share, prediction.value, (*run, *_ks(None, scores, now), *metrics)
    )


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


def _column(campaign: Campaign, feature: Feature, reference: ColumnReference, now: Counts) -> Iterator[MonitorMetric]:
    found = psi(reference.coarse, reference.bins.coarsen(now))
    yield judged(feature.name, "psi", PSI, found.value, campaign.monitor("psi"), at_least=found.chance)
    missing, usual = float(now[-1] / now.sum()), reference.missing_share
    yield judged(feature.name, "missing_share", SHARE, missing, campaign.monitor("missing_share"), above=usual)
    if reference.bins.ordered:
        yield from _ks(feature.name, reference, now)


def _ks(column: str | None, reference: ColumnReference, now: Counts) -> Iterator[MonitorMetric]:
    """The KS distance and its p-value, for the eye. The true distance is at most the largest share of a fine bin above the value."""
    distance, chance = ks(reference.fine, now)
    error = float(max(np.max(side[:-1]) / max(1, side[:-1].sum()) for side in (reference.fine, now)))
    yield MonitorMetric(column, "ks", KS, distance, None, None, STABLE, low=distance, high=min(1.0, distance + error))
    yield MonitorMetric(column, "ks_p_value", KS_P, chance, None, None, STABLE)


def ks(reference: Counts, current: Counts) -> tuple[float, float]:
    """The largest distance between the two distribution functions at the cuts, and Kolmogorov's p-value of it (independent rows).

    The last bin, "missing", is left out; (0, 1) where a side has no value.
    """
    from scipy import special

    before, now = reference[:-1], current[:-1]
    n, m = int(before.sum()), int(now.sum())
    if not n or not m:
        return 0.0, 1.0
    distance = float(np.abs(np.cumsum(before) / n - np.cumsum(now) / m).max())
    return distance, float(special.kolmogorov(distance * np.sqrt(n * m / (n + m))))


def missing_share(feature: Feature, column: Column) -> float:
    """Share of the rows without a value, 0 to 1."""
    return float(np.mean(np.less(column, 0) if isinstance(feature, Categorical) else np.isnan(column)))


def psi_column(feature: Feature, reference: Column, current: Column) -> Psi:
    """PSI of one column of two tables; "missing" is a bin."""
    bins = bins_of(feature, reference)
    return psi(*(bins.coarsen(bins.count(as_numbers(side))) for side in (reference, current)))


def psi_numeric(reference: FloatArray, current: FloatArray) -> Psi:
    """PSI of numbers, NaN meaning missing, over the bins that the reference decides."""
    bins = numeric_bins(reference)
    return psi(*(bins.coarsen(bins.count(side)) for side in (reference, current)))


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
