from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from propensity.cohorts import coverage
from propensity.outcome_rules import OutcomeRules
from propensity.outcomes import counted
from propensity.performance import known_of
from propensity.ports import Cohort, LoggedRequest
from tests.builders import tiny_campaign, tiny_table
from tests.fakes import NOW, FakeOutcomeStore, FakePredictionLog

RULES = OutcomeRules(window_days=10)


@pytest.mark.parametrize(
    ("now", "edge"),
    [("2026-03-11T00:00:00Z", "2026-03-01"), ("2026-03-11T23:59:59Z", "2026-03-01"), ("2026-03-12T00:30:00+01:00", "2026-03-01")],
)
def test_a_day_is_mature_once_the_window_of_its_last_moment_is_over(now: str, edge: str) -> None:
    until = RULES.mature_until(datetime.fromisoformat(now))
    assert until == datetime.combine(date.fromisoformat(edge), datetime.min.time(), UTC)
    # No outcome of a mature day can come in time any more, and one of the day after still can.
    last, moment = until - timedelta(microseconds=1), datetime.fromisoformat(now)
    assert RULES.is_late(last, moment)
    assert not RULES.is_late(until + timedelta(days=1), moment)


def test_coverage_is_of_mature_cohorts_alone() -> None:
    cohorts = [Cohort(date(2026, 2, day), 10, day - 20, 1, counted(())) for day in (26, 27, 28)]
    found = coverage(cohorts, datetime(2026, 2, 28, tzinfo=UTC))
    assert (found.predicted, found.labelled, found.share, found.young, found.young_labelled) == (20, 13, 0.65, 10, 8)
    assert coverage(cohorts[2:], datetime(2026, 2, 28, tzinfo=UTC)).share is None


def test_absence_is_read_in_mature_cohorts_and_never_in_young_ones() -> None:
    rules, campaign, table = OutcomeRules(window_days=10, absent_means="negative"), tiny_campaign(), tiny_table(4)
    log = FakePredictionLog()
    for days in (12, 1):
        log.database.now = NOW - timedelta(days=days)
        scores = table.columns["rate"].astype(float)
        entry = LoggedRequest(
            str(days), campaign.name, "d", "1", {}, "", table.ids, table.rows, scores[:, None], scores, scores > 0, 4, 0, "test"
        )
        log.append(entry, idempotency_key=None, body_sha256="", reply=b"")
    mature, young = known_of(FakeOutcomeStore(log), campaign.name, NOW - timedelta(days=30), NOW, rules, NOW)
    assert (mature.predicted, len(mature.scores), mature.told, mature.labels.sum()) == (4, 4, 0, 0)
    assert (young.predicted, len(young.scores)) == (4, 0)
