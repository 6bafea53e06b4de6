"""Any order and any repetition of events, with the function killed anywhere, starts exactly one job per list."""

from __future__ import annotations

import contextlib
import importlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.errors import Malformed, NotFound
from propensity.list_state import CLAIM, FINISHED, MANIFEST, TASK, UPLOAD, Claim, Finished, ListId, Manifest, Task, new_list_id, read_json
from tests.fakes import FakeObjectStore

logic = importlib.import_module("lambda.list_uploaded.logic")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LIMIT = 1_000


class Killed(BaseException):
    """The function is killed between two of its calls."""


@dataclass
class Ecs:
    """Starts one task per client token, as ECS does."""

    tasks: dict[str, str] = field(default_factory=dict)

    def run(self, list_id: ListId) -> str:
        token = logic.token_of(list_id)
        assert len(token) <= 64
        return self.tasks.setdefault(token, f"task-{len(self.tasks) + 1}")


@dataclass
class Interrupted:
    """A store and an ECS that call ``before`` before each thing they do."""

    store: FakeObjectStore
    ecs: Ecs
    before: Callable[[], None]

    def create(self, key: str, data: bytes) -> bool:
        self.before()
        return self.store.create(key, data)

    def get(self, key: str) -> bytes:
        self.before()
        return self.store.get(key)

    def exists(self, key: str) -> bool:
        self.before()
        return self.store.exists(key)

    def run(self, list_id: ListId) -> str:
        self.before()
        return self.ecs.run(list_id)


def created(*lists: ListId) -> FakeObjectStore:
    store = FakeObjectStore()
    for one in lists:
        made = Manifest(
            list_id=str(one),
            owner="crm",
            format="csv",
            created_at=NOW,
            upload_until=NOW + timedelta(hours=1),
            limit_bytes=LIMIT,
            request_sha256="",
        )
        store.put(one.key(MANIFEST), made.to_bytes())
    return store


def deal(uploaded: Any, store: Any, run: Callable[[ListId], str]) -> Any:
    return logic.start(uploaded, store=store, run_task=run, limit_bytes=LIMIT, now=NOW)


LISTS = tuple(new_list_id("term-deposit", "crm", str(at)) for at in range(3))
UPLOADS = st.builds(logic.Uploaded, st.sampled_from(LISTS), st.sampled_from([None, "v1", "v2"]), st.integers(1, LIMIT))


@given(st.lists(st.tuples(UPLOADS, st.integers(0, 8)), min_size=1, max_size=12))
def test_any_order_and_repetition_with_kills_anywhere_starts_one_job_per_list(deliveries: list[tuple[Any, int]]) -> None:
    """Each delivery is killed before its n-th call, and delivered again after all others, as the queue does."""
    store, ecs = created(*LISTS), Ecs()
    for uploaded, lives in deliveries:
        left = iter(range(lives))

        def before(left: Any = left) -> None:
            if next(left, None) is None:
                raise Killed

        mortal = Interrupted(store, ecs, before)
        with contextlib.suppress(Killed):
            deal(uploaded, mortal, mortal.run)
    for uploaded, _ in deliveries:
        assert deal(uploaded, store, ecs.run).outcome in ("started", "already started")
    told = {uploaded.list_id for uploaded, _ in deliveries}
    assert set(ecs.tasks) == {logic.token_of(one) for one in told}
    for one in told:
        task = read_json(store, one.key(TASK), Task)
        assert task is not None
        assert task.task == ecs.tasks[logic.token_of(one)]


@settings(max_examples=60, deadline=None)
@given(st.lists(UPLOADS, min_size=2, max_size=4), st.lists(st.integers(0, 3), max_size=60))
def test_however_functions_interleave_they_start_one_job_per_list_and_agree_on_the_bytes(uploads: list[Any], turns: list[int]) -> None:
    """Functions run at once; which of them does its next thing is drawn."""
    store, ecs = created(*LISTS), Ecs()
    mine, done = [threading.Semaphore(0) for _ in uploads], threading.Semaphore(0)
    outcomes: dict[int, str] = {}

    def work(at: int) -> None:
        def before() -> None:
            done.release()
            mine[at].acquire()

        before()
        turn = Interrupted(store, ecs, before)
        outcomes[at] = deal(uploads[at], turn, turn.run).outcome
        done.release()

    threads = [threading.Thread(target=work, args=(at,)) for at in range(len(uploads))]
    for thread in threads:
        thread.start()
        done.acquire()
    order = iter(turns)
    while len(outcomes) < len(uploads):
        waiting = [at for at in range(len(uploads)) if at not in outcomes]
        at = waiting[next(order, 0) % len(waiting)]
        mine[at].release()
        done.acquire()
    for thread in threads:
        thread.join()
    told = {uploaded.list_id for uploaded in uploads}
    assert set(ecs.tasks) == {logic.token_of(one) for one in told}
    for one in told:
        claim = read_json(store, one.key(CLAIM), Claim)
        assert claim is not None
        assert claim.version in {uploaded.version for uploaded in uploads if uploaded.list_id == one}


def test_an_event_that_comes_after_ecs_forgot_its_token_starts_nothing() -> None:
    store, ecs = created(LISTS[0]), Ecs()
    uploaded = logic.Uploaded(LISTS[0], "v1", 5)
    assert deal(uploaded, store, ecs.run).outcome == "started"
    ecs.tasks.clear()
    assert deal(uploaded, store, ecs.run).outcome == "already started"
    assert ecs.tasks == {}


def test_nothing_is_started_for_a_list_that_is_finished() -> None:
    store, ecs = created(LISTS[0]), Ecs()
    store.put(LISTS[0].key(FINISHED), Finished(state="done", finished_at=NOW).to_bytes())
    assert deal(logic.Uploaded(LISTS[0], "v1", 5), store, ecs.run).outcome == "finished"
    assert ecs.tasks == {}


def test_a_second_upload_changes_nothing_and_is_said_to_be_one() -> None:
    store, ecs = created(LISTS[0]), Ecs()
    first, second = (logic.Uploaded(LISTS[0], version, 5) for version in ("v2", "v1"))
    assert [deal(one, store, ecs.run).other_version for one in (first, second, first)] == [False, True, False]
    claim = read_json(store, LISTS[0].key(CLAIM), Claim)
    assert claim is not None
    assert claim.version == "v2"


def test_an_upload_over_the_limit_fails_without_a_job() -> None:
    store, ecs = created(LISTS[0]), Ecs()
    assert deal(logic.Uploaded(LISTS[0], "v1", LIMIT + 1), store, ecs.run).outcome == "too large"
    finished = read_json(store, LISTS[0].key(FINISHED), Finished)
    assert finished is not None
    assert (finished.state, finished.code) == ("failed", "too_large")
    assert ecs.tasks == {}


def test_an_upload_of_no_list_is_not_found() -> None:
    with pytest.raises(NotFound):
        deal(logic.Uploaded(LISTS[0], "v1", 5), created(LISTS[1]), Ecs().run)


def record(key: str, bucket: str = "lake", name: str = "ObjectCreated:Post", **stored: Any) -> dict[str, Any]:
    return {"eventName": name, "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 5, "versionId": "v1", **stored}}}


def test_keys_are_decoded_as_forms_and_what_is_no_upload_is_passed_over() -> None:
    one = LISTS[0]
    records = [
        record(f"some+prefix/{one.key(UPLOAD)}"),
        record(f"some+prefix/{one.key(FINISHED)}"),
        record(f"some+prefix/{one.key(UPLOAD)}", name="ObjectRemoved:Delete"),
        record(one.key(UPLOAD)),
        record("some+prefix/lists/other/upload"),
    ]
    assert list(logic.uploads_in(records, "lake", "some prefix")) == [logic.Uploaded(one, "v1", 5)]
    assert list(logic.uploads_in([record(one.key(UPLOAD), versionId="null")], "lake", "")) == [logic.Uploaded(one, None, 5)]


@pytest.mark.parametrize("wrong", [{}, {"eventName": "ObjectCreated:Put"}, record("a", bucket="another"), record("a", size="many")])
def test_a_record_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        list(logic.uploads_in([wrong], "lake", ""))


@pytest.mark.parametrize("body", ["", "[]", "null", '{"Records": []}', '{"Records": [1]}', '{"detail": {}}', "[" * 100_000])
def test_a_message_that_is_no_notification_is_refused(body: str) -> None:
    with pytest.raises(Malformed):
        logic.records_in(body)


def test_the_message_that_s3_sends_to_test_the_queue_has_no_records() -> None:
    sent = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2014-10-13T15:57:02.089Z", "Bucket": "lake", "RequestId": "5582815E"}
    assert logic.records_in(json.dumps(sent)) == []
