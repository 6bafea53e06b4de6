"""The morning's flow, on stores in memory: it retrains by its triggers, recalibrates, and can be repeated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

import flows.follow
from flows.follow import follow_into, read_history
from propensity.adapters.platform import Platform
from propensity.challenge import Challenge
from propensity.contact_days import design_of, snapshot_days
from propensity.decisions import State
from propensity.errors import NoLiveModel, PromotionConflict
from propensity.following import sigmoid
from propensity.model import Model, load_package, save_package
from propensity.ports import LoggedRequest, Outcome, Promotion
from propensity.prediction_id import prediction_id
from propensity.relearning import FAMILIES, learning, package
from propensity.retraining import SLOW, Retraining, Span
from propensity.scoring import raw_features
from propensity.snapshot import read_snapshot
from tests.builders import tiny_campaign, tiny_snapshot, tiny_table
from tests.fakes import (
    NOW,
    FakeDatabase,
    FakeModelRegistry,
    FakeMonitorStore,
    FakeObjectStore,
    FakeOutcomeStore,
    FakePredictionLog,
    FakePromotionLedger,
)

FIRST = tiny_campaign().numeric[0]
CAMPAIGN = tiny_campaign(
    retraining=Retraining(
        every_days=None,
        label_gap=4.0,
        performance_drop=None,
        learned=(tiny_campaign().categorical[0].name,),
        spans=(Span(FIRST.name, FIRST.low, FIRST.high, FIRST.low, FIRST.high - FIRST.low),),
    )
)
DAYS = 12


class Bank:
    """A platform in memory with a live model, whose customers answer as they are told to."""

    def __init__(self) -> None:
        database = FakeDatabase()
        log = FakePredictionLog(database)
        self.store, self.ledger, self.registry = FakeObjectStore(), FakePromotionLedger(database), FakeModelRegistry()
        self.database, self.log, self.outcomes = database, log, FakeOutcomeStore(log)
        parts = {"store": self.store, "ledger": self.ledger, "registry": self.registry, "log": log, "outcomes": self.outcomes}
        self.platform = cast(Platform, SimpleNamespace(**parts, monitors=FakeMonitorStore(database)))

    def go_live(self) -> Model:
        """A model learned from a snapshot's months."""
        manifest = self._snapshot()
        days = snapshot_days(read_snapshot(self.store, CAMPAIGN, manifest))
        model = package(CAMPAIGN, days, len(days), learning(CAMPAIGN, days, SLOW).until(len(days)), SLOW, manifest, 60.0)
        save_package(self.store, model)
        self.ledger.append(Promotion(CAMPAIGN.name, 1, "promote", model.digest, model.version, None, [], {}, "test"))
        return model

    def _snapshot(self) -> str:
        from propensity.snapshot import write_snapshot

        data = tiny_snapshot()
        months = np.sort(np.resize(np.array(["2019-01", "2019-02", "2019-03"], dtype="datetime64[M]"), len(data.table)))
        table = replace(data.table, campaign=CAMPAIGN)
        return write_snapshot(self.store, table, data.label, months, {"kind": "test"}).snapshot_id

    def days(self, model: Model, answer: Callable[[np.ndarray, np.ndarray], np.ndarray], count: int = DAYS, rows: int = 60) -> datetime:
        """Score customers on some days, and hear of each the day after; return the morning after the last."""
        rng = np.random.default_rng(0)
        for at in range(count):
            self.database.now = NOW + timedelta(days=at)
            table = tiny_table(rows, at, CAMPAIGN)
            scores = model.score(table)
            name = f"00000000-0000-4000-8000-{at:012d}"
            entry = LoggedRequest(
                name, CAMPAIGN.name, model.digest, model.version, {"kind": "profit"}, "", table.ids, table.rows, raw_features(table),
                scores, scores > 0.25, rows, 0, "http",
            )  # fmt: skip
            self.log.append(entry, idempotency_key=None, body_sha256="", reply=b"")
            labels = rng.random(rows) < answer(scores, design_of(table)[:, 0])
            told = [Outcome(bool(labels[i]), NOW + timedelta(days=at, hours=5), prediction_id(name, i + 1)) for i in range(rows)]
            self.outcomes.record(CAMPAIGN.name, told, "test")
        return NOW + timedelta(days=count)

    def follow(self, now: datetime) -> dict[str, Any]:
        return follow_into(self.platform, CAMPAIGN.name, "test", now)


@pytest.fixture
def bank(monkeypatch: pytest.MonkeyPatch) -> Bank:
    monkeypatch.setattr(flows.follow, "campaign", lambda _: CAMPAIGN)
    return Bank()


def as_expected(scores: np.ndarray, _: np.ndarray) -> np.ndarray:
    return scores


def more_of_all(scores: np.ndarray, _: np.ndarray) -> np.ndarray:
    return np.minimum(1.0, 0.15 + scores)


def the_other_way_round(_: np.ndarray, first: np.ndarray) -> np.ndarray:
    return sigmoid(8.0 * (first - 0.3))


def test_without_a_live_model_there_is_nothing_to_follow(bank: Bank) -> None:
    with pytest.raises(NoLiveModel):
        bank.follow(NOW)


def test_without_new_outcomes_nothing_changes(bank: Bank) -> None:
    bank.go_live()
    assert bank.follow(NOW)["decision"] == "no_data"
    assert len(bank.ledger.rows) == 1


def test_a_level_that_moved_is_followed_once(bank: Bank) -> None:
    model = bank.go_live()
    now = bank.days(model, more_of_all, count=1, rows=25)
    found = bank.follow(now)
    assert found["decision"] == "promote"
    assert found["evidence"]["recalibrates"] == model.digest
    live = load_package(bank.store, CAMPAIGN, found["model_digest"])
    assert live.manifest.recalibration is not None
    assert live.manifest.linear == model.manifest.linear
    assert bank.follow(now)["decision"] == "unchanged"
    assert len(bank.ledger.rows) == 2


def test_outcomes_that_contradict_the_scores_retrain(bank: Bank) -> None:
    model = bank.go_live()
    found = bank.follow(bank.days(model, the_other_way_round))
    assert found["decision"] == "promote"
    assert found["evidence"]["triggers"] == ["label_gap"]
    fresh = load_package(bank.store, CAMPAIGN, found["model_digest"])
    assert (fresh.manifest.families, fresh.manifest.recalibration) == (FAMILIES, None)
    assert bank.registry.newest(CAMPAIGN.name) == fresh.digest
    assert bank.follow(NOW + timedelta(days=DAYS))["decision"] == "no_data"


def test_a_retrain_that_fails_its_gates_changes_nothing_but_is_kept(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    model = bank.go_live()
    now = bank.days(model, the_other_way_round)
    before = bank.ledger.live(CAMPAIGN.name)

    def worse(*_: object, **__: object) -> Any:
        return SimpleNamespace(
            judgement=SimpleNamespace(promote=False, reasons=["failed: made to"], failed_absolute=[]),
            challenger={"roc_auc": 0.5},
            champion={},
            rows=1,
        )

    monkeypatch.setattr(flows.follow, "challenge", worse)
    monkeypatch.setattr(flows.follow, "_recalibrate", lambda *_: {"decision": "unchanged", "reasons": []})
    found = bank.follow(now)
    assert found["refused"]["decision"] == "refuse"
    assert bank.ledger.live(CAMPAIGN.name) == before
    assert [row.action for row in bank.ledger.rows] == ["promote", "refuse"]


def test_where_a_person_approves_a_retrain_waits_and_the_level_still_follows(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = replace(CAMPAIGN, challenge=Challenge(approval="human"))
    monkeypatch.setattr(flows.follow, "campaign", lambda _: declared)
    found = bank.follow(bank.days(bank.go_live(), the_other_way_round))
    assert (found["refused"]["decision"], found["decision"]) == ("pending", "promote")
    assert [(row.action, row.step) for row in bank.ledger.rows] == [("promote", ""), ("refuse", "pending"), ("promote", "")]
    assert bank.ledger.rows[-1].evidence["recalibrates"] == bank.ledger.rows[0].model_digest
    state = State.read(bank.ledger, CAMPAIGN.name)
    assert [state.fits(row) for row in state.waiting()] == [True], "the recalibrated model is the one that it was judged against"


def test_what_is_decided_meanwhile_is_not_overruled(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    now = bank.days(bank.go_live(), more_of_all)
    read = flows.follow.read_history

    def slow(*args: Any) -> Any:
        bank.ledger.append(Promotion(CAMPAIGN.name, 2, "promote", "f" * 64, "f" * 12, None, [], {}, "somebody"))
        return read(*args)

    monkeypatch.setattr(flows.follow, "read_history", slow)
    with pytest.raises(PromotionConflict):
        bank.follow(now)
    assert [row.actor for row in bank.ledger.rows] == ["test", "somebody"]


def test_the_oldest_days_are_forgotten_where_there_are_too_many_rows(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    model = bank.go_live()
    now = bank.days(model, as_expected)
    monkeypatch.setattr(flows.follow, "MOST_ROWS", 5 * 60)
    history = read_history(bank.platform, CAMPAIGN, model, now)
    logged = [day for day in history.days if day.date >= NOW.date()]
    assert len(logged) == 5
    assert logged[-1].date == (NOW + timedelta(days=DAYS - 1)).date()


def test_outcomes_as_expected_do_not_retrain(bank: Bank) -> None:
    found = bank.follow(bank.days(bank.go_live(), as_expected))
    assert "refused" not in found
    assert "triggers" not in found["evidence"]
