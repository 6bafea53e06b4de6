"""What a panel is: a title, a sentence, one SQL statement, and how its answer is to be read. Standard library only.

Grafana's dashboards, the page /monitoring and the tests are made from the same definitions. SQL is written for Grafana's Postgres data
source, with its macros (`propensity.panels.sql` says which), and reads views of the schema ``panels`` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a statement gives, and how it is drawn.

    ``LINES`` and ``BARS`` (stacked): rows ``time, metric, value`` in order. ``STAT``, ``GAUGE`` and ``RANKED``: rows ``metric, value``.
    ``TABLE``: the columns that the panel declares.
    """

    LINES = "lines"
    BARS = "bars"
    STAT = "stat"
    GAUGE = "gauge"
    RANKED = "ranked"
    TABLE = "table"


SERIES = (Kind.LINES, Kind.BARS)


class Unit(StrEnum):
    """What a value means."""

    COUNT = "count"
    NUMBER = "number"
    SHARE = "share"
    SECONDS = "seconds"
    HOURS = "hours"
    DAYS = "days"
    BYTES = "bytes"
    MONEY = "money"
    TEXT = "text"
    VERDICT = "verdict"
    TIME = "time"


# What a verdict is called, and how it stands: ``good``, ``warn``, ``alert``, or ``idle`` where it says neither.
VERDICTS: Mapping[str, tuple[str, str]] = {
    "stable": ("stable", "good"),
    "warning": ("warning", "warn"),
    "drift": ("drift", "alert"),
    "no_data": ("no data", "idle"),
    # Alarms of monitoring.
    "quiet": ("quiet", "good"),
    "watch": ("watch", "warn"),
    "alarm": ("alarm", "alert"),
    "context": ("context", "idle"),
    "too_little_data": ("too little data", "idle"),
    # Flows.
    "ok": ("ok", "good"),
    "late": ("late", "alert"),
    "failed": ("failed", "alert"),
    "due": ("due", "idle"),
    "running": ("running", "idle"),
    "waiting": ("waiting", "idle"),
    # Alerts.
    "open": ("open", "alert"),
    "acknowledged": ("acknowledged", "warn"),
    "resolved": ("resolved", "good"),
    "replaced": ("replaced", "idle"),
    # Comparisons, estimates, and what waits for a person.
    "better": ("better", "idle"),
    "worse": ("worse", "idle"),
    "not_decided": ("not decided", "idle"),
    "within": ("within", "good"),
    "outside": ("outside", "warn"),
    "fits": ("fits", "good"),
    "overtaken": ("overtaken", "warn"),
}
NUMERIC = frozenset(set(Unit) - {Unit.TEXT, Unit.VERDICT, Unit.TIME})


@dataclass(frozen=True, slots=True)
class Bounds:
    """From where a value deserves a look (``warn``) and from where it is bad (``alert``); both included.

    ``low_is_bad``: the bounds lie below what is good, and ``alert`` is not above ``warn``.
    """

    warn: float
    alert: float
    low_is_bad: bool = False

    def __post_init__(self) -> None:
        if (self.alert > self.warn) if self.low_is_bad else (self.alert < self.warn):
            raise ValueError("alert must lie beyond warn")

    def level(self, value: float) -> str:
        """``good``, ``warn`` or ``alert``."""
        for name, bound in (("alert", self.alert), ("warn", self.warn)):
            if value <= bound if self.low_is_bad else value >= bound:
                return name
        return "good"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its name in SQL, underscores for spaces."""

    name: str
    unit: Unit = Unit.TEXT

    @property
    def title(self) -> str:
        return self.name.replace("_", " ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One panel.

    Attributes
    ----------
    key : str
        Its name within the board, lower-case words joined by hyphens.
    says : str
        One or two sentences for people: what is shown, and what a reader must not take it for.
    empty : str
        What an answer without a row means.
    width : int
        Of Grafana's 24 columns.
    """

    key: str
    title: str
    says: str
    kind: Kind
    unit: Unit
    sql: str
    columns: tuple[Column, ...] = ()
    bounds: Bounds | None = None
    empty: str = "no data"
    width: int = 12

    def __post_init__(self) -> None:
        if (self.kind is Kind.TABLE) != bool(self.columns):
            raise ValueError(f"panel {self.key}: columns belong to a table, and to nothing else")

    @property
    def answer(self) -> tuple[Column, ...]:
        """The columns that the statement gives."""
        named = (Column("metric"), Column("value", self.unit))
        return self.columns if self.columns else (Column("time", Unit.TIME), *named) if self.kind in SERIES else named


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard: ``key`` is its section of the page, and in Grafana its uid with ``propensity-`` before it."""

    key: str
    title: str
    says: str
    panels: Sequence[Panel]
