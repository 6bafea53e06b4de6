"""What a campaign declares about being watched: how often an alarm may be false, and which columns are context, segments or protected.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """How alarms are raised, and what the watch looks at besides single columns.

    Attributes
    ----------
    false_alarms_per_month : float
        Alarms that may be false, expected per month over all columns of the campaign, where nothing has changed.
    runs_per_month : int
        How often the monitor runs: daily.
    agreeing_parts, parts : int
        A change is an alarm where so many of so many parts of the window show it, or where an earlier window showed it.
    least_rows : int
        A window with fewer rows has the state ``too_little_data``.
    impact_share : float
        A context column is part of an alarm from this share of the expected profit on.
    context : tuple of str
        Features that move with time by nature (the month, the interest rate of the day). They are judged by what they do to the
        predictions, never by their distribution alone. Those whose rows of a month hardly differ are found without being declared.
    segments : tuple of str
        Features by whose groups rates and results are reported.
    protected : tuple of str
        The same, and the groups are compared with each other.
    smallest_group : int
        A group with fewer rows is not reported.
    """

    false_alarms_per_month: float = 0.1
    runs_per_month: int = 31
    agreeing_parts: int = 2
    parts: int = 3
    least_rows: int = 50
    impact_share: float = 0.05
    context: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    smallest_group: int = 50

    @property
    def run_level(self) -> float:
        """The chance of any false alarm that one run may have: alarms of a month add up, however runs depend on each other."""
        return self.false_alarms_per_month / self.runs_per_month

    @property
    def grouped(self) -> tuple[str, ...]:
        """Features whose groups are reported, each once."""
        return tuple(dict.fromkeys((*self.segments, *self.protected)))

    @property
    def told(self) -> str:
        """The declaration as half a sentence, for people."""
        columns = ((kind, getattr(self, kind)) for kind in ("context", "segments", "protected"))
        lists = "".join(f"; {kind}: {', '.join(f'`{name}`' for name in names)}" for kind, names in columns if names)
        return f"at most {self.false_alarms_per_month:g} false alarms a month{lists}"


DEFAULT_WATCH = Watch()


def watch_problems(watch: Watch, features: Collection[str]) -> Iterator[str]:
    """Sentences, each about one contradiction; nothing where the declaration is sound."""
    for kind in ("context", "segments", "protected"):
        for name in getattr(watch, kind):
            if name not in features:
                yield f"watch: {kind} names column {name!r}, which is not a feature"
    if not 0 < watch.false_alarms_per_month <= watch.runs_per_month / 2:
        yield "watch: false_alarms_per_month must be above 0 and at most half the runs of a month"
    if watch.runs_per_month < 1:
        yield "watch: runs_per_month must be at least 1"
    if not 1 <= watch.agreeing_parts <= watch.parts:
        yield "watch: agreeing_parts must lie between 1 and parts"
    if watch.least_rows < 10 or watch.smallest_group < 10:
        yield "watch: least_rows and smallest_group must be at least 10"
    if not 0 < watch.impact_share <= 1:
        yield "watch: impact_share must be above 0 and at most 1"
