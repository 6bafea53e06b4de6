from __future__ import annotations

import dataclasses
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest

from local.postgres_urls import DatabaseUrls
from propensity.adapters.database import Database
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.errors import DataError, IdempotencyInFlight, IdempotencyMismatch, NotFound
from propensity.ports import LoggedRequest, StoredReply

AWKWARD = [0.1, 4.857, float("nan"), 1e-320, -0.0, 3.0]
ALWAYS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


@pytest.fixture
def log(stores: Database) -> PostgresPredictionLog:
    return PostgresPredictionLog(stores)


@pytest.fixture
def campaign() -> str:
    return f"campaign-{uuid.uuid4().hex}"


def entry(campaign: str, rows: int = 3) -> LoggedRequest:
    rng = np.random.default_rng(rows)
    features = np.resize(np.array(AWKWARD), (rows, len(AWKWARD) + 1))
    scores = np.concatenate([np.array([0.1, 1 / 3, 1e-320]), rng.random(max(0, rows - 3))])[:rows]
    return LoggedRequest(
        request_id=str(uuid.uuid4()),
        campaign=campaign,
        model_digest="d" * 64,
        model_version="7",
        policy={"kind": "top_share", "value": 0.3},
        declaration_digest="e" * 64,
        customer_ids=tuple(f'Zoë "{i}", {{x}}\\' for i in range(rows)),
        rows=np.arange(2, 2 + rows),
        features=features,
        scores=scores,
        contact=scores > 0.2,
        received=rows + 1,
        refused=1,
        source="test",
        caller="me",
    )


def append(log: PostgresPredictionLog, request: LoggedRequest, key: str | None = None, body: str = "body") -> StoredReply | None:
    return log.append(request, idempotency_key=key, body_sha256=body, reply=f"reply to {request.request_id}".encode())


def same(one: LoggedRequest, other: LoggedRequest) -> bool:
    for field in dataclasses.fields(LoggedRequest):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            if a.dtype != b.dtype or a.shape != b.shape or a.tobytes() != b.tobytes():
                return False
        elif field.name != "received_at" and a != b:
            return False
    return True


@pytest.mark.parametrize("rows", [0, 1, 3, 1_000])
def test_a_request_comes_back_to_the_bit(log: PostgresPredictionLog, campaign: str, rows: int) -> None:
    request = entry(campaign, rows)
    assert append(log, request) is None
    stored = log.request(request.request_id)
    assert same(stored, request)
    assert stored.received_at is not None
    assert stored.received_at.utcoffset() == timedelta(0)
    assert log.count(campaign) == rows


@pytest.mark.parametrize("request_id", ["0f8e2d1c-5b7a-4c39-9e64-d2a1b3c4e5f6", "nonsense", "", "\x00"])
def test_an_unknown_request_is_not_found(log: PostgresPredictionLog, request_id: str) -> None:
    with pytest.raises(NotFound):
        log.request(request_id)


def test_the_view_shows_one_row_per_prediction(log: PostgresPredictionLog, stores: Database, campaign: str) -> None:
    request = entry(campaign)
    append(log, request)
    with stores.statement() as cursor:
        columns = "prediction_id, row_number, customer_id, score, contact, model_digest"
        rows = cursor.execute(f"select {columns} from prediction where campaign = %s order by position", (campaign,)).fetchall()
    expected = zip(request.rows.tolist(), request.customer_ids, request.scores.tolist(), request.contact.tolist(), strict=True)
    assert rows == [(f"{request.request_id}.{at}", *values, request.model_digest) for at, values in enumerate(expected, 1)]


def test_a_window_is_half_open_and_in_order(log: PostgresPredictionLog, campaign: str) -> None:
    requests = [entry(campaign, rows) for rows in (1, 9_000, 12_000, 30_000, 1, 2)]
    for request in requests:
        append(log, request)
    stored = list(log.window(campaign, *ALWAYS))
    assert [s.request_id for s in stored] == [r.request_id for r in requests]
    assert all(same(s, r) for s, r in zip(stored, requests, strict=True))
    second, last = stored[1].received_at, stored[-1].received_at
    assert second is not None
    assert last is not None
    assert [r.request_id for r in log.window(campaign, second, last)] == [r.request_id for r in requests[1:-1]]


def test_a_window_keeps_requests_of_the_same_moment(log: PostgresPredictionLog, stores: Database, campaign: str) -> None:
    first = entry(campaign, 1)
    append(log, first)
    copy = """insert into prediction_request select (r).* from (
        select jsonb_populate_record(p, jsonb_build_object('request_id', gen_random_uuid())) as r
        from prediction_request as p, generate_series(1, 1500) where campaign = %s) as copies"""
    with stores.statement() as cursor:
        cursor.execute(copy, (campaign,))
    assert len({r.request_id for r in log.window(campaign, *ALWAYS)}) == 1_501


def test_an_empty_window(log: PostgresPredictionLog, campaign: str) -> None:
    assert list(log.window(campaign, *ALWAYS)) == []
    assert log.count(campaign) == 0


def test_a_key_gives_the_same_reply_and_no_second_row(log: PostgresPredictionLog, campaign: str) -> None:
    first = entry(campaign)
    assert log.stored_reply(campaign, "me", "k") is None
    assert append(log, first, "k") is None
    expected = StoredReply("body", f"reply to {first.request_id}".encode(), first.request_id)
    assert append(log, entry(campaign), "k") == log.stored_reply(campaign, "me", "k") == expected
    assert log.count(campaign) == 3
    assert append(log, entry(campaign + "-other"), "k") is None


def test_a_key_answers_only_the_caller_who_used_it(log: PostgresPredictionLog, campaign: str) -> None:
    append(log, entry(campaign), "k")
    assert append(log, dataclasses.replace(entry(campaign), caller="somebody else"), "k") is None
    assert log.stored_reply(campaign, "nobody", "k") is None
    assert log.count(campaign) == 6


def test_a_key_with_another_body_is_refused(log: PostgresPredictionLog, campaign: str) -> None:
    append(log, entry(campaign), "k")
    with pytest.raises(IdempotencyMismatch):
        append(log, entry(campaign), "k", body="another")
    assert log.count(campaign) == 3


def test_ten_at_once_with_one_key(log: PostgresPredictionLog, campaign: str) -> None:
    together = threading.Barrier(10)

    def send(request: LoggedRequest) -> StoredReply | None:
        together.wait()
        return append(log, request, "k")

    requests = [entry(campaign, 500) for _ in range(10)]
    with ThreadPoolExecutor(10) as threads:
        replies = list(threads.map(send, requests))
    (winner,) = (r for r, reply in zip(requests, replies, strict=True) if reply is None)
    assert {reply.reply for reply in replies if reply} == {f"reply to {winner.request_id}".encode()}
    assert [r.request_id for r in log.window(campaign, *ALWAYS)] == [winner.request_id]


def test_a_key_that_stays_in_flight(database: DatabaseUrls, log: PostgresPredictionLog, campaign: str) -> None:
    impatient = Database(database.app_url, pool_size=1, timeout_s=1.0)
    with psycopg.connect(database.app_url) as other:
        other.execute(
            "insert into idempotency_key (campaign, caller, key, body_sha256, request_id, reply) "
            "values (%s, 'me', 'k', '', gen_random_uuid(), '')",
            (campaign,),
        )
        with pytest.raises(IdempotencyInFlight):
            append(PostgresPredictionLog(impatient), entry(campaign), "k")
        other.rollback()
    assert append(PostgresPredictionLog(impatient), entry(campaign), "k") is None
    impatient.close()


@pytest.mark.parametrize(
    "change",
    [
        {"customer_ids": ("a", "b\x00", "c")},
        {"customer_ids": ("a", "b\ud800", "c")},
        {"customer_ids": ("a", "b")},
        {"rows": np.array([1, 2, 2**31])},
        {"source": "\x00"},
        {"policy": {"value": "\x00"}},
        {"policy": {"value": "\ud800"}},
        {"policy": {"value": float("nan")}},
    ],
)
def test_what_cannot_be_stored_is_the_senders_and_leaves_nothing(
    log: PostgresPredictionLog, campaign: str, change: dict[str, object]
) -> None:
    with pytest.raises(DataError):
        append(log, dataclasses.replace(entry(campaign), **change), "k")  # type: ignore[arg-type]
    assert log.count(campaign) == 0
    assert log.stored_reply(campaign, "me", "k") is None


def test_appending_the_same_entry_again_with_a_key_is_harmless(log: PostgresPredictionLog, campaign: str) -> None:
    request = entry(campaign)
    append(log, request, "k")
    append(log, request, "k")
    assert log.count(campaign) == 3


def test_many_threads_commit_together_and_each_hears_of_its_own(log: PostgresPredictionLog, campaign: str) -> None:
    requests = [entry(campaign, 1 + at % 3) for at in range(200)]
    keys = [f"k{at % 50}" if at % 2 else None for at in range(200)]
    with ThreadPoolExecutor(16) as threads:
        replies = list(threads.map(lambda at: append(log, requests[at], keys[at]), range(200)))
    stored = {r.request_id: r for r in log.window(campaign, *ALWAYS)}
    written = [r for r, reply in zip(requests, replies, strict=True) if reply is None]
    assert len(stored) == len(written) == 100 + 25
    assert all(same(stored[r.request_id], r) for r in written)
    assert {reply.request_id for reply in replies if reply is not None} <= stored.keys()


def test_one_bad_request_among_many_takes_no_other_with_it(log: PostgresPredictionLog, campaign: str) -> None:
    requests = [entry(campaign, 1) for _ in range(60)]
    requests[30] = dataclasses.replace(requests[30], source="\x00")

    def send(request: LoggedRequest) -> str:
        try:
            append(log, request)
        except DataError:
            return "refused"
        return "written"

    with ThreadPoolExecutor(12) as threads:
        told = list(threads.map(send, requests))
    assert [at for at, how in enumerate(told) if how == "refused"] == [30]
    assert log.count(campaign) == 59


def test_a_month_without_a_partition_loses_nothing_and_is_made_later(
    database: DatabaseUrls, log: PostgresPredictionLog, campaign: str
) -> None:
    request = entry(campaign)
    append(log, request)
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        months = owner.execute(
            "select inhrelid::regclass::text from pg_inherits where inhparent = 'prediction_request'::regclass"
        ).fetchall()
        this_month = f"prediction_request_{datetime.now(UTC):%Y_%m}"
        assert {(this_month,), ("prediction_request_default",)} < set(months)
        owner.execute(f"drop table {this_month}")
        later = entry(campaign)
        append(log, later)
        place = "select tableoid::regclass::text from prediction_request where request_id = %s"
        assert owner.execute(place, (later.request_id,)).fetchone() == ("prediction_request_default",)
        assert log.make_partitions() == 1
        assert log.make_partitions() == 0
        assert owner.execute(place, (later.request_id,)).fetchone() == (this_month,)
    assert same(log.request(later.request_id), later)


@pytest.mark.parametrize(
    "statement",
    [
        "update prediction_request set scores = scores",
        "delete from prediction_request",
        "truncate prediction_request",
        "update idempotency_key set key = key",
        "delete from idempotency_key",
        "drop table prediction_request_default",
        "delete from prediction_request_default",
        "alter table prediction_request detach partition prediction_request_default",
    ],
)
def test_the_applications_role_only_inserts_and_selects(stores: Database, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege), stores.transaction() as cursor:
        cursor.execute(statement)
