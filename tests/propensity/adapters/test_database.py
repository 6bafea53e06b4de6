"""A server of its own, because it is frozen and killed here."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.types.json import Jsonb

from local.postgres import EmbeddedPostgres
from local.postgres_urls import DatabaseUrls
from propensity.adapters.connections import Clocked
from propensity.adapters.database import Cursor, Database
from propensity.adapters.migrate import migrate
from propensity.adapters.pg_arrays import PgArray, register
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.errors import DatabaseUnavailable, DataError, SettingsInvalid
from propensity.ports import LoggedRequest

TIMEOUT_S = 1.0
# What must be over when the deadline has passed; a hang lasts for minutes.
PATIENCE_S = TIMEOUT_S + 20


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with tempfile.TemporaryDirectory(prefix="propensity-faults-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        with EmbeddedPostgres(Path(folder), fsync=False) as running:
            yield running


@pytest.fixture(scope="module")
def urls(server: EmbeddedPostgres) -> DatabaseUrls:
    migrate(server.urls().owner_url)
    return server.urls()


@pytest.fixture
def database(urls: DatabaseUrls) -> Iterator[Database]:
    made = Database(urls.app_url, pool_size=3, timeout_s=TIMEOUT_S)
    yield made
    made.close()


@contextmanager
def frozen(server: EmbeddedPostgres) -> Iterator[None]:
    """The postmaster and all its children stand still, as on a machine that hangs; its kernel goes on answering."""
    postmaster = server.pid()
    assert postmaster is not None
    os.kill(postmaster, signal.SIGSTOP)
    children = [int(pid) for pid in Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()]
    for child in children:
        os.kill(child, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in [*children, postmaster]:
            os.kill(pid, signal.SIGCONT)


def finish(database: Database, period: str) -> None:
    with database.transaction() as cursor:
        cursor.execute("insert into flow_period values ('flow', 'campaign', %s, '{}')", (period,))


def periods(urls: DatabaseUrls) -> set[str]:
    with psycopg.connect(urls.app_url) as connection:
        return {period for (period,) in connection.execute("select period from flow_period").fetchall()}


def eventually(attempt: Callable[[], None]) -> None:
    """Try again until Postgres answers."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return attempt()
        except DatabaseUnavailable:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def test_a_failed_block_leaves_nothing(database: Database, urls: DatabaseUrls) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as cursor:  # noqa: PT012 (the block is what fails)
        cursor.execute("insert into flow_period values ('flow', 'campaign', 'failed', '{}')")
        raise ZeroDivisionError
    finish(database, "succeeded")
    assert "succeeded" in periods(urls)
    assert "failed" not in periods(urls)


@pytest.mark.parametrize("idle_connections", [0, 3])
def test_a_frozen_server_is_left_behind(server: EmbeddedPostgres, urls: DatabaseUrls, database: Database, idle_connections: int) -> None:
    together = threading.Barrier(max(1, idle_connections))

    def use(_: int) -> None:
        with database.transaction():
            together.wait()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(use, range(idle_connections)))
        names = [f"frozen-{idle_connections}-{i}" for i in range(8)]
        with frozen(server):
            waiting = [threads.submit(finish, database, name) for name in names]
            for one in waiting:
                with pytest.raises(DatabaseUnavailable):
                    one.result(PATIENCE_S)
            with pytest.raises(DatabaseUnavailable):
                database.ping()
        eventually(database.ping)
        for name in names:
            finish(database, name + "-again")
    # Nothing that the callers were told was not confirmed is committed behind their backs: no commit had been sent.
    assert not set(names) & periods(urls)
    assert {name + "-again" for name in names} <= periods(urls)


def test_a_server_that_freezes_within_a_transaction(server: EmbeddedPostgres, urls: DatabaseUrls, database: Database) -> None:
    def insert_into_ice() -> None:
        with database.transaction() as cursor, frozen(server):
            cursor.execute("insert into flow_period values ('flow', 'campaign', 'within', '{}')")

    with ThreadPoolExecutor(1) as thread, pytest.raises(DatabaseUnavailable):
        thread.submit(insert_into_ice).result(PATIENCE_S)
    eventually(database.ping)
    assert "within" not in periods(urls)


class Freezes(Database):
    """A database whose server freezes before it has read what it is to write, or once all of it but the commit was answered."""

    def __init__(self, url: str, server: EmbeddedPostgres, *, at_commit: bool) -> None:
        super().__init__(url, pool_size=1, timeout_s=1.0)
        self.ping()  # the connection is made while the server still answers
        self._server, self._at_commit = server, at_commit

    def write(self, statements: Sequence[tuple[str, Sequence[Any]]], *, deadline: float | None = None) -> list[int]:
        if self._at_commit:
            nothing = ("with in_time as (select %b::float8) select from in_time where false", ())
            return super().write([*statements, nothing], deadline=deadline)
        with frozen(self._server):
            return super().write(statements, deadline=deadline)

    def _commit(self, cursor: Cursor) -> None:
        with frozen(self._server):
            super()._commit(cursor)


def an_entry(campaign: str) -> LoggedRequest:
    one = np.ones(1)
    values: tuple[Any, ...] = ("d", "1", {}, "e", ["a"], one.astype(int), one.reshape(1, 1), one, one > 0, 1, 0, "test")
    return LoggedRequest(str(uuid.uuid4()), campaign, *values)


@pytest.mark.parametrize("key", [None, "k"])
def test_what_a_frozen_server_finds_later_is_not_written(
    server: EmbeddedPostgres, urls: DatabaseUrls, database: Database, key: str | None
) -> None:
    campaign = f"frozen-{key}"
    iced = Freezes(urls.app_url, server, at_commit=False)
    with pytest.raises(DatabaseUnavailable):
        PostgresPredictionLog(iced).append(an_entry(campaign), idempotency_key=key, body_sha256="body", reply=b"first")
    iced.close()
    eventually(database.ping)
    log = PostgresPredictionLog(database)
    time.sleep(0.5)
    assert log.count(campaign) == 0
    assert log.append(an_entry(campaign), idempotency_key=key, body_sha256="body", reply=b"second") is None
    assert log.count(campaign) == 1


def test_a_commit_without_an_answer_is_safe_to_repeat(server: EmbeddedPostgres, urls: DatabaseUrls, database: Database) -> None:
    iced = Freezes(urls.app_url, server, at_commit=True)
    with pytest.raises(DatabaseUnavailable):
        PostgresPredictionLog(iced).append(an_entry("at-commit"), idempotency_key="k", body_sha256="body", reply=b"first")
    iced.close()
    log = PostgresPredictionLog(database)
    eventually(database.ping)
    again = log.append(an_entry("at-commit"), idempotency_key="k", body_sha256="body", reply=b"second")
    stored = log.stored_reply("at-commit", "", "k")
    assert stored is not None
    assert stored.reply == (b"second" if again is None else b"first")
    assert log.count("at-commit") == 1


def test_after_a_missed_deadline_all_but_one_are_refused_at_once(server: EmbeddedPostgres, urls: DatabaseUrls) -> None:
    patient = Database(urls.app_url, pool_size=4, timeout_s=1.0)
    patient.ping()

    def seconds(_: int) -> float:
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            patient.ping()
        return time.monotonic() - began

    with frozen(server), ThreadPoolExecutor(40) as threads:
        assert seconds(0) > 0.9
        waited = sorted(threads.map(seconds, range(40)))
        assert sum(wait > 0.5 for wait in waited) <= 3
    eventually(patient.ping)
    patient.close()


def test_a_killed_server_comes_back(server: EmbeddedPostgres, urls: DatabaseUrls, database: Database) -> None:
    finish(database, "before")
    postmaster = server.pid()
    assert postmaster is not None
    with pytest.raises(DatabaseUnavailable), database.transaction() as cursor:  # noqa: PT012 (its end is what fails)
        cursor.execute("insert into flow_period values ('flow', 'campaign', 'during', '{}')")
        os.kill(postmaster, signal.SIGQUIT)  # what `pg_ctl stop -m immediate` sends
        until = time.monotonic() + PATIENCE_S
        while server.pid() is not None and time.monotonic() < until:
            time.sleep(0.05)
    with pytest.raises(DatabaseUnavailable):
        database.ping()
    server.start()
    eventually(lambda: finish(database, "after"))
    assert {"before", "after"} <= periods(urls)
    assert "during" not in periods(urls)


def test_connections_lost_while_idle_fail_nobody(urls: DatabaseUrls, server: EmbeddedPostgres, database: Database) -> None:
    database.ping()
    with database.statement() as cursor:
        row = cursor.execute("select pg_backend_pid()").fetchone()
    assert row is not None
    with psycopg.connect(urls.app_url, autocommit=True) as other:
        # The same role may end its own sessions.
        other.execute("select pg_terminate_backend(%s, 5000)", (row[0],))
    database.ping()


def test_more_threads_than_connections(urls: DatabaseUrls) -> None:
    patient = Database(urls.app_url, pool_size=3, timeout_s=30.0)
    with ThreadPoolExecutor(20) as threads:
        list(threads.map(lambda i: finish(patient, f"many-{i}"), range(60)))
    patient.close()
    assert {f"many-{i}" for i in range(60)} <= periods(urls)


def test_all_connections_taken(urls: DatabaseUrls) -> None:
    small = Database(urls.app_url, pool_size=1, timeout_s=0.2)
    with small.transaction(30.0), pytest.raises(DatabaseUnavailable):
        small.ping()
    eventually(small.ping)
    small.close()


def test_a_statement_that_takes_too_long(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable), database.transaction(0.2) as cursor:
        cursor.execute("select pg_sleep(60)")
    database.ping()


def test_a_longer_limit_is_for_one_transaction(database: Database) -> None:
    with database.transaction(30.0) as cursor:
        cursor.execute("select pg_sleep(%s)", (TIMEOUT_S * 1.5,))
    with database.statement() as cursor:
        assert cursor.execute("show statement_timeout").fetchone() == ("1s",)


def test_starting_without_a_server_tells_no_secret() -> None:
    absent = Database("postgresql://somebody:secret-word@127.0.0.1:1/propensity", timeout_s=TIMEOUT_S)
    with pytest.raises(DatabaseUnavailable) as caught:
        absent.ping()
    assert "secret-word" not in str(caught.value)
    assert "somebody" not in str(caught.value)
    absent.close()


def test_a_closed_database_is_unavailable(urls: DatabaseUrls) -> None:
    closed = Database(urls.app_url)
    closed.ping()
    closed.close()
    with pytest.raises(DatabaseUnavailable):
        closed.ping()


def test_a_database_without_tables_asks_for_migrations(server: EmbeddedPostgres) -> None:
    empty = Database(server.create_database("empty").app_url, timeout_s=TIMEOUT_S)
    with pytest.raises(DatabaseUnavailable, match="migration"):
        finish(empty, "x")
    empty.close()
    server.drop_database("empty")


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
def test_a_text_that_cannot_be_stored_is_not_an_outage(database: Database, text: str) -> None:
    with pytest.raises(DataError) as caught:
        finish(database, text)
    assert caught.value.__suppress_context__
    database.ping()


def test_an_address_that_is_none() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        Database("secret-word://:not an address")
    assert "secret-word" not in str(caught.value)


VALUES = (
    "text with \u00e9 and \U0001f600",
    "",
    b"\x00\xff",
    7,
    -(2**40),
    0.1,
    None,
    PgArray(np.array([1, -5, 2**31 - 1])),
    PgArray(np.array([0.1, -0.0, 1e300])),
    PgArray(np.array([True, False])),
    PgArray(np.array([], dtype=np.float64)),
    Jsonb({"kind": "budget", "value": 1.5, "\u00e9": [None, True]}),
)


@pytest.fixture
def owned(urls: DatabaseUrls) -> Iterator[Clocked]:
    with Clocked.connect(urls.owner_url, autocommit=True) as connection:
        register(connection)
        connection.execute("create temporary table arrived (value text, kind text)")
        yield connection


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_parameter_arrives_as_the_driver_would_send_it(owned: Clocked, value: object) -> None:
    insert = "insert into arrived select v::text, pg_typeof(v)::text from (select %s as v) as given"
    cast = insert.replace("%s", "%s::int[]") if value is None else insert
    assert owned.run(cast, [value]) == 1
    owned.cursor(binary=True).execute(cast, (value,))
    by_run, by_driver = owned.execute("select * from arrived").fetchall()
    assert by_run[0] == by_driver[0]
    # The driver takes the narrowest integer that fits.
    assert by_run[1] == by_driver[1] or (isinstance(value, int) and by_run[1] == "bigint")


def test_a_statement_in_one_call_says_what_went_wrong(database: Database) -> None:
    with database.statement() as cursor:
        connection = cursor.connection
        assert isinstance(connection, Clocked)
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.run("select 1 / %s", [0])
        for text in ("a\0b", "\ud800"):
            with pytest.raises((psycopg.DataError, UnicodeEncodeError)):
                connection.run("insert into prediction_request (campaign) values (%s)", [text])
        with pytest.raises(TypeError, match="complex"):
            connection.run("select %s", [1j])
        # It goes on, and the same text is prepared once.
        assert [connection.run("select where %s > 1", [number]) for number in (1, 2, 3)] == [0, 1, 1]


def test_a_rollback_costs_no_later_write(urls: DatabaseUrls) -> None:
    """psycopg then drops what was prepared on the connection, by whomever."""
    database = Database(urls.app_url, pool_size=1)
    statement = ("select where extract(epoch from clock_timestamp()) < %b::float8", ())
    assert database.write([statement]) == [1]
    for number in range(8):  # psycopg prepares what it has run five times
        with database.statement() as cursor:
            cursor.execute("select %b::int8", (number,))
    with pytest.raises(ZeroDivisionError), database.transaction():
        1 / 0  # noqa: B018
    assert [database.write([statement]) for _ in range(2)] == [[1], [1]]
    database.close()
