"""Due, late, failed, caught up: all with a clock that the test turns."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from propensity.alerting import Alerting
from propensity.errors import DatabaseUnavailable
from propensity.flow_checks import Checked, check
from propensity.flow_health import CHECKER, Schedule, states
from propensity.recording import Run, record
from tests.fakes import FakeDatabase
from tests.fakes_alerts import FakeAlertStore, FakeChannel, FakeHeartbeatStore, later

EVERY_S = 1_800.0
SCORE = Schedule("score", "term-deposit", "0 6 * * *", 7_200)


class World:
    """A day that begins at noon, with one flow due at six."""

    def __init__(self) -> None:
        self.database = FakeDatabase(now=datetime(2026, 3, 1, 12, tzinfo=UTC))
        self.beats = FakeHeartbeatStore(self.database)
        self.channel = FakeChannel()
        self.alerts = FakeAlertStore(self.database)
        self.alerting = Alerting(self.alerts, (self.channel,), repeat=timedelta(0), sleep=lambda _: None)

    def check(self) -> Checked:
        return check(self.beats, self.alerting, [SCORE], EVERY_S)

    def until(self, moment: datetime) -> None:
        """Let the checker look every half hour until then, and then."""
        while self.database.now < moment:
            self.database.now = min(moment, self.database.now + timedelta(seconds=EVERY_S))
            self.check()

    def run(self, work: Callable[[], dict[str, Any]] = dict, **given: Any) -> dict[str, Any]:
        usual: dict[str, Any] = {
            "run_id": str(uuid.uuid4()),
            "flow": "score",
            "campaign": "term-deposit",
            "regular": True,
            "automatic": True,
        }
        return record(Run(**{**usual, **given}), work, self.beats, lambda: self.alerting)

    @property
    def state(self) -> str:
        _, found = states(self.beats)
        return next(state.state for state in found if state.schedule.flow == "score")


@pytest.fixture
def world() -> World:
    built = World()
    built.check()
    return built


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def test_what_was_due_before_it_was_scheduled_is_nobodys(world: World) -> None:
    assert world.state == "waiting"
    world.until(at(2, 5, 59))
    assert world.state == "waiting"
    assert world.channel.heard == []


def test_late_is_told_once_after_the_grace_and_its_end_once(world: World) -> None:
    world.until(at(2, 8))
    assert (world.state, world.channel.heard) == ("due", [])
    world.until(at(2, 9))
    assert (world.state, world.channel.heard) == ("late", [("flow-late", "raised")])
    assert "2026-03-02 06:00 UTC" in world.channel.told[0].detail
    world.until(at(4, 9))
    assert world.channel.heard == [("flow-late", "raised")]
    assert world.run() == {}
    world.until(at(4, 10))
    assert (world.state, world.channel.heard) == ("ok", [("flow-late", "raised"), ("flow-late", "resolved")])


def test_a_failure_is_told_at_once_and_once(world: World) -> None:
    world.until(at(2, 6, 1))

    def fails() -> dict[str, Any]:
        raise DatabaseUnavailable("customer canary-7 is away")

    with pytest.raises(DatabaseUnavailable):
        world.run(fails)
    assert world.channel.heard == [("flow-failed", "raised")]
    assert world.channel.told[0].detail == "It ended with database_unavailable."
    world.until(at(2, 12))
    with pytest.raises(DatabaseUnavailable):
        world.run(fails)
    assert (world.state, world.channel.heard) == ("failed", [("flow-failed", "raised")])
    world.run()
    assert world.channel.heard == [("flow-failed", "raised"), ("flow-failed", "resolved")]
    world.until(at(2, 13))
    assert (world.state, len(world.channel.heard)) == ("ok", 2)


def test_a_failure_that_could_not_be_told_then_is_told_by_the_checker(world: World) -> None:
    world.until(at(2, 6, 1))

    def broken() -> Alerting:
        raise DatabaseUnavailable("away")

    def fails() -> dict[str, Any]:
        raise ZeroDivisionError("canary")

    with pytest.raises(ZeroDivisionError):
        record(Run("r", "score", "term-deposit", True), fails, world.beats, broken)
    assert world.channel.heard == []
    world.check()
    assert world.channel.heard == [("flow-failed", "raised")]
    assert world.channel.told[0].detail == "It ended with ZeroDivisionError."


@pytest.mark.parametrize("missed", [1, 5])
def test_after_an_outage_one_run_does_the_work_of_all_that_were_missed(world: World, missed: int) -> None:
    for day in range(2, 2 + missed):
        world.until(at(day, 7))
    done: list[int] = []

    def work() -> dict[str, Any]:
        done.append(1)
        return {}

    # All that were planned meanwhile begin one after the other, the oldest first.
    results = [world.run(work, planned=at(day, 6)) for day in range(2, 2 + missed)]
    assert len(done) == 1
    assert [result.get("superseded", False) for result in results] == [False] + [True] * (missed - 1)
    world.until(at(2 + missed, 5))
    assert world.state == "ok"
    later(world.database, hours=2)
    world.run(work, planned=at(2 + missed, 6))
    assert len(done) == 2


def test_a_person_may_run_it_again_and_an_old_window_serves_nothing(world: World) -> None:
    world.until(at(2, 7))
    done: list[int] = []

    def work() -> dict[str, Any]:
        done.append(1)
        return {}

    world.run(work, regular=False)
    assert world.state == "due"
    world.run(work)
    world.run(work, automatic=False)
    assert len(done) == 3
    assert world.state == "ok"


def test_a_run_that_began_a_moment_too_early_serves_what_it_was_planned_for(world: World) -> None:
    world.until(at(2, 5, 59))
    world.run(planned=at(2, 6))
    world.until(at(2, 9))
    assert world.state == "ok"


def test_a_run_goes_on_where_its_record_cannot_be_kept(world: World) -> None:
    world.until(at(2, 6, 1))
    world.database.down = True
    assert world.run(lambda: {"rows": 7}) == {"rows": 7}
    world.database.down = False
    world.until(at(2, 9))
    assert world.channel.heard == [("flow-late", "raised")]


def test_a_killed_run_is_late(world: World) -> None:
    world.until(at(2, 6, 1))
    world.beats.beat("killed", "score", "term-deposit", "started", at(2, 6))
    assert world.state == "running"
    world.until(at(2, 9))
    assert world.state == "late"


def test_the_checker_says_itself_when_it_was_down(world: World) -> None:
    world.until(at(1, 13))
    assert world.check().away_since is None
    later(world.database, hours=3)
    checked = world.check()
    assert checked.away_since is not None
    assert world.channel.heard == [("checker-down", "raised")]
    told = world.channel.told[0]
    assert told.campaign == "platform"
    assert "for 3 h 0 min, from 2026-03-01 13:00 to 2026-03-01 16:00 UTC" in told.detail
    world.until(at(1, 20))
    assert world.channel.heard == [("checker-down", "raised")]
    later(world.database, hours=2)
    world.check()
    assert [kind for kind, _ in world.channel.heard] == ["checker-down"] * 2


def test_a_database_that_was_away_counts_as_an_absence(world: World) -> None:
    world.until(at(1, 13))
    world.database.down = True
    later(world.database, hours=2)
    with pytest.raises(DatabaseUnavailable):
        world.check()
    world.database.down = False
    assert world.check().away_since is not None


def test_the_checker_records_itself_sparsely(world: World) -> None:
    for _ in range(60):
        later(world.database, minutes=1)
        check(world.beats, world.alerting, [SCORE], 60.0)
    mine = [beat for flow, _, beat in world.beats.beats if flow == CHECKER]
    assert len(mine) == 1 + 60 // 4


def test_a_new_cron_makes_nothing_late_that_was_due_before(world: World) -> None:
    world.until(at(2, 7))
    world.run()
    check(world.beats, world.alerting, [Schedule("score", "term-deposit", "30 5 * * *", 60)], EVERY_S)
    assert world.state == "waiting"
    assert world.channel.heard == []
