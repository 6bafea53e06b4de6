"""Suppressions, contacts, arms and erasure in Postgres itself, with the role that may only insert and select."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import psycopg
import pytest

from local.postgres_urls import DatabaseUrls
from propensity.adapters.contacts import PostgresContactStore
from propensity.adapters.database import Database
from propensity.adapters.erasures import PostgresErasureStore
from propensity.adapters.outcomes import PostgresOutcomeStore
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.adapters.suppressions import PostgresSuppressionStore
from propensity.customer_key import customer_key
from propensity.errors import IdempotencyMismatch, SuppressionsChanged
from propensity.gate import ContactGate
from propensity.gate_ports import GateRecord
from propensity.ports import LoggedRequest, Outcome
from tests.builders import tiny_campaign
from tests.fake_gate import SECRETS

ALWAYS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
SETTLED = {"campaign": None, "note": None, "actor": "tester"}


@pytest.fixture
def campaign() -> str:
    return f"campaign-{uuid.uuid4().hex}"


@pytest.fixture
def suppressions(stores: Database) -> PostgresSuppressionStore:
    return PostgresSuppressionStore(stores)


@pytest.fixture
def contacts(stores: Database) -> PostgresContactStore:
    return PostgresContactStore(stores)


@pytest.fixture
def log(stores: Database) -> PostgresPredictionLog:
    return PostgresPredictionLog(stores)


def entry(campaign: str, names: list[str], gate: GateRecord | None = None) -> LoggedRequest:
    n = len(names)
    features = np.column_stack([np.arange(n, dtype=np.float64), np.full(n, 7.0), np.arange(n) / 3 + 0.1, np.arange(n) * 1000.0])
    return LoggedRequest(
        request_id=str(uuid.uuid4()), campaign=campaign, model_digest="d" * 64, model_version="7", policy={"kind": "profit"},
        declaration_digest="e" * 64, customer_ids=names, rows=np.arange(1, n + 1), features=features, scores=np.full(n, 0.5),
        contact=np.ones(n, dtype=np.bool_), received=n, refused=0, source="test", caller="me", gate=gate,
    )  # fmt: skip


def append(log: PostgresPredictionLog, request: LoggedRequest, key: str | None = None, reply: bytes = b"x" * 500) -> object:
    return log.append(request, idempotency_key=key, body_sha256="body", reply=reply)


def add(store: PostgresSuppressionStore, *names: str, reason: str = "objection", campaign: str | None = None) -> int:
    return store.add(list(names), campaign=campaign, action="add", reason=reason, note="by letter", actor="tester")


@pytest.mark.parametrize("key", [None, "k1"])
def test_the_log_takes_nothing_that_was_decided_without_the_newest_suppression(
    log: PostgresPredictionLog, suppressions: PostgresSuppressionStore, campaign: str, key: str | None
) -> None:
    version = suppressions.version()
    append(log, entry(campaign, ["a"], GateRecord(version)), key and "k0")
    newest = add(suppressions, f"b-{campaign}")
    assert newest == suppressions.version() == version + 1
    for gate in (GateRecord(version), GateRecord(version, held_out=[1], holdout_key="test", holdout_share=0.1)):
        with pytest.raises(SuppressionsChanged):
            append(log, entry(campaign, ["a"], gate), key)
    assert log.count(campaign) == 1
    append(log, entry(campaign, ["a"], GateRecord(newest)), key)
    assert log.count(campaign) == 2
    if key is not None:
        with pytest.raises(IdempotencyMismatch):
            log.append(entry(campaign, ["a"], GateRecord(version)), idempotency_key=key, body_sha256="other", reply=b"")


def test_suppressions_become_visible_in_the_order_of_their_ids(stores: Database, suppressions: PostgresSuppressionStore) -> None:
    """Whoever has seen the newest has seen all: a slow writer with a smaller id would be missed for ever."""
    seen: list[tuple[int, int]] = []
    stop = threading.Event()

    def watch() -> None:
        count = "select coalesce(max(id), 0), count(*) from suppression"
        while not stop.is_set():
            with stores.statement() as cursor:
                seen.append(cursor.execute(count).fetchone())  # type: ignore[arg-type]

    watching = threading.Thread(target=watch)
    watching.start()
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda at: add(suppressions, *[f"order-{at}-{n}" for n in range(at % 7 + 1)]), range(60)))
    stop.set()
    watching.join()
    # Ids of refused transactions would leave gaps; there are none here.
    first = seen[0][0] - seen[0][1]
    assert {newest - rows for newest, rows in seen} == {first}


def test_the_newest_entry_of_a_customer_and_a_campaign_holds(suppressions: PostgresSuppressionStore, campaign: str) -> None:
    name = f"C-{campaign}"
    begun = suppressions.version()
    add(suppressions, name)
    add(suppressions, name.upper(), campaign="small", reason="legal")
    suppressions.add([f" {name} "], action="lift", reason="lifted", **SETTLED)  # type: ignore[arg-type]
    changes = [row for page in suppressions.since(begun) for row in page]
    assert sorted((row[2] or "", row[3]) for row in changes) == [("", "lift"), ("small", "add")]
    assert {row[1] for row in changes} == {customer_key(name)}
    assert [row.reason for row in suppressions.listed(customer_id=name, campaign=None, limit=10, before=None)] == ["legal"]
    assert [row.action for row in suppressions.history(name)] == ["lift", "add", "add"]


def test_contacts_are_days_of_campaigns(
    log: PostgresPredictionLog, contacts: PostgresContactStore, stores: Database, campaign: str
) -> None:
    def known(within: int = 30) -> tuple[list[int], list[int]]:
        found = contacts.contacted(campaign, ["a", "b", "c"], within_days=within, longest_days=60)
        return found.own_days_ago.tolist(), found.others.tolist()

    never = 1_000_000
    # The log's own writing: today's contact of the campaign itself is no earlier one.
    append(log, entry(campaign, ["a", "b"], GateRecord(contacts=["a", "b"])))
    append(log, entry(campaign, ["a", "b"], GateRecord(contacts=["a"])), "key")
    assert known() == ([never] * 3, [0] * 3)
    append(log, entry(campaign + "-other", ["a"], GateRecord(contacts=["a"])))
    assert known() == ([never] * 3, [1, 0, 0])
    past = "insert into contact (customer_key, campaign, day, request_id) values (%s, %s, (now() at time zone 'UTC')::date - %s, %s)"
    with stores.transaction() as cursor:
        for key, name, days in (("b", campaign, 3), ("b", campaign, 3), ("b", campaign, 40), ("c", "third", 29), ("c", "third", 30)):
            cursor.execute(past, (key, name, days, uuid.uuid4()))
    assert known() == ([never, 3, never], [1, 1, 1])
    assert known(31) == ([never, 3, never], [1, 1, 2])
    with stores.transaction() as cursor:
        cursor.execute("select 1")


def test_what_the_gate_did_comes_back(log: PostgresPredictionLog, contacts: PostgresContactStore, campaign: str) -> None:
    names = ["a", "b", "c", "d"]
    plain = entry(campaign, names)
    gate = GateRecord(excluded=[2], reasons=["objection"], holdout_key="test", holdout_share=0.2, held_out=[4])
    gated = replace(entry(campaign, names, gate), contact=np.array([True, False, True, False]))
    append(log, plain)
    append(log, gated, "key")
    first, second = contacts.arms(campaign, *ALWAYS)
    assert (first.holdout_key, first.held_out.tolist(), first.request_id) == (None, [False] * 4, plain.request_id)
    assert (second.holdout_key, second.holdout_share, second.held_out.tolist()) == ("test", 0.2, [False, False, False, True])
    assert (list(second.customer_ids), second.contact.tolist()) == (names, gated.contact.tolist())
    # At the export: who was excluded with the answer is not counted again, nor is a second export of the same list.
    late = GateRecord(excluded=[2, 3], reasons=["objection", "legal"], contacts=["a"])
    for _ in range(2):
        contacts.export(gated.request_id, campaign, late)
    assert contacts.excluded(campaign, *ALWAYS) == {"answer": {"objection": 1}, "export": {"legal": 1}}


def test_the_application_may_not_change_what_is_kept(database: DatabaseUrls, stores: Database) -> None:
    stores.ping()
    with psycopg.connect(database.app_url, autocommit=True) as connection:
        columns = {
            "suppression": "actor",
            "contact": "campaign",
            "prediction_gate": "campaign",
            "erasure": "actor",
            "customer_salt": "salt",
        }
        for table, column in columns.items():
            for statement in (f"update {table} set {column} = ''", f"delete from {table}", f"truncate {table}"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("insert into erasure default values")
        for call in ("blank_packed_row('\\x01', 1, 1, 1)", "erase_logged(gen_random_uuid(), 'erased-x', now(), now(), '', '')"):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.RaiseException)):
                connection.execute(f"select {call}")


def test_erasure_makes_a_customer_unreadable_and_leaves_every_figure(
    log: PostgresPredictionLog, stores: Database, suppressions: PostgresSuppressionStore, contacts: PostgresContactStore, campaign: str
) -> None:
    name = f"Zoë-{campaign}"
    requests = [
        entry(campaign, ["a", name, "b"] * 20, GateRecord(contacts=[customer_key(name)])),
        entry(campaign, [name]),
        entry(campaign, ["c"]),
    ]
    for at, request in enumerate(requests):
        append(log, request, f"key-{at}")
    outcomes = PostgresOutcomeStore(stores)
    outcomes.record(campaign, [Outcome(True, None, customer_id=name)], "test")
    add(suppressions, name)
    gate = ContactGate(suppressions, contacts, SECRETS, counting=False)
    declared = tiny_campaign()
    assert gate.look(declared, [name]).codes is not None

    erasure_id = str(uuid.uuid4())
    store = PostgresErasureStore(stores)
    done = store.erase(erasure_id, name, actor="tester", reason="asked for", deadline_s=30)
    assert (done.complete, done.requests, done.predictions, done.replies) == (True, 2, 21, 2)
    assert (done.outcomes, done.suppressions, done.contacts) == (1, 1, 1)
    assert store.receipt(erasure_id) == done
    assert store.receipt(str(uuid.uuid4())) is None

    many, one, other = (log.request(request.request_id) for request in requests)
    token = f"erased-{erasure_id}"
    assert list(many.customer_ids) == ["a", token, "b"] * 20
    mine = np.arange(60) % 3 == 1
    assert many.features[~mine].tobytes() == requests[0].features[~mine].tobytes()
    # Stored once for all rows: it stays, and the receipt's list says so.
    assert many.features[mine, 1].tolist() == [7.0] * 20
    for column in (0, 2, 3):
        assert set(many.features[mine, column][~np.isnan(many.features[mine, column])].tolist()) <= {0.0}
    assert np.isnan(one.features).all()
    assert other.features.tobytes() == requests[2].features.tobytes()
    assert [log.stored_reply(campaign, "me", f"key-{at}").reply for at in range(3)] == [b"", b"", b"x" * 500]  # type: ignore[union-attr]
    for before, after in zip(requests, (many, one, other), strict=True):
        assert (after.scores.tolist(), after.contact.tolist()) == (before.scores.tolist(), before.contact.tolist())
    assert [request.told.sum() for request in outcomes.requests(campaign, *ALWAYS)].count(1) == 1

    # A process that begins now knows him by his hash, however the id is written; so does whoever lifts it.
    later = ContactGate(suppressions, contacts, SECRETS, counting=False)
    codes = later.look(declared, ["a", name.upper(), f" {name}"]).codes
    assert codes is not None
    assert codes.tolist() == [0, 2, 2]
    suppressions.add([name], action="lift", reason="lifted", **SETTLED)  # type: ignore[arg-type]
    later.refresh()
    assert later.look(declared, [name]).codes is None


def test_nothing_of_an_erased_customer_is_left_in_any_table(
    log: PostgresPredictionLog, stores: Database, database: DatabaseUrls, suppressions: PostgresSuppressionStore, campaign: str
) -> None:
    name = f"trace{uuid.uuid4().hex}"
    append(log, entry(campaign, [name, "b"], GateRecord(contacts=[name])), "key", reply=f"reply about {name}".encode() * 20)
    append(log, entry(campaign, [name]))
    PostgresOutcomeStore(stores).record(campaign, [Outcome(True, None, customer_id=name)], "test")
    add(suppressions, name)

    def tables() -> list[str]:
        with psycopg.connect(database.owner_url) as connection:
            kinds = "select relname from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace"
            names = [row[0] for row in connection.execute(kinds)]
            return [
                t for t in names if connection.execute(f"select count(*) from {t} as t where t::text like '%{name}%'").fetchone() != (0,)
            ]

    assert {"contact", "outcome", "prediction_request", "suppression"} <= set(tables())
    PostgresErasureStore(stores).erase(str(uuid.uuid4()), name, actor="tester", reason="asked for", deadline_s=30)
    assert tables() == []


def test_an_erasure_that_takes_too_long_says_so_and_goes_on(log: PostgresPredictionLog, stores: Database, campaign: str) -> None:
    name = f"C-{campaign}"
    append(log, entry(campaign, [name]))
    store, erasure_id = PostgresErasureStore(stores), str(uuid.uuid4())
    assert not store.erase(erasure_id, name, actor="tester", reason="asked for", deadline_s=0).complete
    assert store.receipt(erasure_id) is None
    assert store.erase(erasure_id, name, actor="tester", reason="asked for", deadline_s=30).complete
