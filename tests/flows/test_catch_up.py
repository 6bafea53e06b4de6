"""What is cancelled of a heap of missed runs, and what is asked for where there is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flows.catch_up import PATIENCE, Planned, missed, surplus
from propensity.flow_health import Beat, Schedule, state_of

NOW = datetime(2026, 3, 6, 12, tzinfo=UTC)
SIX = NOW.replace(hour=6)
SCORE = Schedule("score", "c", "0 6 * * *", 7_200, since=NOW - timedelta(days=30))
NAMES = {("score", "c"): "score-c"}


def planned(days_ago: int, deployment: str = "score-c", automatic: bool = True) -> Planned:
    return Planned(f"{deployment}-{days_ago}", deployment, SIX - timedelta(days=days_ago), automatic)


def beat(event: str, due: datetime) -> dict[str, Beat]:
    return {event: Beat(event, due, "r", due)}


def test_of_all_that_have_come_due_the_newest_stays() -> None:
    runs = [planned(n) for n in (3, 0, -1, 2, 1)] + [planned(2, "other"), planned(5, automatic=False)]
    assert [run.run_id for run in surplus(runs, NOW)] == ["score-c-3", "score-c-2", "score-c-1"]
    assert surplus([], NOW) == []


def test_one_is_asked_for_where_nobody_serves_the_last_due_time() -> None:
    state = state_of(SCORE, {}, NOW)
    assert missed([state], [], NAMES, NOW) == {"score-c": SIX}
    assert missed([state], [planned(-1)], NAMES, NOW) == {"score-c": SIX}
    assert missed([state], [planned(0)], NAMES, NOW) == {}
    assert missed([state], [], {}, NOW) == {}


def test_none_is_asked_for_where_one_serves_it_or_failed_or_has_time_to_begin() -> None:
    for beats in (beat("succeeded", SIX), beat("started", SIX), beat("failed", SIX)):
        assert missed([state_of(SCORE, beats, NOW)], [], NAMES, NOW) == {}
    assert missed([state_of(SCORE, beat("succeeded", SIX - timedelta(days=1)), NOW)], [], NAMES, NOW) == {"score-c": SIX}
    early = SIX + PATIENCE - timedelta(seconds=1)
    assert missed([state_of(SCORE, {}, early)], [], NAMES, early) == {}
