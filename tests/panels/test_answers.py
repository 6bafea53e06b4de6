"""Every panel's SQL, macros and variables expanded, on a Postgres that the platform filled; its numbers are those of the log,
to the unit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from propensity.panels import all_boards
from propensity.panels.alerts import all_alerts
from propensity.panels.definition import NUMERIC, SERIES, Kind, Panel, Unit
from propensity.panels.sql import Asked, expand
from tests.panels.filled import DAYS, Filled, campaigns

pytestmark = pytest.mark.slow
BOARDS = all_boards(campaigns())
PANELS = {f"{board.key}/{panel.key}": panel for board in BOARDS if board.key != "overview" for panel in board.panels}
EVERY = tuple(campaigns())


def asked(*names: str, days: int = 30, interval: str = "1d") -> Asked:
    until = datetime.now(UTC)
    since = (until - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
    return Asked(since, until, interval, names or ("tiny", "second", "unused"))


@pytest.fixture(scope="module")
def connection(platform: Filled) -> Iterator[psycopg.Connection]:
    """As a dashboard asks: reading only, each statement within seconds."""
    with psycopg.connect(platform.urls.app_url, autocommit=True, options="-c statement_timeout=2000 -c timezone=UTC") as found:
        found.read_only = True
        yield found


def answer(connection: psycopg.Connection, name: str, chosen: Asked | None = None) -> list[tuple[Any, ...]]:
    return connection.execute(expand(PANELS[name].sql, chosen or asked()).encode()).fetchall()


def fits(value: Any, unit: Unit) -> bool:
    if value is None:
        return True
    if unit is Unit.TIME:
        # A grouped time is seconds, as Grafana's macro makes it.
        return isinstance(value, datetime | Decimal)
    return isinstance(value, int | float | Decimal) if unit in NUMERIC else isinstance(value, str)


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_gives_what_it_says(connection: psycopg.Connection, name: str) -> None:
    panel: Panel = PANELS[name]
    found = connection.execute(expand(panel.sql, asked(*EVERY)).encode())
    assert [column.name for column in found.description or ()] == [column.name for column in panel.answer]
    rows = found.fetchall()
    assert rows
    for row in rows:
        assert all(fits(value, column.unit) for value, column in zip(row, panel.answer, strict=True)), row
        if panel.unit is Unit.SHARE and panel.kind is not Kind.TABLE:
            assert 0 <= row[-1] <= 1
    if panel.kind in SERIES:
        assert [row[0] for row in rows] == sorted(row[0] for row in rows)
        assert len({row[:2] for row in rows}) == len(rows), "two values of one series at one time"


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_of_an_empty_span_has_no_row_of_the_past(connection: psycopg.Connection, name: str) -> None:
    until = datetime(2001, 2, 1, tzinfo=UTC)
    empty = Asked(until - timedelta(days=7), until, "1d", ("tiny", "second"))
    rows = connection.execute(expand(PANELS[name].sql, empty).encode()).fetchall()
    assert not rows or "whatever the span" in PANELS[name].says or name.startswith("infrastructure/")


def test_predictions_are_those_of_the_log(platform: Filled, connection: psycopg.Connection) -> None:
    predicted = {name: sum(reply["counts"]["scored"] for reply in replies) for name, replies in platform.replies.items()}
    contacts = {
        name: sum(p["decision"] == "contact" for reply in replies for p in reply["predictions"])
        for name, replies in platform.replies.items()
    }
    scores = [p["score"] for replies in platform.replies.values() for reply in replies for p in reply["predictions"]]
    assert dict(answer(connection, "predictions/predictions")) == predicted
    assert sum(value for _, _, value in answer(connection, "predictions/over-time")) == sum(predicted.values())
    assert {name: round(share * predicted[name]) for name, share in answer(connection, "predictions/contact-share")} == contacts
    tenths = Counter(min(9, math.floor(10 * score)) for score in scores)
    assert [value for _, value in answer(connection, "predictions/scores")] == [tenths[n] for n in range(10)]
    models = {row[0]: row[2:5] for row in answer(connection, "predictions/by-model")}
    assert models == {name: (DAYS, predicted[name], contacts[name]) for name in predicted}
    assert len(answer(connection, "predictions/over-time", asked("tiny"))) == DAYS


def test_outcomes_and_money_are_those_of_the_log(platform: Filled, connection: psycopg.Connection) -> None:
    for name in ("tiny", "second"):
        economics, labels = platform.campaigns[name].economics, platform.labels[name]
        every = [p for reply in platform.replies[name] for p in reply["predictions"]]
        known = [(p, label) for p, label in zip(every, labels, strict=False) if p["decision"] == "contact"]
        (row,) = answer(connection, "value/in-full", asked(name))
        contacts = [p for p in every if p["decision"] == "contact"]
        expected = sum(p["score"] for p in contacts) * float(economics.conversion_value) - len(contacts) * float(economics.contact_cost)
        yes = sum(label for _, label in known)
        profit = yes * economics.conversion_value - len(known) * economics.contact_cost
        assert (row[2], row[3], row[5], row[6], row[8]) == (len(contacts), len(contacts) * economics.contact_cost, len(known), yes, profit)
        assert row[4] == pytest.approx(expected, rel=1e-9)
        assert answer(connection, "value/known-profit", asked(name)) == [(f"{name}, {economics.currency}", float(profit))]
        assert sum(value for *_, value in answer(connection, "value/known-over-time", asked(name))) == pytest.approx(float(profit))
        calibration = answer(connection, "performance/calibration", asked(name))
        assert (sum(r[2] for r in calibration), sum(r[3] for r in calibration)) == (len(labels), sum(labels))
        (told,) = answer(connection, "quality/rows", asked(name))
        refused = sum(reply["counts"]["refused"] for reply in platform.replies[name])
        assert told == (name, len(every) + refused, len(every), refused, len(labels) + 3, len(labels), 3)


def test_coverage_knows_which_days_have_outcomes(platform: Filled, connection: psycopg.Connection) -> None:
    shares = [share for _, _, share in answer(connection, "performance/coverage", asked("tiny"))]
    assert shares == [1.0] * (DAYS - 3) + [0.0] * 3


def test_traffic_is_what_the_service_answered(platform: Filled, connection: psycopg.Connection) -> None:
    found = dict(answer(connection, "traffic/requests"))
    assert (found["predictions"], found["outcomes"]) == (3 * DAYS + 1, 2)
    ((_, share),) = answer(connection, "traffic/failed")
    assert share == pytest.approx(1 / sum(found.values()))
    latencies = {metric: value for _, metric, value in answer(connection, "traffic/latency")}
    assert 0 < latencies["50 %"] <= latencies["95 %"] <= latencies["99 %"]


def test_the_counted_and_the_uncounted_log_say_the_same(platform: Filled) -> None:
    """Before anything is counted ahead, after, after a row of the past, and after that was counted anew: always the log's own numbers."""
    names = (
        "predictions/predictions",
        "predictions/scores",
        "value/in-full",
        "quality/rows",
        "quality/outcomes",
        "performance/calibration",
    )
    with psycopg.connect(platform.urls.owner_url, options="-c timezone=UTC") as owner:
        assert owner.execute("select count(*) > 0 from prediction_hour").fetchone() == (True,)

        def now() -> list[Any]:
            return [_rounded(answer(owner, name)) for name in names]

        counted = now()
        owner.execute("update counted_until set until = '-infinity'")
        assert now() == counted
        owner.execute("update counted_until set until = now() - interval '5 days'")
        assert now() == counted
        while owner.execute("select count_panel_hours('40 days')").fetchone() == (True,):
            pass
        assert now() == counted
        owner.execute("delete from prediction_hour where campaign = 'tiny' and since < now() - interval '6 days'")
        assert now() != counted
        assert owner.execute("select recount_panel_hours() is not null").fetchone() == (True,)
        assert now() == counted
        assert owner.execute("select recount_panel_hours()").fetchone() == (None,)
        owner.rollback()


def _rounded(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    # Sums of floating-point numbers depend on their order.
    return [tuple(round(value, 9) if isinstance(value, float) else value for value in row) for row in rows]


@pytest.mark.parametrize("alert", all_alerts(campaigns()), ids=lambda alert: alert.key)
def test_an_alert_gives_numbers_by_name(connection: psycopg.Connection, alert: Any) -> None:
    assert "$" not in alert.sql
    found = connection.execute(alert.sql.encode())
    assert [column.name for column in found.description or ()] == ["time", "metric", "value"]
    rows = found.fetchall()
    assert rows
    assert all(isinstance(value, float) for *_, value in rows)
    firing = {metric for _, metric, value in rows if value > alert.above}
    # One of the few requests was refused for want of a model, and the customers of one campaign grew old; nothing else is wrong here.
    assert firing == {"failing": {"service"}, "drift": {"moved"}}.get(alert.key, set())


def test_alerts_fire_where_nobody_monitors(platform: Filled) -> None:
    late, silent, drift = (next(a for a in all_alerts(campaigns()) if a.key == key) for key in ("monitoring-late", "silent", "drift"))
    with psycopg.connect(platform.urls.owner_url) as owner:
        owner.execute("update monitor_run set created_at = created_at - interval '2 days' where campaign = 'tiny'")
        owner.execute("update monitor_run set alarm = 'alarm' where campaign = 'second'")
        owner.execute("delete from prediction_request where campaign = 'tiny' and received_at > now() - interval '2 days'")
        owner.execute("update counted_until set until = '-infinity'")
        assert _fires(owner, late) == {"tiny"}
        assert _fires(owner, silent) == {"tiny"}
        assert _fires(owner, drift) == {"second", "moved"}
        owner.rollback()


def _fires(owner: psycopg.Connection, alert: Any) -> set[str]:
    return {metric for _, metric, value in owner.execute(alert.sql.encode()).fetchall() if value > alert.above}


def test_a_role_that_inserts_can_count_and_not_change(connection: psycopg.Connection, platform: Filled) -> None:
    with psycopg.connect(platform.urls.app_url, autocommit=True) as app:
        app.execute("select count_panel_hours(), forget_service_minutes(now())")
        for statement in (
            "delete from prediction_hour",
            "update counted_until set until = now()",
            "insert into prediction_hour default values",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement.encode())
        # However soon a caller wants them forgotten: a month stays.
        assert app.execute("select count(*) > 0 from service_minute").fetchone() == (True,)
