from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from propensity.adapters import outcomes as module
from propensity.adapters.database import Database
from propensity.adapters.outcomes import PostgresOutcomeStore
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.errors import DataError
from propensity.ports import LoggedRequest, Outcome
from propensity.prediction_id import prediction_id

ALWAYS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
NONE = {"recorded": 0, "duplicate": 0, "contradicting": 0, "unmatched": 0}


@pytest.fixture
def campaign() -> str:
    return f"campaign-{uuid.uuid4().hex}"


@pytest.fixture
def outcomes(stores: Database) -> PostgresOutcomeStore:
    return PostgresOutcomeStore(stores)


def scored(stores: Database, campaign: str, *customers: str) -> LoggedRequest:
    n = len(customers)
    scores = np.linspace(0.1, 0.9, n)
    features = np.zeros((n, 2))
    request_id, rows = str(uuid.uuid4()), np.arange(1, n + 1)
    request = LoggedRequest(request_id, campaign, "d", "1", {}, "e", customers, rows, features, scores, scores > 0.5, n, 0, "test")
    log = PostgresPredictionLog(stores)
    log.append(request, idempotency_key=None, body_sha256="", reply=b"")
    return log.request(request.request_id)


def labels(outcomes: PostgresOutcomeStore, campaign: str) -> dict[str, bool]:
    return {p.prediction_id: p.label for p in outcomes.labelled(campaign, *ALWAYS)}


def test_each_status(stores: Database, outcomes: PostgresOutcomeStore, campaign: str) -> None:
    request = scored(stores, campaign, "a", "b", "c")
    elsewhere = scored(stores, campaign + "-other", "z")
    first, second = prediction_id(request.request_id, 1), prediction_id(request.request_id, 2)
    unknown = [
        "nonsense",
        prediction_id(request.request_id, 4),
        prediction_id(str(uuid.uuid4()), 1),
        prediction_id(elsewhere.request_id, 1),
    ]
    sent = [Outcome(True, None, first), Outcome(True, None, first), Outcome(False, None, first), *(Outcome(True, None, u) for u in unknown)]
    assert outcomes.record(campaign, sent, "test") == {"recorded": 1, "duplicate": 1, "contradicting": 1, "unmatched": 4}
    again = [Outcome(False, None, first), Outcome(True, None, first), Outcome(False, None, second)]
    assert outcomes.record(campaign, again, "test") == {"recorded": 1, "duplicate": 1, "contradicting": 1, "unmatched": 0}
    assert labels(outcomes, campaign) == {first: True, second: False}
    with stores.statement() as cursor:
        assert cursor.execute("select count(*) from outcome where campaign = %s", (campaign,)).fetchone() == (10,)


def test_a_customer_means_the_latest_prediction_before_the_observation(
    stores: Database, outcomes: PostgresOutcomeStore, campaign: str
) -> None:
    old, new = scored(stores, campaign, "a", "b"), scored(stores, campaign, "b", "a", "a")
    assert old.received_at
    assert new.received_at
    moment = timedelta(microseconds=1)
    sent = [
        Outcome(True, old.received_at, customer_id="a"),
        Outcome(False, new.received_at - moment, customer_id="b"),
        Outcome(True, new.received_at, customer_id="b"),
        Outcome(True, None, customer_id="a"),
        Outcome(True, old.received_at - moment, customer_id="a"),
        Outcome(True, None, customer_id="nobody"),
    ]
    assert outcomes.record(campaign, sent, "test") == NONE | {"recorded": 4, "unmatched": 2}
    assert labels(outcomes, campaign) == {
        prediction_id(old.request_id, 1): True,
        prediction_id(old.request_id, 2): False,
        prediction_id(new.request_id, 1): True,
        prediction_id(new.request_id, 3): True,
    }


def test_a_customer_is_found_however_old(
    stores: Database, outcomes: PostgresOutcomeStore, campaign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_PAGE_ROWS", 1)
    requests = [scored(stores, campaign, f"customer-{i}", "everybody") for i in range(30)]
    sent = [Outcome(True, None, customer_id=f"customer-{i}") for i in range(30)]
    assert outcomes.record(campaign, sent, "test") == NONE | {"recorded": 30}
    assert labels(outcomes, campaign) == {prediction_id(r.request_id, 1): True for r in requests}
    assert outcomes.record(campaign, [Outcome(True, requests[3].received_at, customer_id="everybody")], "test")["recorded"] == 1
    assert prediction_id(requests[3].request_id, 2) in labels(outcomes, campaign)


def test_thousands_at_once(stores: Database, outcomes: PostgresOutcomeStore, campaign: str) -> None:
    request = scored(stores, campaign, *(f"c{i}" for i in range(6_000)))
    by_id = [Outcome(i % 2 == 0, None, prediction_id(request.request_id, i + 1)) for i in range(3_000)]
    by_customer = [Outcome(True, datetime.now(UTC), customer_id=f"c{i}") for i in range(3_000, 6_000)]
    assert outcomes.record(campaign, by_id + by_customer, "test") == NONE | {"recorded": 6_000}
    found = outcomes.labelled(campaign, *ALWAYS)
    assert [p.score for p in found] == request.scores.tolist()
    assert [p.contact for p in found] == request.contact.tolist()


def test_several_senders_at_once(stores: Database, outcomes: PostgresOutcomeStore, campaign: str) -> None:
    request = scored(stores, campaign, *(f"c{i}" for i in range(200)))
    sent = [Outcome(True, None, prediction_id(request.request_id, i + 1)) for i in range(200)]
    with ThreadPoolExecutor(6) as threads:
        counts = list(threads.map(lambda turn: outcomes.record(campaign, sent[:: (-1) ** turn], "test"), range(6)))
    assert sum(c["recorded"] for c in counts) == 200
    assert sum(c["duplicate"] for c in counts) == 1_000


def test_only_the_window_is_labelled(stores: Database, outcomes: PostgresOutcomeStore, campaign: str) -> None:
    first, second = scored(stores, campaign, "a"), scored(stores, campaign, "a")
    outcomes.record(campaign, [Outcome(True, None, prediction_id(r.request_id, 1)) for r in (first, second)], "test")
    assert first.received_at
    assert second.received_at
    (only,) = outcomes.labelled(campaign, first.received_at, second.received_at)
    assert only.prediction_id == prediction_id(first.request_id, 1)


def test_nothing_sent(outcomes: PostgresOutcomeStore, campaign: str) -> None:
    assert outcomes.record(campaign, [], "test") == NONE
    assert outcomes.labelled(campaign, *ALWAYS) == []


def test_an_outcome_of_nobody_is_refused(outcomes: PostgresOutcomeStore, campaign: str) -> None:
    with pytest.raises(DataError):
        outcomes.record(campaign, [Outcome(True, None)], "test")
