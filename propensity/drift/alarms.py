"""Which changes of a window are an alarm: what chance explains at most so often, what lasts, and what context columns do to predictions.

One run has the level that the campaign declares for a month, over the runs of a month: expected false alarms add up, however runs depend
on each other. A column's chance is twice the smaller of two: that of its mean rank, and that of its most conspicuous bin (times the
number of bins). Chances are corrected over the columns by Holm: what is declared is the chance of *any* false alarm, under any dependence
between columns; the rate of false discoveries (Benjamini and Hochberg) would let more false alarms through once one column has moved.

States of a column::

    quiet     chance explains it
    watch     chance does not, but the change has not lasted: other parts of the window do not show it, nor did an earlier window
    alarm     it has lasted
    context   moves with time by nature, and does not move the predictions beyond the declared share of the expected profit
    no_data, too_little_data   nothing is said

A context column is part of an alarm where the predictions are and its own impact on the expected profit reaches the declared share.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from propensity.drift.bins import Counts
from propensity.drift.chance import bin_chance, holm, mean_chance
from propensity.drift.counted import PREDICTION, ColumnReference, Counted, Name, Reference, mean_ranks
from propensity.watch import Watch

QUIET, WATCH, ALARM, CONTEXT = "quiet", "watch", "alarm", "context"
TOO_LITTLE, NO_DATA = "too_little_data", "no_data"
# A column whose rows of one month explain so much of its variance says which month it is.
CONTEXT_SHARE = 0.5
# From so many months on that share means something.
CONTEXT_MONTHS = 3
# A part shows the change where it has at least this share of it.
_SHOWN = 0.5


@dataclass(frozen=True)
class Judged:
    """What is said about one column of a window.

    Attributes
    ----------
    chance : float
        How often chance alone gives such a difference, at most, 0 to 1; ``corrected`` is the same over all columns.
    rows : float
        Effective rows of the window: independent rows that would say as much.
    parts : int
        Parts of the window that show the change.
    """

    state: str
    chance: float
    corrected: float
    rows: float
    parts: int


@dataclass(frozen=True)
class Alarms:
    """What a window says: ``state`` is ``alarm`` where any column's is, else ``watch`` where any is, else ``quiet``."""

    state: str
    columns: Mapping[Name, Judged]
    level: float

    @property
    def raised(self) -> tuple[Name, ...]:
        return tuple(name for name, judged in self.columns.items() if judged.state == ALARM)


@dataclass(frozen=True)
class _Seen:
    """The more surprising of a column's two statistics: the window's effective rows, and the change in each part over that of all."""

    chance: float
    rows: float
    shown: int


def judge(
    watch: Watch, reference: Reference, window: Counted, *, earlier: Collection[Name] = (), impact: Mapping[str, float] | None = None
) -> Alarms:
    """Judge every column of a window.

    Parameters
    ----------
    earlier : columns that an earlier window, which shares no rows with this one, had in ``watch`` or ``alarm``.
    impact : mapping of feature name to the share of the expected profit that its change makes.
    """
    level = watch.run_level
    if window.rows < watch.least_rows:
        state = TOO_LITTLE if window.rows else NO_DATA
        return Alarms(state, {name: Judged(state, 1.0, 1.0, float(window.rows), 0) for name in reference.columns}, level)
    context = context_columns(watch, reference)
    seen = {name: _see(watch, column, window, name, level / len(reference.columns)) for name, column in reference.columns.items()}
    family = [name for name in seen if name not in context]
    corrected = dict(zip(family, holm(np.array([seen[name].chance for name in family])).tolist(), strict=True))
    found: dict[Name, Judged] = {}
    for name in family:
        one, lasts = seen[name], name in earlier or seen[name].shown >= watch.agreeing_parts
        state = QUIET if corrected[name] > level else ALARM if lasts else WATCH
        found[name] = Judged(state, one.chance, corrected[name], one.rows, one.shown)
    moved = found[PREDICTION].state == ALARM
    for name in context:
        one = seen[name]
        matters = moved and abs((impact or {}).get(str(name), 0.0)) >= watch.impact_share
        found[name] = Judged(ALARM if matters else CONTEXT, one.chance, 1.0, one.rows, one.shown)
    states = [judged.state for judged in found.values()]
    state = next((known for known in (ALARM, WATCH) if known in states), QUIET)
    return Alarms(state, {name: found[name] for name in reference.columns}, level)


def context_columns(watch: Watch, reference: Reference) -> list[Name]:
    """Columns that move with time by nature: those declared, and those whose months explain at least half of their variance."""
    found: list[Name] = []
    for name, column in reference.columns.items():
        if name is PREDICTION:
            continue
        if name in watch.context or (reference.months >= CONTEXT_MONTHS and column.month_share >= CONTEXT_SHARE):
            found.append(name)
    return found


def _see(watch: Watch, column: ColumnReference, window: Counted, name: Name, level: float) -> _Seen:
    by_part = window.by_part(name, watch.parts)
    candidates = [_bins(column, by_part, window.day_rows, level)]
    if column.bins.ordered:
        candidates.append(_ranks(column, by_part, window.day_rows, level))
    best = min(candidates, key=lambda one: one.chance)
    return _Seen(min(1.0, len(candidates) * best.chance), best.rows, best.shown)


def _bins(column: ColumnReference, by_part: Counts, day_rows: float, level: float) -> _Seen:
    """The most conspicuous bin, its chance times the number of bins that hold a row."""
    parts = column.bins.coarsen(by_part).astype(np.float64)
    now, n = parts.sum(axis=0), float(parts.sum())
    before, m = column.coarse.astype(np.float64), float(column.coarse.sum())
    known = column.bin_parts
    effect, own = known.design_effect(n, day_rows, level), known.own_design_effect(level)
    if column.bins.ordered:
        # Where the middle of a number moves to and fro, its middle bins hardly change on most days, and much on a few.
        effect, own = (np.maximum(one, np.median(one)) for one in (effect, own))
    n_counts, m_counts = n / effect, m / own
    p, q = before / m, now / n
    both = (n_counts * q + m_counts * p) / (n_counts + m_counts)
    chances = bin_chance(np.where(n_counts <= m_counts, q, p), both, np.minimum(n_counts, m_counts))
    at = int(np.argmin(chances))
    filled = int(((before + now) > 0).sum())
    return _Seen(min(1.0, filled * float(chances[at])), float(n_counts[at]), _shown(parts[:, at], parts.sum(axis=1), p[at], q[at] - p[at]))


def _ranks(column: ColumnReference, by_part: Counts, day_rows: float, level: float) -> _Seen:
    """The mean rank of the rows that have a value, among those of both sides."""
    parts, before = by_part[:, :-1].astype(np.float64), column.fine[:-1].astype(np.float64)
    now, n, m = parts.sum(axis=0), float(parts.sum()), float(before.sum())
    if not n or not m:
        return _Seen(1.0, n, 0)
    known = column.rank_parts
    n_counts = n / float(known.design_effect(n, min(day_rows, n), level)[0])
    m_counts = m / float(known.own_design_effect(level)[0])
    both = (n_counts * now / n + m_counts * before / m) / (n_counts + m_counts)
    ranks = mean_ranks(both)
    p, q = float(ranks @ before) / m, float(ranks @ now) / n
    small, rows = (q, n_counts) if n_counts <= m_counts else (p, m_counts)
    return _Seen(mean_chance(ranks, both, small, rows), n_counts, _shown(parts @ ranks, parts.sum(axis=1), p, q - p))


def _shown(sums: np.typing.NDArray[np.float64], rows: np.typing.NDArray[np.float64], usual: float, change: float) -> int:
    """How many parts have at least half of the change, in its direction."""
    if not change:
        return 0
    own = np.divide(sums, rows, out=np.full_like(sums, usual), where=rows > 0) - usual
    return int((own / change >= _SHOWN).sum())
