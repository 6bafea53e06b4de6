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

from propensity.adapters.platform import Platform
from propensity.cron import parse_cron
from propensity.decisions import State
from propensity.flow_health import states
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


CRONS = (
    "0 6 * * *",
    "25 */6 * * *",
    "30 5,12 * * *",
    "0 3 5 * *",
    "*/5 * * * *",
    "15 8-18/2 1-7 jan,JUL mon",
    "0 0 29 2 *",
    "10 4 13 * 7",
    "0 22 * * sun-tue",
)


@pytest.mark.parametrize("line", CRONS)
def test_sql_and_the_platform_agree_on_what_was_due(connection: psycopg.Connection, line: str) -> None:
    moments = [datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC) + timedelta(hours=311 * step, minutes=step) for step in range(40)]
    moments += [datetime(2026, 3, 1, tzinfo=UTC), datetime(2025, 7, 7, 8, 15, tzinfo=UTC)]
    rows = connection.execute(
        "select panels.last_due(%s, m) from unnest(%s::timestamptz[]) with ordinality as t (m, n) order by n", (line, moments)
    )
    assert [due for (due,) in rows.fetchall()] == [parse_cron(line).previous(moment) for moment in moments]


def test_flows_stand_as_the_platform_says(platform: Filled, connection: psycopg.Connection) -> None:
    _, known = states(_loop(platform).heartbeats)
    expected = {(s.schedule.flow, s.schedule.campaign): (s.state, s.last_due) for s in known}
    rows = answer(connection, "flows/health", asked(*EVERY))
    assert {(flow, campaign): (state, due) for flow, campaign, state, due, *_ in rows} == expected
    failed = next(row for row in rows if row[:3] == ("score", "second", "failed"))
    assert (failed[4], failed[7]) == (None, "RuntimeError")
    assert next(row for row in rows if row[:2] == ("monitor", "tiny"))[2] == "ok"
    counted = Counter(state for state, _ in expected.values())
    assert dict(answer(connection, "flows/states", asked(*EVERY))) == {"failed": counted["failed"], "late": counted["late"]}
    assert counted["failed"] == 1
    ended = {metric: sum(v for _, m, v in answer(connection, "flows/runs") if m == metric) for metric in ("succeeded", "failed")}
    assert ended == {"succeeded": 3, "failed": 2}
    # The checker and what belongs to no campaign are shown with every choice; another campaign's flows are not.
    assert {campaign for _, campaign, *_ in answer(connection, "flows/health", asked("tiny"))} == {"tiny", "platform"}


def test_each_state_of_a_flow_is_told(platform: Filled) -> None:
    """Late, due, running, waiting, retired: whatever the clock says while tests run, by schedules made for it."""
    with psycopg.connect(platform.urls.owner_url) as owner:
        add = "insert into flow_schedule (flow, campaign, cron, grace_s, registered_at) values (%s, 'tiny', %s, %s, now() + %s)"
        hour, day = timedelta(hours=1), timedelta(days=1)
        for flow, cron, grace_s, since in [
            ("x-late", "* * * * *", 0, -day),
            ("x-due", "* * * * *", 3600, -day),
            ("x-running", "* * * * *", 3600, -day),
            ("x-waiting", "* * * * *", 0, hour),
            ("x-retired", None, 0, -day),
        ]:
            owner.execute(add, (flow, cron, grace_s, since))
        owner.execute(
            "insert into flow_heartbeat (run_id, flow, campaign, event, due)"
            " values (gen_random_uuid(), 'x-running', 'tiny', 'started', now())"
        )
        found = {row[0]: row[2] for row in answer(owner, "flows/health", asked("tiny")) if row[0].startswith("x-")}
        # A minute begins while nobody looks: what is due every minute is late as soon as its grace of none is over.
        assert found == {"x-late": "late", "x-due": "due", "x-running": "running", "x-waiting": "waiting"}
        owner.rollback()


def test_alerts_are_those_that_were_raised(platform: Filled, connection: psycopg.Connection) -> None:
    stored = _loop(platform).alerts.recent(500)
    states_of = Counter((one.alert.campaign, one.state) for one in stored)
    for key, state in (("alerts/open", "open"), ("alerts/acknowledged", "acknowledged")):
        assert dict(answer(connection, key, asked(*EVERY))) == {
            name: states_of[name, state] for name in {campaign for campaign, _ in states_of}
        }
    assert {one.state for one in stored} == {"open", "acknowledged", "resolved"}
    standing = {row[0]: row for row in answer(connection, "alerts/standing", asked(*EVERY))}
    assert standing.keys() == {one.alert_id for one in stored if one.first("resolved", "closed") is None}
    for one in stored:
        if one.alert_id in standing:
            sent, failed = ({(e.channel, e.occasion) for e in one.events if e.event == event} for event in ("sent", "failed"))
            assert standing[one.alert_id][6:8] == (len(sent), len(failed - sent))
    assert any(row[6:8] == (1, 1) for row in standing.values()), "one channel works, the other never does"
    drift = next(row for row in standing.values() if row[1:3] == ("moved", "drift"))
    told = next(one.alert.impact for one in stored if one.alert_id == drift[0])
    assert told is not None
    assert drift[8:] == (pytest.approx(told.amount), "EUR")
    assert sum(value for *_, value in answer(connection, "alerts/raised", asked(*EVERY))) == len(stored)
    assert len(answer(connection, "alerts/history", asked(*EVERY))) == len(stored)


def test_what_waits_is_what_the_ledger_says(platform: Filled, connection: psycopg.Connection) -> None:
    at = _loop(platform)
    expected = set()
    for name in ("tiny", "second"):
        state = State.read(at.ledger, name)
        expected |= {(name, row.model_version, "fits" if state.fits(row) else "overtaken") for row in state.waiting()}
    found = {(row[0], row[1], row[5]) for row in answer(connection, "models/waiting", asked(*EVERY))}
    assert found == expected
    assert {(name, fits) for name, _, fits in found} >= {("tiny", "fits")}
    with psycopg.connect(platform.urls.owner_url) as owner:
        # Another model goes live, then is recalibrated: what was judged against it still fits, what was judged before does not.
        copy = "insert into promotion (campaign, sequence, action, model_digest, model_version, replaces, reasons, evidence, actor, step)"
        live = str(State.read(at.ledger, "tiny").live_digest)
        for number, action, digest, replaces, evidence, step in [
            (90, "promote", "a" * 64, live, "{}", ""),
            (91, "refuse", "b" * 64, "a" * 64, "{}", "pending"),
            (92, "promote", "c" * 64, "a" * 64, f'{{"recalibrates": "{"a" * 64}"}}', ""),
        ]:
            owner.execute(
                f"{copy} values ('tiny', %s, %s, %s, %s, %s, '[]', %s, 'x', %s)".encode(),
                (number, action, digest, digest[:12], replaces, evidence, step),
            )
        standing = {row[1]: row[5] for row in answer(owner, "models/waiting", asked("tiny"))}
        assert standing.pop("b" * 12) == "fits"
        assert set(standing.values()) == {"overtaken"}
        owner.execute(f"{copy} values ('tiny', 93, 'refuse', %s, %s, null, '[]', '{{}}', 'x', 'rejected')".encode(), ("b" * 64, "b" * 12))
        assert "b" * 12 not in {row[1] for row in answer(owner, "models/waiting", asked("tiny"))}
        owner.rollback()


def test_comparisons_are_the_looks_that_stand(platform: Filled, connection: psycopg.Connection) -> None:
    looks = {name: _loop(platform).comparisons.last(name, 50) for name in ("tiny", "second")}
    assert all(len(found) == 3 for found in looks.values())
    newest = {row[0]: row for row in answer(connection, "models/comparisons", asked(*EVERY))}
    for name, (last, *_) in looks.items():
        row, gain = newest[name], last.gain
        assert row[1:6] == ("challenge", last.champion[:12], last.challenger[:12], last.verdict, last.judged_by)
        assert row[6:9] == (pytest.approx(gain.gain), pytest.approx(gain.always_low), pytest.approx(gain.always_high))
        assert (row[9], row[10], row[11]) == (last.predicted, pytest.approx(last.coverage), last.rows_needed)
        line = {
            part: [v for _, m, v in answer(connection, "models/gain", asked(name)) if m.endswith(part)] for part in ("gain", "low", "high")
        }
        assert line["gain"] == pytest.approx([one.gain.gain for one in reversed(looks[name])])
        assert all(low < gain < high for low, gain, high in zip(line["low"], line["gain"], line["high"], strict=True))


def test_shadow_scores_are_counted_against_the_log(platform: Filled, connection: psycopg.Connection) -> None:
    predicted = {name: sum(reply["counts"]["scored"] for reply in platform.replies[name]) for name in ("tiny", "second")}
    assert {row[0]: row[2] for row in answer(connection, "models/shadow", asked(*EVERY))} == predicted
    assert all(row[3] == 0 and row[5] < 1 for row in answer(connection, "models/shadow", asked(*EVERY)))
    assert [share for *_, share in answer(connection, "models/shadow-share", asked("tiny"))] == [1.0] * DAYS
    with psycopg.connect(platform.urls.owner_url) as owner:
        newest = "(select max(received_at) from shadow_prediction where campaign = 'tiny')"
        owner.execute(
            f"update shadow_prediction set scores = null, skipped = 'x' where campaign = 'tiny' and received_at = {newest}".encode()
        )
        assert [share for *_, share in answer(owner, "models/shadow-share", asked("tiny"))] == [1.0] * (DAYS - 1)
        ((*_, scored, skipped, _, behind),) = answer(owner, "models/shadow", asked("tiny"))
        assert (scored, skipped, behind) == (predicted["tiny"] - platform.replies["tiny"][-1]["counts"]["scored"], 1, 0)
        owner.execute(f"delete from shadow_prediction where campaign = 'tiny' and received_at = {newest}".encode())
        assert answer(owner, "models/shadow", asked("tiny"))[0][5] == pytest.approx(24)
        owner.rollback()


def test_alarms_and_their_money_are_those_of_the_runs(platform: Filled, connection: psycopg.Connection) -> None:
    runs = {name: next(run for run in _loop(platform).monitors.runs(name) if run.kind == "drift") for name in EVERY}
    verdicts = {row[0]: row[2] for row in answer(connection, "drift/verdicts", asked(*EVERY)) if row[1] == "drift"}
    assert verdicts == {name: run.alarm for name, run in runs.items()}
    assert verdicts["moved"] == "alarm"
    counted = {name: value for _, name, value in answer(connection, "drift/in-alarm", asked(*EVERY))}
    moved = runs["moved"].metrics
    state = {m.column or "the scores": m for m in moved if m.metric == "chance" and m.verdict in ("alarm", "watch")}
    assert counted["moved"] == sum(m.verdict == "alarm" for m in state.values()) > 0
    assert counted["tiny"] == 0
    found = {row[1]: row for row in answer(connection, "drift/alarms", asked("moved"))}
    assert found.keys() == state.keys() >= {"age"}
    worth = {m.column: m for m in moved if m.metric == "impact_per_1000"}
    chance = state["age"]
    assert found["age"][2:6] == (chance.verdict, pytest.approx(chance.value), pytest.approx(chance.alert), chance.rows)
    assert found["age"][6:] == pytest.approx((worth["age"].value, worth["age"].low, worth["age"].high))
    lines = {metric: value for _, metric, value in answer(connection, "drift/impact", asked("moved"))}
    whole = worth[None]
    assert lines == pytest.approx({"moved, EUR": whole.value, "moved, EUR: low": whole.low, "moved, EUR: high": whole.high})


def test_estimates_stand_beside_what_happened(platform: Filled, connection: psycopg.Connection) -> None:
    for name in ("tiny", "second"):
        runs = _loop(platform).monitors.runs(name)
        drift, performance = (next(run for run in runs if run.kind == kind) for kind in ("drift", "performance"))
        estimated = {m.metric.removeprefix("estimated_"): m for m in drift.metrics if m.metric.startswith("estimated_")}
        realised = {m.metric: m.value for m in performance.metrics if m.column is None}
        rows = {row[1].replace(" ", "_"): row for row in answer(connection, "performance/estimated", asked(name))}
        assert rows.keys() == estimated.keys() & realised.keys() >= {"roc_auc", "precision", "recall", "profit_per_1000", "positive_rate"}
        for figure, row in rows.items():
            one = estimated[figure]
            assert row[2] == pytest.approx(one.value)
            assert row[5] == pytest.approx(realised[figure])
            inside = None if one.low is None or one.high is None else "within" if one.low <= realised[figure] <= one.high else "outside"
            assert row[6] == inside
        lines = {metric: value for _, metric, value in answer(connection, "performance/estimated-auc", asked(name))}
        assert lines == pytest.approx({f"{name}, estimated": estimated["roc_auc"].value, f"{name}, realised": realised["roc_auc"]})
        shares = {metric: value for _, metric, value in answer(connection, "performance/mature-coverage", asked(name))}
        assert shares[name] == pytest.approx(len(platform.labels[name]) / realised["predicted"])


def test_outcomes_by_status_and_refused_rows(platform: Filled, connection: psycopg.Connection) -> None:
    for name in ("tiny", "second"):
        assert answer(connection, "performance/by-status", asked(name)) == [(name, len(platform.labels[name]), 1, 1, 0, 0, 0, 1, 0, 0)]
        counts = [reply["counts"] for reply in platform.replies[name]]
        refused, sent = sum(c["refused"] for c in counts), sum(c["refused"] + c["scored"] for c in counts)
        assert answer(connection, "quality/refused-share", asked(name)) == [(name, pytest.approx(refused / sent))]
        lines = {metric: value for _, metric, value in answer(connection, "quality/refused-interval", asked(name))}
        assert lines[name] == pytest.approx(refused / sent)
        assert lines[f"{name}: low"] < lines[name] < lines[f"{name}: high"]
    with psycopg.connect(platform.urls.owner_url) as owner:
        # Told once more in another row, it waits in that row alone.
        owner.execute(
            "insert into outcome (campaign, prediction_id, customer_id, label, status, source, follows)"
            " select campaign, prediction_id, customer_id, label, status, source, id from outcome"
            " where status = 'unmatched' and campaign = 'tiny'"
        )
        assert answer(owner, "performance/by-status", asked("tiny"))[0][7] == 1
        owner.rollback()


def _loop(platform: Filled) -> Platform:
    assert platform.installation is not None
    return platform.installation
