from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import numpy as np
import pytest
from psycopg.errors import InsufficientPrivilege

from propensity.adapters import outcome_matching as module
from propensity.adapters import outcome_reading as reading
from propensity.adapters.database import Database
from propensity.adapters.outcomes import PostgresOutcomeStore
from propensity.adapters.packing import pack
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.errors import DataError
from propensity.outcome_rules import AbsentMeans, OutcomeRules
from propensity.outcomes import counted
from propensity.ports import LoggedRequest, Outcome, OutcomeBatch
from propensity.prediction_id import prediction_id

ALWAYS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
NONE = counted(())
DAY = timedelta(days=1)


@pytest.fixture
def campaign() -> str:
    return f"campaign-{uuid.uuid4().hex}"


@pytest.fixture
def outcomes(stores: Database) -> PostgresOutcomeStore:
    return PostgresOutcomeStore(stores)


_WRITE = """
insert into prediction_request (request_id, received_at, campaign, caller, model_digest, model_version, declaration_digest, policy,
    answered, received, refused, source, customer_ids, scores, contact, feature_count, features)
values (%s, now() - %s, %s, '', 'd', '1', 'e', '{}', %s, %s, 0, 'test', %s, %s, %s, 2, %s)"""


def scored(stores: Database, campaign: str, *customers: str, ago: timedelta | None = None) -> LoggedRequest:
    """A logged request, as if it had come so long ago."""
    n, log = len(customers), PostgresPredictionLog(stores)
    scores, features, request_id = np.linspace(0.1, 0.9, n), np.zeros((n, 2)), str(uuid.uuid4())
    if ago is None:
        rows = np.arange(1, n + 1)
        request = LoggedRequest(request_id, campaign, "d", "1", {}, "e", customers, rows, features, scores, scores > 0.5, n, 0, "test")
        log.append(request, idempotency_key=None, body_sha256="", reply=b"")
    else:
        values = (request_id, ago, campaign, n, n, list(customers), scores.tolist(), (scores > 0.5).tolist(), pack(features))
        with stores.transaction() as cursor:
            cursor.execute(_WRITE, values)
    return log.request(request_id)


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
    assert outcomes.record(campaign, sent, "test") == NONE | {"recorded": 1, "duplicate": 1, "contradicting": 1, "unmatched": 4}
    again = [Outcome(False, None, first), Outcome(True, None, first), Outcome(False, None, second)]
    assert outcomes.record(campaign, again, "test") == NONE | {"recorded": 1, "duplicate": 2}
    assert labels(outcomes, campaign) == {first: True, second: False}
    with stores.statement() as cursor:
        assert cursor.execute("select count(*) from outcome where campaign = %s", (campaign,)).fetchone() == (10,)


def test_a_customer_means_the_latest_prediction_before_the_observation(
    stores: Database, outcomes: PostgresOutcomeStore, campaign: str
) -> None:
    old, new = scored(stores, campaign, "a", "b"), scored(stores, campaign, "b", "a")
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
        prediction_id(new.request_id, 2): True,
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


def by(request: LoggedRequest, position: int = 1) -> str:
    return prediction_id(request.request_id, position)


def made_at(request: LoggedRequest) -> datetime:
    assert request.received_at is not None
    return request.received_at


def one(outcomes: PostgresOutcomeStore, campaign: str, outcome: Outcome, rules: OutcomeRules | None = None) -> str:
    (status,) = outcomes.record(campaign, [outcome], "test", rules=rules or OutcomeRules()).statuses
    return status


def test_the_status_of_each_row_comes_back_in_order(stores: Database, outcomes: PostgresOutcomeStore, campaign: str) -> None:
    request = scored(stores, campaign, "a", "b")
    sent = [Outcome(True, None, customer_id="b"), Outcome(True, None, customer_id="x"), Outcome(True, None, by(request, 2))]
    assert outcomes.record(campaign, sent, "test").statuses == ("recorded", "unmatched", "duplicate")


def test_what_is_observed_after_the_window_is_late_and_does_not_count(
    stores: Database, outcomes: PostgresOutcomeStore, campaign: str
) -> None:
    request = scored(stores, campaign, "a", "b", "c", ago=40 * DAY)
    edge = made_at(request) + 30 * DAY
    assert one(outcomes, campaign, Outcome(True, edge, by(request, 1))) == "recorded"
    assert one(outcomes, campaign, Outcome(True, edge + timedelta(seconds=1), by(request, 2))) == "late"
    assert one(outcomes, campaign, Outcome(True, edge + timedelta(seconds=1), by(request, 2))) == "duplicate"
    assert one(outcomes, campaign, Outcome(True, None, by(request, 3))) == "late"  # nobody said when: it came today
    assert labels(outcomes, campaign) == {by(request, 1): True}
    # Told late of what was seen in time.
    assert one(outcomes, campaign, Outcome(False, edge - DAY, by(request, 2))) == "recorded"
    assert one(outcomes, campaign, Outcome(False, edge + DAY, by(request, 1))) == "late"
    assert labels(outcomes, campaign) == {by(request, 1): True, by(request, 2): False}


@pytest.mark.parametrize(
    ("rule", "first", "second", "third"),
    [("first", True, True, True), ("last", False, False, True), ("positive", True, True, True)],
)
def test_which_of_two_counts_is_declared(
    stores: Database, outcomes: PostgresOutcomeStore, campaign: str, rule: Any, first: bool, second: bool, third: bool
) -> None:
    rules = OutcomeRules(contradictions=rule)
    request = scored(stores, campaign, "a", "b", ago=20 * DAY)
    day = made_at(request)
    sent = [Outcome(True, day + 2 * DAY, by(request)), Outcome(False, day + 4 * DAY, by(request))]
    assert outcomes.record(campaign, sent, "test", rules=rules).statuses == ("recorded", "contradicting")
    assert labels(outcomes, campaign)[by(request)] is first
    # The same file once more changes nothing.
    assert set(outcomes.record(campaign, sent, "test", rules=rules).statuses) == {"duplicate"}
    assert labels(outcomes, campaign)[by(request)] is first
    assert one(outcomes, campaign, Outcome(False, day + 3 * DAY, by(request)), rules) == (
        "duplicate" if rule == "last" else "contradicting"
    )
    assert labels(outcomes, campaign)[by(request)] is second
    assert one(outcomes, campaign, Outcome(True, day + 5 * DAY, by(request)), rules) == ("contradicting" if rule == "last" else "duplicate")
    assert labels(outcomes, campaign)[by(request)] is third
    swapped = [Outcome(False, day + DAY, by(request, 2)), Outcome(True, day + 2 * DAY, by(request, 2))]
    outcomes.record(campaign, swapped, "test", rules=rules)
    assert labels(outcomes, campaign)[by(request, 2)] is (rule != "first")


def test_a_correction_counts_whatever_came_before_and_every_row_is_kept(
    stores: Database, outcomes: PostgresOutcomeStore, campaign: str
) -> None:
    request = scored(stores, campaign, "a", ago=40 * DAY)
    seen, right = made_at(request) + DAY, Outcome(False, None, by(request), correction=True)
    assert one(outcomes, campaign, Outcome(True, seen, by(request))) == "recorded"
    assert one(outcomes, campaign, right) == "corrected"
    assert labels(outcomes, campaign) == {by(request): False}
    assert one(outcomes, campaign, right) == "duplicate"
    # What was corrected does not come back with the file that was wrong, nor with another one, whatever the rule.
    assert one(outcomes, campaign, Outcome(True, seen, by(request))) == "duplicate"
    assert one(outcomes, campaign, Outcome(True, seen + DAY, by(request)), OutcomeRules(contradictions="positive")) == "contradicting"
    assert labels(outcomes, campaign) == {by(request): False}
    assert one(outcomes, campaign, Outcome(None, None, by(request), correction=True)) == "withdrawn"
    assert labels(outcomes, campaign) == {}
    assert one(outcomes, campaign, Outcome(True, seen, by(request))) == "duplicate"
    assert one(outcomes, campaign, Outcome(True, None, customer_id="a", correction=True)) == "corrected"
    assert labels(outcomes, campaign) == {by(request): True}
    with stores.statement() as cursor:
        rows = cursor.execute("select status, label from outcome where campaign = %s order by id", (campaign,)).fetchall()
    assert [row[0] for row in rows] == [
        "recorded", "corrected", "duplicate", "duplicate", "contradicting", "withdrawn", "duplicate", "corrected",
    ]  # fmt: skip


def test_the_contact_says_which_prediction_and_two_windows_are_as_far_back_as_it_goes(
    stores: Database, outcomes: PostgresOutcomeStore, campaign: str
) -> None:
    old, new = scored(stores, campaign, "a", ago=20 * DAY), scored(stores, campaign, "a", ago=5 * DAY)
    contact = made_at(new) - DAY
    assert one(outcomes, campaign, Outcome(True, made_at(new) + DAY, customer_id="a", contacted_at=contact)) == "recorded"
    assert labels(outcomes, campaign) == {by(old): True}
    scored(stores, campaign, "b", ago=45 * DAY)
    scored(stores, campaign, "c", ago=61 * DAY)
    assert one(outcomes, campaign, Outcome(True, None, customer_id="b")) == "late"
    assert one(outcomes, campaign, Outcome(True, None, customer_id="c")) == "unmatched"


def test_a_customer_who_stands_twice_in_one_list_is_ambiguous_until_told_by_prediction(
    stores: Database, outcomes: PostgresOutcomeStore, campaign: str
) -> None:
    scored(stores, campaign, "a", ago=DAY)
    request = scored(stores, campaign, "a", "b", "a")
    assert one(outcomes, campaign, Outcome(True, None, customer_id="a")) == "ambiguous"
    assert labels(outcomes, campaign) == {}
    assert one(outcomes, campaign, Outcome(True, None, by(request, 3))) == "recorded"


def test_what_waits_is_matched_later_once_whoever_looks(stores: Database, outcomes: PostgresOutcomeStore, campaign: str) -> None:
    """The outcome comes while the list is still being committed."""
    waiting = [Outcome(True, None, customer_id=f"c{at}") for at in range(4)]
    assert outcomes.record(campaign, waiting, "test")["unmatched"] == 4
    assert outcomes.record(campaign, waiting[:2], "test")["unmatched"] == 2  # told again, not twice as many
    today = datetime.now(UTC).date()
    assert outcomes.arrivals(campaign, *ALWAYS)[today] == NONE | {"unmatched": 4}
    assert outcomes.rematch(campaign) == NONE
    request = scored(stores, campaign, "c0", "c1", "c2", ago=timedelta(minutes=1))
    # One way: the file is dropped again.
    assert one(outcomes, campaign, waiting[0]) == "recorded"
    assert outcomes.arrivals(campaign, *ALWAYS)[today] == NONE | {"unmatched": 3, "recorded": 1}
    # The other: somebody looks, and several do.
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: outcomes.rematch(campaign), range(4)))
    assert sum(counts["recorded"] for counts in found) == 2
    assert sum(sum(counts.values()) for counts in found) == 2
    assert labels(outcomes, campaign) == {by(request, at): True for at in (1, 2, 3)}
    assert outcomes.arrivals(campaign, *ALWAYS)[today] == NONE | {"unmatched": 1, "recorded": 3}
    assert one(outcomes, campaign, waiting[1]) == "duplicate"


def test_outcomes_that_waited_too_long_are_not_looked_at(stores: Database, outcomes: PostgresOutcomeStore, campaign: str) -> None:
    outcomes.record(campaign, [Outcome(True, None, customer_id="a")], "test")
    scored(stores, campaign, "a", ago=timedelta(minutes=1))
    assert outcomes.rematch(campaign, since=datetime.now(UTC) + DAY) == NONE
    assert outcomes.rematch(campaign)["recorded"] == 1


def test_a_part_of_a_file_is_taken_once_also_by_two_at_once(stores: Database, outcomes: PostgresOutcomeStore, campaign: str) -> None:
    request = scored(stores, campaign, *(f"c{at}" for at in range(300)))
    part = [Outcome(True, None, by(request, at + 1)) for at in range(300)] + [Outcome(True, None, customer_id="nobody")]
    batch = OutcomeBatch("ab" * 32, 0)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: outcomes.record(campaign, part, "file:x", batch=batch), range(4)))
    assert found == [NONE | {"recorded": 300, "unmatched": 1}] * 4
    with stores.statement() as cursor:
        assert cursor.execute("select count(*) from outcome where campaign = %s", (campaign,)).fetchone() == (301,)
    assert outcomes.record(campaign, part, "file:x", batch=OutcomeBatch("ab" * 32, 1))["duplicate"] == 300


def test_the_same_outcome_by_two_at_once_is_recorded_once(stores: Database, outcomes: PostgresOutcomeStore, campaign: str) -> None:
    for turn in range(20):
        request = scored(stores, campaign, f"c{turn}")
        with ThreadPoolExecutor(4) as threads:
            sent = [Outcome(True, None, by(request)), Outcome(True, None, customer_id=f"c{turn}")] * 2
            found = list(threads.map(lambda outcome: one(outcomes, campaign, outcome), sent))
        assert sorted(found) == ["duplicate"] * 3 + ["recorded"]


def test_absence_is_read_as_declared(stores: Database, outcomes: PostgresOutcomeStore, campaign: str) -> None:
    request = scored(stores, campaign, "a", "b", "c", "d")  # c and d are to be contacted
    outcomes.record(campaign, [Outcome(True, None, by(request, 2)), Outcome(True, None, by(request, 4))], "test")
    outcomes.record(campaign, [Outcome(None, None, by(request, 4), correction=True)], "test")
    for absent, known in (
        ("unknown", [False, True, False, False]),
        ("negative", [True, True, True, False]),
        ("negative_if_contacted", [False, True, True, False]),
    ):
        (found,) = outcomes.requests(campaign, *ALWAYS, rules=OutcomeRules(absent_means=cast(AbsentMeans, absent)))
        assert found.known.tolist() == known
        assert found.told.tolist() == [False, True, False, False]
        assert found.labels.tolist() == [False, True, False, False]
        assert np.isnat(found.outcome_at).tolist() == [True, False, True, True]


def test_cohorts_reconcile_with_the_log_and_with_what_came(
    stores: Database, outcomes: PostgresOutcomeStore, campaign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_PAGE_ROWS", 3)
    requests = [scored(stores, campaign, *(f"c{at}-{row}" for row in range(4)), ago=at * DAY) for at in (33, 32, 32, 2)]
    for request in requests:
        in_time = made_at(request) + DAY
        sent = [Outcome(label, in_time, by(request, at)) for at, label in enumerate((True, False, True), 1)]
        outcomes.record(campaign, sent, "test")
    late = [Outcome(True, made_at(r) + 30.5 * DAY, by(r, 4)) for r in requests[:3]]
    assert outcomes.record(campaign, late, "test")["late"] == 3
    outcomes.record(campaign, [Outcome(False, None, by(requests[0], 1), correction=True)], "test")
    cohorts = outcomes.cohorts(campaign, *ALWAYS)
    assert [(c.predicted, c.labelled, c.positive, c.counts["late"]) for c in cohorts] == [(4, 3, 1, 1), (8, 6, 4, 2), (4, 3, 2, 0)]
    assert cohorts[0].counts == NONE | {"recorded": 3, "late": 1, "corrected": 1}
    assert sum(c.predicted for c in cohorts) == sum(len(r.scores) for r in outcomes.requests(campaign, *ALWAYS)) == 16
    assert sum(c.labelled for c in cohorts) == len(outcomes.labelled(campaign, *ALWAYS)) == 12


def test_an_outcome_of_the_release_before_is_completed(stores: Database, outcomes: PostgresOutcomeStore, campaign: str) -> None:
    request = scored(stores, campaign, "a")
    with stores.transaction() as cursor:
        cursor.execute(
            "insert into outcome (campaign, request_id, position, prediction_id, label, status, source) "
            "values (%s, %s, 1, %s, true, 'recorded', 'api')",
            (campaign, request.request_id, by(request)),
        )
    assert labels(outcomes, campaign) == {by(request): True}
    assert [c.labelled for c in outcomes.cohorts(campaign, *ALWAYS)] == [1]
    assert one(outcomes, campaign, Outcome(False, None, by(request))) == "contradicting"


def test_the_application_cannot_change_what_was_told(stores: Database) -> None:
    for statement in ("update outcome set label = false", "delete from outcome", "delete from outcome_batch"):
        with pytest.raises(InsufficientPrivilege), stores.transaction() as cursor:
            cursor.execute(statement)
