"""An uploaded list is scored once, whenever and however often its job is killed and started again."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from flows import list_job
from flows.list_job import pending, score_pending, score_uploaded
from local.postgres_urls import DatabaseUrls
from propensity.adapters.database import Database
from propensity.adapters.migrate import migrate
from propensity.adapters.platform import Platform
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.campaign import Policy
from propensity.campaigns import campaign
from propensity.errors import NoLiveModel, NotFound, ObjectStoreUnavailable, PropensityError
from propensity.list_state import (
    CLAIM,
    ERRORS,
    FINISHED,
    MANIFEST,
    PLAN,
    RESULT,
    TASK,
    UPLOAD,
    Claim,
    Finished,
    ListId,
    ListState,
    Manifest,
    Task,
    new_list_id,
    read_json,
    read_list,
)
from propensity.model import Model, save_package
from propensity.ports import LoggedRequest, Promotion, StoredReply
from propensity.settings import Settings
from propensity.synthetic import generate
from tests.api.models import make_model
from tests.fake_gate import FakeErasureStore, FakeSuppressionStore, GatedLog
from tests.fakes import (
    FakeDatabase,
    FakeModelRegistry,
    FakeMonitorStore,
    FakeObjectStore,
    FakeOutcomeStore,
    FakePeriodStore,
    FakePromotionLedger,
)
from tests.fakes_alerts import FakeAlertStore, FakeHeartbeatStore

NAME = "term-deposit"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LIST = new_list_id(NAME, "crm", "key")


class Killed(BaseException):
    """The job is killed."""


class Store(FakeObjectStore):
    """Kills whoever does the n-th thing to it, before that is done; counts what was done."""

    def __init__(self) -> None:
        super().__init__()
        self.lives: int | None = None
        self.done = 0

    def _ask(self) -> None:
        super()._ask()
        if self.lives is not None and self.done >= self.lives:
            raise Killed
        self.done += 1


class Log(GatedLog):
    """Kills before and after what is committed, too."""

    def __init__(self, database: FakeDatabase, store: Store) -> None:
        super().__init__(database, FakeSuppressionStore(database))
        self.store = store

    def append(self, entry: LoggedRequest, *, idempotency_key: str | None, body_sha256: str, reply: bytes) -> StoredReply | None:
        self.store._ask()
        stored = super().append(entry, idempotency_key=idempotency_key, body_sha256=body_sha256, reply=reply)
        self.store._ask()
        return stored


@pytest.fixture(scope="module")
def models() -> list[Model]:
    return [make_model(campaign(NAME), seed=seed, trees=5) for seed in (0, 1)]


@pytest.fixture
def at(tmp_path: Path, models: list[Model]) -> Platform:
    database = FakeDatabase()
    store = Store()
    log = Log(database, store)
    made = Platform(
        settings=Settings(home=tmp_path),
        database=cast(Any, database),
        store=store,
        log=log,
        outcomes=FakeOutcomeStore(log),
        ledger=FakePromotionLedger(database),
        monitors=FakeMonitorStore(database),
        periods=FakePeriodStore(database),
        registry=FakeModelRegistry(),
        shadow=cast(Any, None),
        comparisons=cast(Any, None),
        alerts=FakeAlertStore(),
        heartbeats=FakeHeartbeatStore(),
        suppressions=log.suppressions,
        contacts=cast(Any, log.contacts),
        erasures=FakeErasureStore(log),
    )
    for model in models:
        save_package(store, model)
    promote(made, models[0])
    return made


def promote(at: Platform, model: Model) -> None:
    at.ledger.append(Promotion(NAME, len(at.ledger.history(NAME)) + 1, "promote", model.digest, "v", None, [], {}, "tester"))


def store_of(at: Platform) -> Store:
    return cast(Store, at.store)


def entries(at: Platform) -> list[Any]:
    return cast(GatedLog, at.log).entries


def customers(n: int) -> bytes:
    """A list; its last row is wrong."""
    declared = campaign(NAME)
    raw, data = generate(declared, n, 9), io.StringIO()
    lines = csv.writer(data, delimiter=";")
    lines.writerow(["id", *declared.feature_names])
    lines.writerows([f"K-{i}", *(raw.columns[name][i] for name in declared.feature_names)] for i in range(n))
    return data.getvalue().encode() + b"K-wrong" + b";" * len(declared.feature_names) + b"\r\n"


def upload(at: Platform, data: bytes, list_id: ListId = LIST, **changes: Any) -> ListId:
    made = Manifest(
        list_id=str(list_id),
        owner="crm",
        format="csv",
        created_at=NOW,
        upload_until=NOW + timedelta(hours=1),
        limit_bytes=10_000_000,
        request_sha256="",
    )
    at.store.put(list_id.key(MANIFEST), replace(made, **changes).to_bytes())
    at.store.put(list_id.key(UPLOAD), data)
    return list_id


def clock() -> datetime:
    return NOW


def test_a_list_is_scored_logged_under_its_owner_and_told(at: Platform, models: list[Model]) -> None:
    upload(at, customers(30))
    end = score_uploaded(at, LIST, now=clock)
    assert (end.state, end.counts["received"], end.counts["scored"], end.counts["refused_rows"]) == ("done", 31, 30, 1)
    (entry,) = entries(at)
    assert (entry.caller, entry.source, entry.request_id) == ("crm", f"list:{LIST}", end.request_id)
    assert (len(entry.scores), end.model_digest) == (30, models[0].digest)
    sheet = list(csv.DictReader(io.StringIO(at.store.get(LIST.key(RESULT)).decode())))
    assert (len(sheet), sheet[0]["prediction_id"].split(".")[0]) == (30, end.request_id)
    errors = list(csv.DictReader(io.StringIO(at.store.get(LIST.key(ERRORS)).decode())))
    assert {row["row"] for row in errors} == {"31"}
    assert read_list(at.store, LIST, NOW).state == ListState.DONE


def test_doing_it_again_does_nothing(at: Platform, models: list[Model]) -> None:
    upload(at, customers(5))
    end = score_uploaded(at, LIST, now=clock)
    objects = dict(store_of(at).objects)
    promote(at, models[1])
    assert score_uploaded(at, LIST, now=lambda: NOW + timedelta(days=1)) == end
    assert store_of(at).objects == objects
    assert len(entries(at)) == 1


def test_killed_anywhere_and_started_again_it_is_one_list_in_the_log_by_the_model_of_the_first_job(
    at: Platform, models: list[Model]
) -> None:
    """Killed before its n-th use of store or log, for every n; meanwhile another model goes live. Every other time on another machine."""
    whole = upload(at, customers(5), new_list_id(NAME, "crm", "whole"))
    store = store_of(at)
    store.done = 0
    score_uploaded(at, whole, now=clock)
    steps = store.done
    expected = at.store.get(whole.key(RESULT)).decode().count("\n")
    assert steps > 10
    for kill in range(steps):
        list_id = upload(at, customers(5), new_list_id(NAME, "crm", f"killed-{kill}"))
        before = len(entries(at))
        store.lives = store.done + kill
        with pytest.raises(Killed):
            score_uploaded(at, list_id, now=clock)
        store.lives = None
        if kill % 2:
            shutil.rmtree(at.settings.home / "lists", ignore_errors=True)
        planned = store.exists(list_id.key(PLAN))
        first = next(model for model in models if model.digest == live(at))
        promote(at, next(model for model in models if model is not first))
        end = score_uploaded(at, list_id, now=clock)
        assert len(entries(at)) == before + 1
        assert end.model_digest == entries(at)[-1].model_digest == (first.digest if planned else live(at))
        assert at.store.get(list_id.key(RESULT)).decode().count("\n") == expected


def live(at: Platform) -> str:
    found = at.ledger.live(NAME)
    assert found is not None
    return found.model_digest


def test_the_claimed_version_is_scored_though_another_upload_came_later(at: Platform) -> None:
    upload(at, b"another file")
    store_of(at).objects[f"{LIST.key(UPLOAD)}?version=v1"] = customers(5)
    at.store.put(LIST.key(CLAIM), Claim(version="v1", size_bytes=5, noticed_at=NOW).to_bytes())
    assert score_uploaded(at, LIST, now=clock).state == "done"


def test_a_file_that_was_changed_between_two_jobs_is_not_mixed_with_the_first(at: Platform) -> None:
    killed_after_planning(at)
    at.store.put(LIST.key(UPLOAD), customers(6))
    end = score_uploaded(at, LIST, now=clock)
    assert (end.state, end.code) == ("failed", "checksum_mismatch")


def test_a_campaign_that_was_declared_anew_between_two_jobs_is_not_mixed_with_the_first(
    at: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after_planning(at)
    other = replace(campaign(NAME), policy=Policy("top_share", 1.0))
    monkeypatch.setattr(list_job, "campaign", lambda _: other)
    end = score_uploaded(at, LIST, now=clock)
    assert (end.state, end.code) == ("failed", "conflict")
    assert entries(at) == []


def killed_after_planning(at: Platform) -> None:
    upload(at, customers(5))
    with pytest.MonkeyPatch.context() as patch:

        def kill(*_: object, **__: object) -> None:
            raise Killed

        patch.setattr(list_job, "score_file", kill)
        with pytest.raises(Killed):
            score_uploaded(at, LIST, now=clock)
    assert at.store.exists(LIST.key(PLAN))


@pytest.mark.parametrize(
    ("data", "changes", "code"),
    [
        (b"this,is\nnot,a list\n", {}, "malformed"),
        (b"", {}, "data_invalid"),
        (b"PAR1 but not really", {"format": "parquet"}, "malformed"),
        (customers(5), {"limit_bytes": 10}, "too_large"),
    ],
)
def test_a_list_that_cannot_be_read_ends_as_failed_with_a_code_and_is_not_tried_again(
    at: Platform, data: bytes, changes: dict[str, Any], code: str
) -> None:
    upload(at, data, **changes)
    end = score_uploaded(at, LIST, now=clock)
    assert (end.state, end.code) == ("failed", code)
    assert end.detail
    assert "not,a list" not in end.detail
    assert pending(at, stale_s=0, now=clock) == []
    assert read_list(at.store, LIST, NOW).state == ListState.FAILED


def test_what_may_get_better_is_not_an_end(at: Platform) -> None:
    upload(at, customers(5))
    cast(FakePromotionLedger, at.ledger).rows.clear()
    with pytest.raises(NoLiveModel):
        score_uploaded(at, LIST, now=clock)
    store_of(at).down = True
    with pytest.raises(ObjectStoreUnavailable):
        score_uploaded(at, LIST, now=clock)
    store_of(at).down = False
    assert not at.store.exists(LIST.key(FINISHED))


def test_a_list_that_was_not_created_or_not_uploaded_is_not_found(at: Platform) -> None:
    with pytest.raises(NotFound):
        score_uploaded(at, LIST, now=clock)
    upload(at, b"")
    del store_of(at).objects[LIST.key(UPLOAD)]
    with pytest.raises(NotFound):
        score_uploaded(at, LIST, now=clock)
    assert not at.store.exists(LIST.key(CLAIM))


def test_pending_are_those_that_nobody_works_on(at: Platform) -> None:
    waiting, dead, alive, done, alone = (new_list_id(NAME, "crm", key) for key in ("waiting", "dead", "alive", "done", "alone"))
    for one in (waiting, dead, alive, done):
        upload(at, customers(3), one)
    at.store.put(dead.key(TASK), Task(task="arn", started_at=NOW - timedelta(hours=2)).to_bytes())
    at.store.put(alive.key(CLAIM), Claim(version=None, size_bytes=1, noticed_at=NOW).to_bytes())
    at.store.put(done.key(FINISHED), Finished(state="done", finished_at=NOW).to_bytes())
    at.store.put(alone.key(UPLOAD), b"nobody asked for this")
    at.store.put(f"lists/{NAME}/customers-0123456789ab/call-sheet.csv", b"of the inbox")
    assert set(pending(at, stale_s=3600, now=clock)) == {waiting, dead}
    assert set(pending(at, stale_s=0, now=clock)) == {waiting, dead, alive}
    ends = score_pending(at, stale_s=3600, now=clock)
    assert [end.state for end in ends if isinstance(end, Finished)] == ["done", "done"]
    assert {read_list(at.store, one, NOW).state for one in (waiting, dead)} == {ListState.DONE}
    # An event for it that comes only now finds that it is seen to.
    assert read_json(at.store, waiting.key(TASK), Task) is not None


def test_one_pending_list_that_cannot_be_scored_now_does_not_stop_the_others(at: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = [upload(at, customers(3), new_list_id(NAME, "crm", str(key))) for key in range(2)]
    whole = score_uploaded

    def broken(at: Platform, list_id: ListId, *, now: Callable[[], datetime]) -> Finished:
        if list_id == min(lists):
            raise NoLiveModel("none")
        return whole(at, list_id, now=now)

    monkeypatch.setattr(list_job, "score_uploaded", broken)
    ends = score_pending(at, stale_s=0, now=clock)
    assert sorted(isinstance(end, PropensityError) for end in ends) == [False, True]


def test_a_store_that_comes_back_is_waited_for(at: Platform) -> None:
    slept: list[float] = []

    def work() -> Finished:
        if len(slept) < 2:
            raise ObjectStoreUnavailable("not now")
        return Finished(state="done", finished_at=NOW)

    assert list_job.patiently(work, slept.append).state == "done"
    assert slept == [1.0, 5.0]


def test_the_command_ends_with_the_code_of_its_error(
    at: Platform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(list_job, "platform", lambda: at)
    upload(at, customers(3))
    assert list_job.main([str(LIST)]) == 0
    assert list_job.main([str(LIST)]) == 0
    assert list_job.main(["--pending"]) == 0
    assert list_job.main(["no-such"]) == NotFound.exit_code
    assert "list" in capsys.readouterr().err


def test_a_real_log_takes_a_list_once_and_knows_whose_it_is(at: Platform, database: DatabaseUrls) -> None:
    """A job that was killed just before its end: all is done again but what is logged."""
    migrate(database.owner_url)
    real = Database(database.app_url)
    try:
        platform = replace(at, database=real, log=PostgresPredictionLog(real))
        upload(platform, customers(30))
        end = score_uploaded(platform, LIST, now=clock)
        assert end.request_id is not None
        logged = platform.log.request(end.request_id)
        assert (logged.caller, logged.source, len(logged.scores)) == ("crm", f"list:{LIST}", 30)
        sheet = platform.store.get(LIST.key(RESULT))
        for name in (FINISHED, RESULT, ERRORS):
            del store_of(platform).objects[LIST.key(name)]
        assert score_uploaded(platform, LIST, now=clock) == end
        assert platform.store.get(LIST.key(RESULT)) == sheet
        assert platform.log.count(NAME) == 30
    finally:
        real.close()
