"""Schedules and heartbeats on a real Postgres."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict

from local.postgres_urls import DatabaseUrls
from propensity.adapters.database import Database
from propensity.adapters.flow_heartbeats import PostgresHeartbeatStore
from propensity.adapters.prefect_tables import for_libpq, remove_old
from propensity.errors import DatabaseUnavailable
from propensity.flow_health import Schedule

DUE = datetime(2026, 3, 1, 6, tzinfo=UTC)


@pytest.fixture
def beats(stores: Database) -> PostgresHeartbeatStore:
    return PostgresHeartbeatStore(stores)


def schedule(flow: str, cron: str | None = "0 6 * * *") -> Schedule:
    return Schedule(flow, "c", cron, 60)


def test_what_is_scheduled_is_registered_once_by_any_number_at_once(beats: PostgresHeartbeatStore) -> None:
    wanted = [schedule("a"), schedule("b")]
    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(lambda _: beats.register(wanted), range(6))) == 2
    assert beats.register([schedule("c")], complete=False) == 1
    now, known = beats.schedules()
    assert [one.flow for one in known] == ["a", "b", "c"]
    assert all(one.since is not None and one.since <= now for one in known)
    assert beats.register([schedule("a", "0 7 * * *")]) == 3
    _, known = beats.schedules()
    assert [(one.flow, one.cron) for one in known] == [("a", "0 7 * * *")]
    assert beats.register([schedule("a", "0 7 * * *")]) == 0


def test_the_newest_of_each_kind_that_serves_a_due_time_counts(beats: PostgresHeartbeatStore) -> None:
    ids = [str(uuid.uuid4()) for _ in range(3)]
    for run_id, due in zip(ids, (DUE, DUE, None), strict=True):
        beats.beat(run_id, "newest", "c", "started", due)
        beats.beat(run_id, "newest", "c", "succeeded", due, {"seconds": 1.5})
    beats.beat(ids[1], "newest", "c", "succeeded", DUE, {"seconds": 9})
    found = beats.newest([("newest", "c"), ("nothing", "c")])
    assert list(found) == [("newest", "c")]
    assert {event: beat.run_id for event, beat in found["newest", "c"].items()} == {"started": ids[1], "succeeded": ids[1]}
    assert found["newest", "c"]["succeeded"].detail == {"seconds": 1.5}
    assert beats.newest([]) == {}


@pytest.fixture
def prefect_url(database: DatabaseUrls) -> Iterator[str]:
    """As much of Prefect's tables as is looked at."""
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("create schema prefect")
        owner.execute("set search_path = prefect")
        for table, column in (("events", "occurred"), ("event_resources", "occurred"), ("log", "timestamp")):
            owner.execute(f"create table {table} (id uuid default gen_random_uuid(), {column} timestamptz)")
            for days, rows in ((20, 25), (40, 7), (1, 3)):
                owner.execute(f"insert into {table} ({column}) select now() - interval '{days} days' from generate_series(1, {rows})")
        yield database.owner_url + ("&" if "?" in database.owner_url else "?") + "options=-csearch_path%3Dprefect"
        owner.execute("drop schema prefect cascade")


def rows_left(url: str) -> list[Any]:
    with psycopg.connect(url) as owner:
        return [owner.execute(f"select count(*) from {table}").fetchone() for table in ("event_resources", "events", "log")]


def test_old_events_go_in_small_transactions_and_are_counted(prefect_url: str) -> None:
    removed, left = remove_old(prefect_url, events_days=7, logs_days=30, batch_rows=10)
    assert (removed, left) == ({"event_resources": 32, "events": 32, "log": 7}, False)
    assert rows_left(prefect_url) == [(3,), (3,), (28,)]
    assert remove_old(prefect_url, events_days=7, logs_days=30)[0] == {"event_resources": 0, "events": 0, "log": 0}


def test_what_time_does_not_suffice_for_stays_for_the_next_night(prefect_url: str) -> None:
    assert remove_old(prefect_url, events_days=7, logs_days=30, limit_s=-1.0) == ({"event_resources": 0, "events": 0, "log": 0}, True)
    assert rows_left(prefect_url) == [(35,)] * 3


def test_a_password_beside_the_address_is_taken_and_not_that_of_the_platform(prefect_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = conninfo_to_dict(prefect_url)
    bare = f"postgresql://{told['user']}@{told['host']}:{told['port']}/{told['dbname']}?options=-csearch_path%3Dprefect"
    monkeypatch.setenv("PGPASSWORD", "of another role")
    assert remove_old(bare, password=str(told["password"]), events_days=7, logs_days=30)[0]["log"] == 7
    with pytest.raises(DatabaseUnavailable):
        remove_old(bare, events_days=7, logs_days=30)


def test_a_database_that_is_away_is_said_so_without_its_password() -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        remove_old("postgresql+asyncpg://prefect:canary@127.0.0.1:1/prefect", events_days=7, logs_days=30)
    assert "canary" not in str(caught.value)


def test_the_address_of_sqlalchemy_becomes_that_of_libpq() -> None:
    assert for_libpq("postgresql+asyncpg://u:p%40w@h:5432/d?ssl=require") == "postgresql://u:p%40w@h:5432/d?sslmode=require"


def test_nothing_is_taken_back(database: DatabaseUrls, beats: PostgresHeartbeatStore) -> None:
    with psycopg.connect(database.app_url) as app, pytest.raises(pg.InsufficientPrivilege):
        app.execute("delete from flow_heartbeat")
