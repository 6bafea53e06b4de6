"""Deciles, gains, lift, profit and reliability from sums by score."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from propensity.groups import wilson
from propensity.report import sums as s
from propensity.report.money import cents
from propensity.report.sums import CELLS, STEP, Floats, ScoreSums
from propensity.report.tree import Curves, Decile, Point, Reliability, ScoreGroup

# Points of a curve, as shares of all customers: closer together among the best, where decisions fall.
_PLACES = np.unique(np.concatenate([np.linspace(0, 0.1, 51), np.linspace(0, 0.5, 101), np.linspace(0, 1, 101)]))[1:]
_RELIABILITY_GROUPS = 10
_NOBODY = Point(customers=0, share=0.0, captured=0.0, lift=0.0, profit=Decimal("0.00"))
Positions = npt.NDArray[np.intp]


def deciles(held: ScoreSums) -> tuple[Decile, ...]:
    """Ten groups of about equal size, best first; fewer where ties leave one empty."""
    edges = _edges(held.sums[s.ROWS], 10)
    parts = [held.sums[:, low:high].sum(axis=1) for high, low in pairwise(edges)]
    known, yes = held.count(s.KNOWN), held.count(s.YES)
    found: list[Decile] = []
    captured = 0
    for number, (part, (high, low)) in enumerate(zip(parts, pairwise(edges), strict=True), start=1):
        captured += round(float(part[s.YES]))
        found.append(_decile(part, number, low, high, (known, yes, captured)))
    return tuple(found)


def _decile(part: Floats, number: int, low: int, high: int, whole: tuple[int, int, int]) -> Decile:
    rows, contacts, known, yes = (round(float(part[at])) for at in (s.ROWS, s.CONTACTS, s.KNOWN, s.YES))
    all_known, all_yes, captured = whole
    rate = yes / known if known else None
    return Decile(
        number=number,
        low=low * STEP,
        high=high * STEP,
        predictions=rows,
        mean_score=float(part[s.SCORES]) / rows,
        contacts=contacts,
        expected_profit=cents(part[s.PROFIT]),
        known=known,
        conversions=yes if known else None,
        rate=rate,
        lift=rate * all_known / all_yes if rate is not None and all_yes else None,
        captured=captured / all_yes if all_yes else None,
        profit=cents(part[s.REAL]) if known else None,
    )


def _edges(rows: Floats, parts: int) -> list[int]:
    """Cells that part the rows into so many groups of about equal size, from the best (above the last cell) to the worst, where each group
    holds something."""
    best_first = np.cumsum(rows[::-1])
    total = best_first[-1]
    if not total:
        return [CELLS]
    edges = [CELLS]
    for part in range(1, parts + 1):
        wanted = total * part / parts
        above = int(np.searchsorted(best_first, wanted - 0.5))
        before = best_first[above - 1] if above else 0.0
        taken = above + 1 if part == parts or best_first[above] - wanted <= wanted - before else above
        edge = CELLS - taken
        if part == parts:
            edge = 0
        if rows[edge : edges[-1]].any():
            edges.append(edge)
    if edges[-1] != 0:
        edges[-1] = 0
    return edges


def curves(held: ScoreSums) -> Curves:
    """What contacting more and more of the best brings."""
    best_first = np.cumsum(held.sums[:, ::-1], axis=1)
    known = best_first[s.KNOWN]
    everybody = _Curve(best_first[s.ROWS], best_first[s.SCORES], best_first[s.PROFIT])
    return Curves(
        expected=everybody.points(),
        claimed=_Curve(known, best_first[s.KNOWN_SCORES], best_first[s.KNOWN_PROFIT]).points(),
        real=_Curve(known, best_first[s.YES], best_first[s.REAL]).points(),
        best=everybody.best(),
    )


@dataclass(frozen=True)
class _Curve:
    """Customers, conversions and money of the best down to each cell, the best cell first."""

    customers: Floats
    conversions: Floats
    profit: Floats

    def points(self) -> tuple[Point, ...]:
        """The curve from nobody to everybody; empty where it is of nobody."""
        if not self.customers[-1]:
            return ()
        at = np.unique(np.searchsorted(self.customers, self.customers[-1] * _PLACES - 0.5))
        return (_NOBODY, *(self.point(int(place)) for place in at))

    def point(self, place: int) -> Point:
        """The best down to that cell."""
        rows, all_conversions = float(self.customers[place]), float(self.conversions[-1])
        share = rows / float(self.customers[-1])
        captured = float(self.conversions[place]) / all_conversions if all_conversions else 0.0
        return Point(
            customers=round(rows),
            share=share,
            captured=captured,
            lift=captured / share if share else 0.0,
            profit=cents(self.profit[place]),
        )

    def best(self) -> Point | None:
        """Where the profit is highest; nobody where no number of customers brings any."""
        if not self.customers[-1]:
            return None
        place = int(self.profit.argmax())
        return self.point(place) if self.profit[place] > 0 else _NOBODY


def reliability(held: ScoreSums) -> Reliability | None:
    """Groups of known predictions of similar score, as many in each as can be; None where none is known."""
    rows = held.sums[s.KNOWN]
    edges = _edges(rows, _RELIABILITY_GROUPS)
    groups = []
    for high, low in pairwise(edges):
        known, scores, yes = (float(held.sums[at, low:high].sum()) for at in (s.KNOWN, s.KNOWN_SCORES, s.YES))
        interval = wilson(round(yes), round(known))
        groups.append(
            ScoreGroup(
                known=round(known),
                conversions=round(yes),
                mean_score=scores / known,
                rate=yes / known,
                low=interval[0],
                high=interval[1],
            )
        )
    if not groups:
        return None
    total = sum(group.known for group in groups)
    gap = sum(group.known * abs(group.mean_score - group.rate) for group in groups) / total
    return Reliability(groups=tuple(reversed(groups)), gap=gap)
