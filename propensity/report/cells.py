"""Sums by value of the features that a campaign declares as segments or protected, and the groups made of them.

Numbers are cut into quarters of all predictions once everything is added up, so that no second pass over the log is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign, Categorical, Feature
from propensity.groups import wilson
from propensity.report import sums as s
from propensity.report.money import cents
from propensity.report.tree import Group, Segment
from propensity.report.words import band_labels, titled

Floats = npt.NDArray[np.float64]
NOT_KNOWN, OTHER_DECLARATION, SMALLER = "not known", "logged under another declaration", "smaller groups together"
_GRID = 1_000
_MOST_WHOLE = 4_096


@dataclass
class FeatureCells:
    """Sums by value of one feature: a place for each, then one for missing, then one for rows whose features cannot be read."""

    feature: Feature
    sums: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.sums = np.zeros((s.FIGURES, self.places + 2))

    @property
    def whole(self) -> bool:
        """Whether each place is one value."""
        f = self.feature
        return isinstance(f, Categorical) or (f.integer and f.high - f.low < _MOST_WHOLE)

    @property
    def places(self) -> int:
        f = self.feature
        return len(f.values) if isinstance(f, Categorical) else int(f.high - f.low) + 1 if self.whole else _GRID

    def add(self, values: Floats, rows: list[Floats | None]) -> None:
        """Add rows; in ``values`` NaN means missing and infinity that it cannot be read."""
        f, missing, unread = self.feature, np.isnan(values), np.isinf(values)
        known = np.where(missing | unread, 0.0, values)
        if not isinstance(f, Categorical):
            known = known - f.low if self.whole else (known - f.low) * (_GRID / (f.high - f.low))
        at = np.clip(known, 0, self.places - 1).astype(np.intp)
        at[missing], at[unread] = self.places, self.places + 1
        s.add(self.sums, at, rows)

    def groups(self) -> Iterator[tuple[str, Floats]]:
        """Every group with its name and sums."""
        f = self.feature
        if isinstance(f, Categorical):
            yield from ((str(value), self.sums[:, at]) for at, value in enumerate(f.values))
        else:
            upto = np.cumsum(self.sums[s.ROWS, : self.places])
            cuts = np.unique(np.searchsorted(upto, upto[-1] * np.array([0.25, 0.5, 0.75])) + 1) if upto[-1] else np.empty(0, dtype=np.intp)
            cuts = cuts[(cuts < self.places) & (upto[np.minimum(cuts, self.places) - 1] < upto[-1])]
            width = 1.0 if self.whole else (f.high - f.low) / _GRID
            labels = band_labels([f.low + width * int(cut) for cut in cuts], f.low, f.high, whole=f.integer)
            yield from zip(labels, (part.sum(axis=1) for part in np.split(self.sums[:, : self.places], cuts, axis=1)), strict=True)
        yield NOT_KNOWN, self.sums[:, self.places]
        yield OTHER_DECLARATION, self.sums[:, self.places + 1]


def segment(campaign: Campaign, cells: FeatureCells) -> Segment:
    """The groups of one feature. Together they hold every prediction: those too small to be told are one group."""
    least, name = campaign.watch.smallest_group, cells.feature.name
    held = [(label, sums) for label, sums in cells.groups() if sums[s.ROWS] > 0]
    told = [_group(campaign, label, sums) for label, sums in held if sums[s.ROWS] >= least]
    small = [sums for _, sums in held if sums[s.ROWS] < least]
    protected = name in campaign.watch.protected
    compared = [g for g in told if g.label not in (NOT_KNOWN, OTHER_DECLARATION)]
    groups = (*told, _group(campaign, SMALLER, np.sum(small, axis=0), small=True)) if small else tuple(told)
    return Segment(
        feature=name,
        title=titled(cells.feature)[0],
        protected=protected,
        groups=groups,
        least=min(compared, key=lambda g: g.contact_rate).label if compared else "",
        most=max(compared, key=lambda g: g.contact_rate).label if compared else "",
        contact_ratio=_ratio([g.contact_rate for g in compared]) if protected else None,
        found_ratio=_ratio([g.found for g in compared if g.found is not None]) if protected else None,
    )


def _group(campaign: Campaign, label: str, sums: Floats, *, small: bool = False) -> Group:
    least = campaign.watch.smallest_group
    n, contacts, known, yes = (round(float(sums[at])) for at in (s.ROWS, s.CONTACTS, s.KNOWN, s.YES))
    low, high = wilson(contacts, n)
    tellable = known >= least
    return Group(
        label=label,
        predictions=n,
        contacts=contacts,
        contact_rate=contacts / n,
        contact_low=low,
        contact_high=high,
        mean_score=float(sums[s.SCORES]) / n,
        expected_profit=cents(sums[s.CONTACT_PROFIT]),
        known=known,
        known_score=float(sums[s.KNOWN_SCORES]) / known if tellable else None,
        conversions=yes if tellable else None,
        rate=yes / known if tellable else None,
        found=float(sums[s.CONTACT_YES]) / yes if tellable and yes >= least else None,
        small=small,
    )


def _ratio(rates: list[float]) -> float | None:
    return min(rates) / max(rates) if len(rates) > 1 and max(rates) > 0 else None
