"""Whom to choose under limits: the exact optimum for money, for numbers of calls, and for capacities of days or branches.

Money is counted in whole minor units (cents), so that a sum is never above the budget by a rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Minor = npt.NDArray[np.int64]
Chosen = npt.NDArray[np.bool_]
# States of the search kept at once. Random lists of a million rows need some hundreds.
MOST_STATES = 100_000


@dataclass(frozen=True)
class Allocation:
    """A choice, and how far from the best it can be.

    Attributes
    ----------
    chosen : bool array, shape (n,)
    gain : float
        Summed over the chosen.
    gap : float
        No choice gains more than ``gain + gap``; 0 where the choice is proved to be best.
    """

    chosen: Chosen
    gain: float
    gap: float = 0.0


def best_calls(gain: FloatArray, most: int) -> Chosen:
    """The at most ``most`` rows of the highest gain, none without gain; of equal ones those that come first."""
    order = np.argsort(-gain, kind="stable")[: max(most, 0)]
    chosen = np.zeros(len(gain), dtype=np.bool_)
    chosen[order[gain[order] > 0]] = True
    return chosen


def best_by_group(gain: FloatArray, group: npt.NDArray[np.integer], capacity: npt.NDArray[np.integer], most: int | None = None) -> Chosen:
    """The best choice with at most ``capacity[g]`` rows of group ``g``, and ``most`` in all.

    Taking rows in order of gain wherever both limits allow is optimal: the limits form a laminar matroid (Edmonds, "Matroids and the greedy
    algorithm", Mathematical Programming 1, 1971).

    Parameters
    ----------
    group : int array, shape (n,)
        Positions in ``capacity``, a day or a branch for example.
    """
    order = np.argsort(-gain, kind="stable")
    order = order[gain[order] > 0]
    by_group = order[np.argsort(group[order], kind="stable")]
    sizes = np.bincount(group[by_group], minlength=len(capacity))
    place = np.arange(len(by_group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    fits = by_group[place < np.asarray(capacity)[group[by_group]]]
    chosen = np.zeros(len(gain), dtype=np.bool_)
    chosen[fits] = True
    return chosen if most is None else best_calls(np.where(chosen, gain, 0.0), most)


def recall_rows(best_first: FloatArray, target: float) -> int:
    """How many of the best hold the share ``target`` (0 to 1) of all expected conversions. Right only where scores are calibrated.

    Parameters
    ----------
    best_first : float64 array, shape (n,)
        All scores in descending order.
    """
    if not len(best_first) or target <= 0:
        return 0
    reached = np.cumsum(best_first)
    # The last sum is the total: rounding must not ask for more rows than there are.
    return int(np.searchsorted(reached, min(target * reached[-1], reached[-1]))) + 1


def best_within_budget(gain: FloatArray, cost: Minor, budget: int, *, most_states: int = MOST_STATES) -> Allocation:
    """The choice of the highest gain whose costs are at most ``budget``: the 0/1 knapsack.

    Parameters
    ----------
    cost : int64 array, shape (n,)
        Minor units, 0 or more, one for each row.

    Rows that no better choice can contain, or lack, are settled by the bound of the relaxed problem; what is left is searched by the states
    that no other dominates (Pisinger, "A minimal algorithm for the 0-1 knapsack problem", Operations Research 45, 1997; Nemhauser and
    Ullmann, "Discrete dynamic programming and capital allocation", Management Science 15, 1969). Where more than ``most_states`` states
    are open at once, the most promising go on and ``gap`` says what may be missed.
    """
    at = np.flatnonzero((gain > 0) & (cost <= budget))
    chosen = np.zeros(len(gain), dtype=np.bool_)
    if not len(at):
        return Allocation(chosen, 0.0)
    free = cost[at] == 0
    chosen[at[free]] = True
    at = at[~free]
    gap = 0.0
    if len(at):
        order = at[np.argsort(-(gain[at] / cost[at]), kind="stable")]
        taken, gap = _knapsack(gain[order], cost[order], budget, most_states)
        chosen[order[taken]] = True
    return Allocation(chosen, float(gain[chosen].sum()), gap)


def _knapsack(gain: FloatArray, cost: Minor, budget: int, most_states: int) -> tuple[Chosen, float]:
    """Rows in descending order of gain per cost. Returns which to take, and the gap."""
    spent = np.cumsum(cost)
    whole = int(np.searchsorted(spent, budget, side="right"))
    taken = np.arange(len(gain)) < whole
    if whole == len(gain):
        return taken, 0.0
    over = (int(spent[whole - 1]) if whole else 0) - budget
    filled = _fill(taken, cost, -over)
    # Everything below counts from the rows taken whole: more cost, more gain.
    better, gap = _Search(gain, cost, whole, over, float(gain[filled & ~taken].sum()), most_states).run()
    if better is None:
        return filled, gap
    taken[better] ^= True
    return taken, gap


def _fill(taken: Chosen, cost: Minor, left: int) -> Chosen:
    """A greedy choice: rows of the rest that still fit, in order."""
    filled = taken.copy()
    rest = np.flatnonzero(~taken)
    while left > 0 and len(rest):
        rest = rest[cost[rest] <= left]
        if not len(rest):
            break
        spent = np.cumsum(cost[rest])
        many = max(1, int(np.searchsorted(spent, left, side="right")))
        filled[rest[:many]] = True
        left -= int(spent[many - 1])
        rest = rest[many:]
    return filled


class _Search:
    """From the rows taken whole outwards: each row before the break may be given up, each after it taken, those of least loss first.

    States are pairs of cost above the budget (negative: room) and gain, counted from the rows taken whole; only those that no other
    dominates and whose bound is above the best choice go on, and mostly they die out after some dozens of rows.
    """

    def __init__(self, gain: FloatArray, cost: Minor, whole: int, over: int, beat: float, most_states: int) -> None:
        self._gain, self._cost, self._rates = gain, cost, gain / cost
        self._most_states = most_states
        self._beat, self._missed = beat, -np.inf
        self._over, self._gains = np.array([over]), np.zeros(1)
        self._steps: list[tuple[int, npt.NDArray[np.int64], Chosen]] = []
        self._best: npt.NDArray[np.int64] | None = None
        rate = self._rates[whole]
        # What it costs the relaxed optimum when a row is forced to the other side.
        worth = -over * rate - np.abs(gain - rate * cost)
        self._before = np.flatnonzero(worth[:whole] > beat)[::-1]
        self._after = whole + np.flatnonzero(worth[whole:] > beat)
        self._worth = worth

    def run(self) -> tuple[npt.NDArray[np.int64] | None, float]:
        """Rows to turn around, None where that gains nothing; and the gap."""
        before, after = 0, 0
        while len(self._gains) and (before < len(self._before) or after < len(self._after)):
            if after < len(self._after) and (after <= before or before == len(self._before)):
                row, sign, after = int(self._after[after]), 1, after + 1
            else:
                row, sign, before = int(self._before[before]), -1, before + 1
            if self._worth[row] > self._beat:
                lower = self._rates[self._before[before]] if before < len(self._before) else np.inf
                upper = self._rates[self._after[after]] if after < len(self._after) else 0.0
                self._turn(row, sign, float(lower), float(upper))
        return self._best, max(0.0, self._missed - self._beat)

    def _turn(self, row: int, sign: int, give_up_rate: float, take_rate: float) -> None:
        """Let every state turn this row around, or not. The rates are those of the next rows on either side."""
        n = len(self._gains)
        over = np.concatenate([self._over, self._over + sign * self._cost[row]])
        gains = np.concatenate([self._gains, self._gains + sign * self._gain[row]])
        order = np.lexsort((-gains, over))
        order = order[gains[order] > np.maximum.accumulate(np.concatenate([[-np.inf], gains[order][:-1]]))]
        over, gains = over[order], gains[order]
        self._remember(row, order, n, over, gains)
        bound = gains - np.where(over > 0, np.maximum(over, 1) * give_up_rate, np.minimum(over, 0) * take_rate)
        keep = np.flatnonzero(bound > self._beat)
        if len(keep) > self._most_states:
            by_bound = keep[np.argsort(-bound[keep], kind="stable")]
            self._missed = max(self._missed, float(bound[by_bound[self._most_states]]))
            keep = np.sort(by_bound[: self._most_states])
        step_row, parent, turned = self._steps[-1]
        self._steps[-1] = (step_row, parent[keep], turned[keep])
        self._over, self._gains = over[keep], gains[keep]

    def _remember(self, row: int, order: npt.NDArray[np.intp], n: int, over: Minor, gains: FloatArray) -> None:
        turned = order >= n
        self._steps.append((row, np.where(turned, order - n, order), turned))
        within = np.flatnonzero(over <= 0)
        # Gains rise with cost, so that the last within the budget is the best.
        if len(within) and gains[within[-1]] > self._beat:
            self._beat = float(gains[within[-1]])
            self._best = self._turned(int(within[-1]))

    def _turned(self, state: int) -> npt.NDArray[np.int64]:
        rows = []
        for row, parent, turned in reversed(self._steps):
            if turned[state]:
                rows.append(row)
            state = int(parent[state])
        return np.array(rows, dtype=np.int64)
