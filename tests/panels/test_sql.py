"""Macros and variables, as Grafana's Postgres data source has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from propensity.panels.definition import Bounds, Column, Kind, Panel, Unit
from propensity.panels.sql import Asked, expand

SINCE = datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=1)))
ASKED = Asked(SINCE, datetime(2026, 3, 2, tzinfo=UTC), "6h", ("one", "two-words"))


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("$__timeFilter(since)", "since BETWEEN '2026-03-01T00:00:00.000000Z' AND '2026-03-02T00:00:00.000000Z'"),
        ("$__timeFilter( r.at )", "r.at BETWEEN '2026-03-01T00:00:00.000000Z' AND '2026-03-02T00:00:00.000000Z'"),
        ("$__timeFrom() $__timeTo()", "'2026-03-01T00:00:00.000000Z' '2026-03-02T00:00:00.000000Z'"),
        ("$__timeGroup(since, '$interval')", "floor(extract(epoch from since)/21600)*21600"),
        ("$__timeGroup(since, '5m')", "floor(extract(epoch from since)/300)*300"),
        ("campaign in ($campaign)", "campaign in ('one', 'two-words')"),
    ],
)
def test_a_macro_becomes_sql(sql: str, expected: str) -> None:
    assert expand(sql, ASKED) == expected


@pytest.mark.parametrize("sql", ["$__unixEpochFilter(since)", "$camp", "$__timeFilter(date(since))", "'$'"])
def test_what_is_no_macro_is_refused(sql: str) -> None:
    with pytest.raises(ValueError, match="no such macro"):
        expand(sql, ASKED)


@pytest.mark.parametrize(
    "changed",
    [
        {"campaigns": ("it's",)},
        {"campaigns": ()},
        {"interval": "2h"},
        {"since": datetime(2026, 3, 2, tzinfo=UTC)},
        {"since": datetime(2026, 1, 1)},  # noqa: DTZ001
    ],
)
def test_nothing_else_can_be_asked(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"span|interval|name"):
        Asked(**{"since": SINCE, "until": ASKED.until, "interval": "1d", "campaigns": ("one",), **changed})  # type: ignore[arg-type]


def test_bounds_are_included_and_have_a_side() -> None:
    high, low = Bounds(1, 2), Bounds(0.7, 0.5, low_is_bad=True)
    assert [high.level(value) for value in (0.9, 1, 2)] == ["good", "warn", "alert"]
    assert [low.level(value) for value in (0.71, 0.7, 0.5)] == ["good", "warn", "alert"]
    with pytest.raises(ValueError, match="beyond"):
        Bounds(2, 1)


def test_only_a_table_declares_columns() -> None:
    with pytest.raises(ValueError, match="columns"):
        Panel(key="a", title="", says="", kind=Kind.STAT, unit=Unit.COUNT, sql="", columns=(Column("x"),))
