"""Deciles, gains, lift, profit and reliability from sums by score."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from propensity.campaign import Economics
from propensity.groups import wilson
from propensity.report import sums as s
from propensity.report.money import expected, realised
from propensity.report.sums import CELLS, STEP, Floats, ScoreSums
from propensity.report.tree import Curves, Decile, Point, Reliability, ScoreGroup

# Points of a curve, as shares of all customers: closer together among the best, where decisions fall.
_PLACES = np.unique(np.concatenate([np.linspace(0, 0.1, 51), np.linspace(0, 0.5, 101), np.linspace(0, 1, 101)]))[1:]
_RELIABILITY_GROUPS = 10
Positions = npt.NDArray[np.intp]


def deciles(held: ScoreSums, economics: Economics) -> tuple[Decile, ...]:
    """Ten groups of about equal size, best first; fewer where ties leave one empty."""
    edges = _edges(held.sums[s.ROWS], 10)
    parts = [held.sums[:, low:high].sum(axis=1) for high, low in pairwise(edges)]
    known, yes = held.count(s.KNOWN), held.count(s.YES)
    found: list[Decile] = []
    captured = 0
    for number, (part, (high, low)) in enumerate(zip(parts, pairwise(edges), strict=True), start=1):
        captured += round(float(part[s.YES]))
        found.append(_decile(part, number, low, high, economics, (known, yes, captured)))
    return tuple(found)


def _decile(part: Floats, number: int, low: int, high: int, economics: Economics, whole: tuple[int, int, int]) -> Decile:
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
        expected_profit=expected(economics, float(part[s.SCORES]), rows),
        known=known,
        conversions=yes if known else None,
        rate=rate,
        lift=rate * all_known / all_yes if rate is not None and all_yes else None,
        captured=captured / all_yes if all_yes else None,
        profit=realised(economics, yes, known) if known else None,
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


def curves(held: ScoreSums, economics: Economics) -> Curves:
    """What contacting more and more of the best brings."""
    rows, scores = held.sums[s.ROWS][::-1], held.sums[s.SCORES][::-1]
    upto, hoped = np.cumsum(rows), np.cumsum(scores)
    known = np.cumsum(held.sums[s.KNOWN][::-1])
    hoped_known, yes = np.cumsum(held.sums[s.KNOWN_SCORES][::-1]), np.cumsum(held.sums[s.YES][::-1])
    some = known[-1] > 0
    return Curves(
        expected=_points(upto, hoped, economics),
        claimed=_points(known, hoped_known, economics) if some else (),
        real=_points(known, yes, economics) if some else (),
        best=_best(upto, hoped, economics),
    )


def _points(upto: Floats, gained: Floats, economics: Economics) -> tuple[Point, ...]:
    """A curve from nobody to everybody."""
    if not upto[-1]:
        return ()
    at = np.unique(np.searchsorted(upto, upto[-1] * _PLACES - 0.5))
    return (_point(0.0, 0.0, upto[-1], gained[-1], economics), *(_at(int(place), upto, gained, economics) for place in at))


def _at(place: int, upto: Floats, gained: Floats, economics: Economics) -> Point:
    return _point(float(upto[place]), float(gained[place]), upto[-1], gained[-1], economics)


def _point(rows: float, gained: float, all_rows: float, all_gained: float, economics: Economics) -> Point:
    share, captured = rows / float(all_rows), gained / float(all_gained) if all_gained else 0.0
    return Point(
        customers=round(rows),
        share=share,
        captured=captured,
        lift=captured / share if share else 0.0,
        profit=expected(economics, gained, round(rows)),
    )


def _best(upto: Floats, hoped: Floats, economics: Economics) -> Point | None:
    if not upto[-1]:
        return None
    profit = float(economics.conversion_value) * hoped - float(economics.contact_cost) * upto
    place = int(profit.argmax())
    if profit[place] <= 0:
        return _point(0.0, 0.0, upto[-1], hoped[-1], economics)
    return _at(place, upto, hoped, economics)


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
