"""Whom to contact where that depends on the whole list: ranks of chunks that come one after the other, from the scores alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ranks = npt.NDArray[np.int64]
_SLICE = 1 << 20
_MANY_TIES = 0.1


class Ranking:
    """Ranks within a list whose scores are known, in 8 bytes a row, and 8 more for each score that several rows have.

    1 is the best of the list; equal scores keep the order in which they were sent, as `propensity.decision.decide` has it.
    """

    def __init__(self, scores: Iterable[Floats], n: int) -> None:
        self._sorted = np.empty(n)
        at = 0
        for part in scores:
            # Negative, so that the best come first.
            np.negative(part, out=self._sorted[at : at + len(part)])
            at += len(part)
        assert at == n, "every score of the list is given"
        self._sorted.sort()
        # Where runs of equal scores begin, and how many rows of each have their rank already.
        self._tied = _starts_of_ties(self._sorted)
        self._given = np.zeros(len(self._tied), dtype=np.uint32)

    def __len__(self) -> int:
        return len(self._sorted)

    def best_first(self) -> Floats:
        """All scores in descending order."""
        return -self._sorted

    def of_next(self, scores: Floats) -> Ranks:
        """Ranks of the next chunk, in the order of the list."""
        n = len(scores)
        if not n:
            return np.empty(0, dtype=np.int64)
        own, order = in_order(-scores)
        firsts = np.flatnonzero(np.concatenate([[True], own[1:] != own[:-1]]))
        places = np.searchsorted(self._sorted, own[firsts])
        lengths = np.diff(np.append(firsts, n))
        starts = places + self._taken(places, lengths)
        ranks = np.empty(n, dtype=np.int64)
        ranks[order] = np.repeat(starts - firsts, lengths) + np.arange(1, n + 1)
        return ranks

    def _taken(self, places: Ranks, lengths: Ranks) -> Ranks:
        """How many ranks from each place on are given already; as many more are given now."""
        taken = np.zeros(len(places), dtype=np.int64)
        at = np.searchsorted(self._tied, places.astype(np.uint32))
        at[at == len(self._tied)] = 0
        tied = self._tied[at] == places if len(self._tied) else np.zeros(len(places), dtype=np.bool_)
        taken[tied] = self._given[at[tied]]
        self._given[at[tied]] += lengths[tied].astype(np.uint32)
        return taken


def in_order(numbers: Floats) -> tuple[Floats, Ranks]:
    """The numbers sorted, and where each stood; equal ones keep their order. A quarter of the time of a stable sort, if few are equal."""
    order = np.argsort(numbers)
    ordered = numbers[order]
    equal = ordered[1:] == ordered[:-1]
    tied = np.zeros(len(order), dtype=np.bool_)
    tied[1:] = equal
    tied[:-1] |= equal
    if tied.sum() > _MANY_TIES * len(tied):
        order = np.argsort(numbers, kind="stable")
    elif tied.any():
        run = np.concatenate([[0], np.cumsum(~equal)])[tied]
        places = order[tied]
        order[tied] = places[np.lexsort((places, run))]
    return ordered, order


def _starts_of_ties(ordered: Floats) -> npt.NDArray[np.uint32]:
    """Positions of the first of each run of equal numbers, some at a time: few arrays as long as the list are ever held."""
    parts = []
    for at in range(0, len(ordered), _SLICE):
        part = ordered[at : at + _SLICE + 1]
        equal = part[1:] == part[:-1]
        before = np.concatenate([[at > 0 and ordered[at - 1] == ordered[at]], equal[:-1]])[: len(equal)]
        parts.append((np.flatnonzero(equal & ~before) + at).astype(np.uint32))
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint32)
