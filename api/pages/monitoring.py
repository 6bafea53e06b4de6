"""GET /monitoring: the panels of `propensity.panels`, drawn here."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flask import Response, request

from api.pages.charts import Chart, bars, lines, series_of, share_bar, swatch
from api.pages.layout import page
from api.pages.words import judged, told
from propensity.campaign import Campaign
from propensity.errors import Malformed, StoreError
from propensity.panels import all_boards
from propensity.panels.definition import NUMERIC, SERIES, VERDICTS, Board, Kind, Panel, Unit
from propensity.panels.sql import INTERVALS, Asked, expand
from propensity.ports import Answer, Failure

if TYPE_CHECKING:
    from api.services import Services

# Days, by what a reader chooses; and the interval that fits.
SPANS: Mapping[str, tuple[str, int, str]] = {
    "1d": ("a day", 1, "1h"),
    "7d": ("a week", 7, "6h"),
    "30d": ("30 days", 30, "1d"),
    "90d": ("90 days", 90, "1d"),
    "365d": ("a year", 365, "7d"),
}
# Pages must not take every thread from those who want predictions.
AT_ONCE = 2
_LINES_SHOWN = 400
_reading = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True)
class Value:
    """A value of a stat, a gauge or a ranking: in words, how it stands to its bounds, and a bar where it has one."""

    name: str
    text: str
    level: str
    judgement: str
    bar: str


@dataclass(frozen=True)
class Cell:
    """A cell of a table: ``place`` is the class that says how it stands (``right``, ``time``), ``level`` colours a verdict."""

    text: str
    place: str = ""
    level: str = ""


@dataclass(frozen=True)
class Shown:
    """A panel with its answer. Without ``chart``, ``values`` and ``rows``, ``problem`` says why."""

    panel: Panel
    problem: str = ""
    chart: Chart | None = None
    values: Sequence[Value] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()


@dataclass(frozen=True)
class Choice:
    """What the form at the top says."""

    board: Board
    campaign: str
    span: str


def get_monitoring(services: Services) -> Response:
    """The page. Raises Malformed for a choice that is not on offer, StoreError where Postgres does not answer."""
    boards = all_boards(services.campaigns)
    choice = _choice(boards, services.campaigns)
    asked = _asked(choice, services)
    return page(
        services,
        "pages/monitoring.html",
        boards=boards,
        choice=choice,
        spans={name: words for name, (words, _, _) in SPANS.items()},
        campaigns=services.campaigns,
        asked=asked,
        told=told,
        swatch=swatch,
        panels=[
            _shown(panel, answer, asked) for panel, answer in zip(choice.board.panels, _answers(services, choice.board, asked), strict=True)
        ],
    )


def _choice(boards: Sequence[Board], campaigns: Mapping[str, Campaign]) -> Choice:
    by_key = {board.key: board for board in boards}
    board = _one_of("section", by_key, boards[0].key)
    campaign = _one_of("campaign", ["", *campaigns], "")
    return Choice(by_key[board], campaign, _one_of("span", SPANS, "30d"))


def _one_of(name: str, allowed: Mapping[str, Any] | Sequence[str], default: str) -> str:
    given = request.args.get(name, default)
    if given not in allowed:
        raise Malformed(f"{name} must be one of: {', '.join(value or 'nothing, for all' for value in allowed)}")
    return given


def _asked(choice: Choice, services: Services) -> Asked:
    _, days, interval = SPANS[choice.span]
    until = services.clock().astimezone(UTC)
    # Whole days: outcomes belong to the day of their prediction. A single day begins with the hour.
    begins = {"minute": 0, "second": 0, "microsecond": 0} if days == 1 else {"hour": 0, "minute": 0, "second": 0, "microsecond": 0}
    since = (until - timedelta(days=days)).replace(**begins)  # type: ignore[arg-type]
    return Asked(since, until, interval, [choice.campaign] if choice.campaign else list(services.campaigns))


def _answers(services: Services, board: Board, asked: Asked) -> list[Answer | Failure]:
    if services.panels is None:
        raise StoreError("this process keeps nothing that panels could be made from")
    if not _reading.acquire(timeout=5.0):
        raise StoreError("too many people look at this page at once; try again in a few seconds")
    try:
        return services.panels.read([expand(panel.sql, asked) for panel in board.panels])
    finally:
        _reading.release()


def _shown(panel: Panel, answer: Answer | Failure, asked: Asked) -> Shown:
    if isinstance(answer, Failure):
        return Shown(panel, answer.why)
    if panel.kind is Kind.TABLE:
        return _table(panel, answer) if answer.rows else Shown(panel, panel.empty)
    if panel.kind in SERIES:
        return _series(panel, answer, asked)
    rows = [(str(metric), float(value)) for metric, value in answer.rows if value is not None]
    return Shown(panel, values=_values(panel, rows)) if rows else Shown(panel, panel.empty)


def _values(panel: Panel, rows: Sequence[tuple[str, float]]) -> list[Value]:
    # A gauge fills its own scale, the bars of a ranking that of the largest.
    full = 1.0 if panel.kind is Kind.GAUGE else max(value for _, value in rows) or 1.0
    found = []
    for name, value in rows:
        level, judgement = judged(value, panel.bounds, panel.unit)
        bar = "" if panel.kind is Kind.STAT else share_bar(value / full, level or "s0")
        found.append(Value(name, told(value, panel.unit), level, judgement, bar))
    return found


def _series(panel: Panel, answer: Answer, asked: Asked) -> Shown:
    series = series_of([(_seconds(at), str(metric), float(value)) for at, metric, value in answer.rows if value is not None])
    if not series:
        return Shown(panel, panel.empty)
    since, until = asked.since.timestamp(), asked.until.timestamp()
    chart = (
        bars(series, panel.unit, since, until, INTERVALS[asked.interval])
        if panel.kind is Kind.BARS
        else lines(series, panel.unit, min([since, *(at for one in series for at in one.values)]), until, panel.bounds)
    )
    times = sorted({at for one in series for at in one.values}, reverse=True)
    rows = [
        [Cell(f"{_time(at):%Y-%m-%d %H:%M}", "time"), *(Cell(told(one.values.get(at), panel.unit), "right") for one in series)]
        for at in times[:_LINES_SHOWN]
    ]
    return Shown(panel, chart=chart, head=["time (UTC)", *(one.name for one in series)], rows=rows)


def _table(panel: Panel, answer: Answer) -> Shown:
    rows = [
        [
            Cell(
                told(value, column.unit),
                "right" if column.unit in NUMERIC else "time" if column.unit is Unit.TIME else "",
                VERDICTS.get(str(value), ("", "idle"))[1] if column.unit is Unit.VERDICT and value is not None else "",
            )
            for value, column in zip(row, panel.columns, strict=True)
        ]
        for row in answer.rows[:_LINES_SHOWN]
    ]
    return Shown(panel, head=[column.title for column in panel.columns], rows=rows)


def _seconds(at: Any) -> float:
    return at.timestamp() if isinstance(at, datetime) else float(at)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
