"""Rates and results by group of the columns that a campaign declares as segments or protected. Small groups are never told.

Per group: ``contact_rate``, ``mean_score``; with outcomes ``true_positive_rate`` (share of those who answered yes that were contacted) and
``calibration_gap`` (mean score less share of yes). Of a protected column also the smallest rate over the largest, ``contact_rate_ratio``
and ``true_positive_rate_ratio`` (the four-fifths rule of the US Uniform Guidelines, 1978, takes 0.8 as the least), and
``calibration_spread``, the largest gap less the smallest. Intervals hold for 95 % of samples of independent rows: Wilson, "Probable
inference", Journal of the American Statistical Association 22, 1927, of a rate; the normal one of a mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign, Categorical
from propensity.ports import MonitorMetric

FloatArray = npt.NDArray[np.float64]
RATE, MEAN, RATIO, SPREAD, COUNT = "wilson", "normal", "min_over_max", "max_less_min", "count"
MISSING = "(missing)"
_Z = 1.96
# What is added up per group.
_ROWS, _CONTACTS, _SCORES, _SQUARES, _KNOWN, _YES, _HIT, _KNOWN_SCORES, _NOISE = range(9)


@dataclass(frozen=True)
class Grouping:
    """How the rows of one column fall into groups. Numbers are cut at ``cuts``, the quartiles of the reference."""

    name: str
    labels: tuple[str, ...]
    cuts: FloatArray | None

    def positions(self, values: FloatArray) -> npt.NDArray[np.intp]:
        """The group of each value, NaN meaning missing, which is the last."""
        missing = np.isnan(values)
        known = values if self.cuts is None else np.searchsorted(self.cuts, values, side="right")
        return np.where(missing, len(self.labels) - 1, known).astype(np.intp)


def groupings(campaign: Campaign, reference: Mapping[str, FloatArray]) -> list[Grouping]:
    """The groups of every declared column, given its values in the reference."""
    found = []
    for name in campaign.watch.grouped:
        feature = campaign.feature(name)
        if isinstance(feature, Categorical):
            found.append(Grouping(name, (*(str(value) for value in feature.values), MISSING), None))
            continue
        known = reference[name][~np.isnan(reference[name])]
        cuts = np.unique(np.quantile(known, [0.25, 0.5, 0.75], method="lower")) if len(known) else np.empty(0)
        labels = _bands([f"{cut:g}" for cut in cuts])
        found.append(Grouping(name, (*labels, MISSING), cuts))
    return found


def _bands(edges: list[str]) -> list[str]:
    """What the bands between some cuts are called."""
    if not edges:
        return ["all"]
    return [f"below {edges[0]}", *(f"{low} to below {high}" for low, high in pairwise(edges)), f"from {edges[-1]}"]


@dataclass
class GroupSums:
    """What is added up about the groups of one column."""

    grouping: Grouping
    sums: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self.sums = np.zeros((9, len(self.grouping.labels)))

    def add(
        self, values: FloatArray, scores: FloatArray, contact: npt.NDArray[np.bool_], label: npt.NDArray[np.float64] | None = None
    ) -> None:
        """Add rows; ``label`` is 1, 0, or NaN where the outcome is not known."""
        at, size = self.grouping.positions(values), self.sums.shape[1]
        told: list[FloatArray | None] = [None, contact.astype(np.float64), scores, scores**2]
        if label is not None:
            known = ~np.isnan(label)
            yes = np.where(known, label, 0.0)
            known_scores = np.where(known, scores, 0.0)
            told += [known.astype(np.float64), yes, yes * contact, known_scores, known_scores * (1 - known_scores)]
        for row, weights in enumerate(told):
            self.sums[row] += np.bincount(at, weights=weights, minlength=size)


def contact_metrics(campaign: Campaign, sums: GroupSums) -> Iterator[MonitorMetric]:
    """Contact rates and mean scores by group, before any outcome."""
    least, protected = campaign.watch.smallest_group, sums.grouping.name in campaign.watch.protected
    held = sums.sums
    rates = []
    for at in _told(held[_ROWS], least):
        n, contacts = held[_ROWS, at], held[_CONTACTS, at]
        rates.append(contacts / n)
        yield _rate(sums.grouping, at, "contact_rate", contacts, n)
        mean = held[_SCORES, at] / n
        half = _Z * float(np.sqrt(max(0.0, held[_SQUARES, at] / n - mean**2) / n))
        yield _of_group(sums.grouping, at, "mean_score", MEAN, mean, (mean - half, mean + half), n)
    yield _suppressed(sums.grouping.name, held[_ROWS], least)
    if protected and len(rates) > 1 and max(rates) > 0:
        yield _whole(sums.grouping.name, "contact_rate_ratio", RATIO, min(rates) / max(rates), float(held[_ROWS].sum()))


def outcome_metrics(campaign: Campaign, sums: GroupSums) -> Iterator[MonitorMetric]:
    """True positive rates and calibration by group, of the rows whose outcome is known."""
    name, least, held = sums.grouping.name, campaign.watch.smallest_group, sums.sums
    rates, gaps = [], []
    for at in _told(held[_KNOWN], least):
        n = held[_KNOWN, at]
        gap = (held[_KNOWN_SCORES, at] - held[_YES, at]) / n
        # The spread of the number of yes where the scores are right.
        half = _Z * float(np.sqrt(held[_NOISE, at])) / n
        gaps.append(gap)
        yield _of_group(sums.grouping, at, "calibration_gap", MEAN, gap, (gap - half, gap + half), n)
        if held[_YES, at] >= least:
            rates.append(held[_HIT, at] / held[_YES, at])
            yield _rate(sums.grouping, at, "true_positive_rate", held[_HIT, at], held[_YES, at])
    yield _suppressed(name, held[_KNOWN], least)
    if name in campaign.watch.protected:
        if len(rates) > 1 and max(rates) > 0:
            yield _whole(name, "true_positive_rate_ratio", RATIO, min(rates) / max(rates), float(held[_YES].sum()))
        if len(gaps) > 1:
            yield _whole(name, "calibration_spread", SPREAD, max(gaps) - min(gaps), float(held[_KNOWN].sum()))


def wilson(hits: float, n: float) -> tuple[float, float]:
    """The interval of a rate."""
    centre, half = (hits + _Z**2 / 2) / (n + _Z**2), _Z / (n + _Z**2) * float(np.sqrt(hits * (n - hits) / n + _Z**2 / 4))
    return max(0.0, centre - half), min(1.0, centre + half)


def _told(rows: FloatArray, least: int) -> list[int]:
    return [int(at) for at in np.flatnonzero(rows >= least)]


def _suppressed(name: str, rows: FloatArray, least: int) -> MonitorMetric:
    return _whole(name, "groups_not_told", COUNT, float(((rows > 0) & (rows < least)).sum()), float(rows.sum()))


def _rate(grouping: Grouping, at: int, metric: str, hits: float, n: float) -> MonitorMetric:
    return _of_group(grouping, at, metric, RATE, hits / n, wilson(hits, n), n)


def _of_group(
    grouping: Grouping, at: int, metric: str, method: str, value: float, interval: tuple[float, float], rows: float
) -> MonitorMetric:
    return MonitorMetric(grouping.name, metric, method, value, None, None, "stable", *interval, rows, grouping.labels[at])


def _whole(name: str, metric: str, method: str, value: float, rows: float) -> MonitorMetric:
    return MonitorMetric(name, metric, method, value, None, None, "stable", rows=rows)
