"""Raised once, told once by each channel, reminded of, resolved once; with a clock that the test turns."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from propensity.alerting import AT_ONCE_S, BACKOFF_S, LEASE_S, Alerting
from propensity.alerts import CHECKER, Finding
from propensity.errors import StoreError
from tests.fakes import FakeDatabase
from tests.fakes_alerts import FakeAlertStore, FakeChannel, an_alert, later


class World:
    def __init__(self, repeat_h: float = 24.0) -> None:
        self.database = FakeDatabase()
        self.store = FakeAlertStore(self.database)
        self.mail, self.hook = FakeChannel("mail"), FakeChannel("hook")
        self.slept: list[float] = []
        self.alerting = Alerting(
            self.store, (self.mail, self.hook), lambda stored: {"alert": stored.alert_id}, timedelta(hours=repeat_h), self.slept.append
        )


@pytest.fixture
def world() -> World:
    return World()


def test_a_condition_is_told_once_while_it_is_open(world: World) -> None:
    first = world.alerting.raise_alert(an_alert())
    again = world.alerting.raise_alert(
        an_alert(run_id="1" * 8 + an_alert().run_id[8:], findings=(Finding("age", "psi", 9.9, 0.1, 0.2, "drift"),))
    )
    assert again.alert_id == first.alert_id
    for channel in (world.mail, world.hook):
        assert channel.heard == [("drift", "raised")]
        assert channel.told[0].links == {"alert": first.alert_id}


def test_another_set_of_findings_is_another_condition_and_takes_the_place_of_the_first(world: World) -> None:
    first = world.alerting.raise_alert(an_alert())
    findings = (*an_alert().findings, Finding("job", "psi", 0.3, 0.1, 0.2, "drift"))
    second = world.alerting.raise_alert(an_alert(findings=findings))
    assert first.alert_id != second.alert_id
    assert world.store.find(first.alert_id).state == "replaced"
    assert world.mail.heard == [("drift", "raised")] * 2
    world.alerting.clear("term-deposit", "drift", until=an_alert().until)
    assert world.mail.heard[2:] == [("drift", "resolved")]


def test_the_end_is_told_once_and_the_condition_may_come_again(world: World) -> None:
    first = world.alerting.raise_alert(an_alert())
    assert world.alerting.clear("term-deposit", "drift", until=an_alert().until) == [first.alert_id]
    assert world.alerting.clear("term-deposit", "drift", until=an_alert().until) == []
    world.alerting.deliver()
    assert world.mail.heard == [("drift", "raised"), ("drift", "resolved")]
    second = world.alerting.raise_alert(an_alert())
    assert second.alert_id != first.alert_id
    assert second.episode == 2
    assert len(world.mail.told) == 3


def test_a_look_at_an_older_window_resolves_nothing(world: World) -> None:
    world.alerting.raise_alert(an_alert())
    assert world.alerting.clear("term-deposit", "drift", until=an_alert().until - timedelta(seconds=1)) == []
    assert world.alerting.clear("another", "drift", until=an_alert().until) == []
    assert world.alerting.clear("term-deposit", "performance", until=an_alert().until) == []
    assert world.mail.heard == [("drift", "raised")]


def test_one_channel_that_fails_stops_no_other_and_is_tried_again_with_backoff(world: World) -> None:
    world.mail.down = True
    stored = world.alerting.raise_alert(an_alert())
    assert world.hook.heard == [("drift", "raised")]
    assert [pause for pause in world.slept if pause] == list(AT_ONCE_S)
    failed = [e for e in world.store.find(stored.alert_id).events if e.event == "failed"]
    assert [(e.channel, e.attempt, e.detail) for e in failed] == [("mail", n, "the fake does not answer") for n in (1, 2, 3)]
    for tries, wait_s in enumerate(BACKOFF_S[2:], start=3):
        later(world.database, seconds=wait_s - 1)
        assert world.alerting.deliver() == []
        later(world.database, seconds=1)
        assert [one.attempt for one in world.alerting.deliver()] == [tries + 1]
    world.mail.down = False
    later(world.database, seconds=BACKOFF_S[-1])
    assert [one.sent for one in world.alerting.deliver()] == [True]
    assert world.mail.heard == world.hook.heard[:1] == [("drift", "raised")]


def test_what_nobody_foresaw_in_a_channel_stops_no_other_and_is_not_quoted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> str:
        raise RuntimeError("https://hooks.example.com/secret-token")

    monkeypatch.setattr(world.mail, "send", broken)
    stored = world.alerting.raise_alert(an_alert())
    assert world.hook.heard == [("drift", "raised")]
    details = [e.detail for e in world.store.find(stored.alert_id).events if e.event == "failed"]
    assert set(details) == {"failed unexpectedly: RuntimeError"}


def test_a_reminder_each_day_until_somebody_takes_care(world: World) -> None:
    stored = world.alerting.raise_alert(an_alert())
    for day in (1, 2):
        later(world.database, hours=23)
        assert world.alerting.deliver() == []
        later(world.database, hours=1)
        assert {one.occasion for one in world.alerting.deliver()} == {f"reminder-{day}"}
        assert world.alerting.deliver() == []
    world.store.acknowledge(stored.alert_id, actor="ada", note="looking")
    later(world.database, days=9)
    assert world.alerting.deliver() == []
    world.alerting.clear("term-deposit", "drift", until=an_alert().until)
    assert [occasion for _, occasion in world.mail.heard] == ["raised", "reminder-1", "reminder-2", "resolved"]


def test_after_a_silence_of_days_one_reminder_comes_and_not_one_for_each(world: World) -> None:
    world.alerting.raise_alert(an_alert())
    later(world.database, days=5)
    assert [one.occasion for one in world.alerting.deliver()] == ["reminder-5"] * 2


def test_without_an_interval_nobody_is_reminded() -> None:
    world = World(repeat_h=0)
    world.alerting.raise_alert(an_alert())
    later(world.database, days=50)
    assert world.alerting.deliver() == []


def test_who_never_heard_of_it_does_not_hear_of_its_end(world: World) -> None:
    world.mail.down = True
    world.alerting.raise_alert(an_alert())
    world.mail.down = False
    world.alerting.clear("term-deposit", "drift", until=an_alert().until)
    later(world.database, days=1)
    world.alerting.deliver()
    assert world.mail.heard == []
    assert world.hook.heard == [("drift", "raised"), ("drift", "resolved")]


def test_a_sender_who_was_killed_is_replaced_after_his_time(world: World) -> None:
    stored, _ = world.store.raise_alert(an_alert())
    assert world.store.claim(stored.alert_id, "mail", "raised", 1)
    assert [one.channel for one in world.alerting.deliver()] == ["hook"]
    later(world.database, seconds=LEASE_S)
    assert [(one.channel, one.attempt) for one in world.alerting.deliver()] == [("mail", 2)]


def test_what_is_over_when_it_is_told_is_told_once(world: World) -> None:
    moment = an_alert(kind=CHECKER, verdict="down", campaign="platform", findings=())
    stored = world.alerting.raise_alert(moment)
    world.alerting.raise_alert(replace(moment, since=moment.since + timedelta(days=1)))
    later(world.database, days=3)
    world.alerting.deliver()
    assert world.mail.heard == [(CHECKER, "raised")] * 2
    assert world.store.find(stored.alert_id).state == "resolved"


def test_a_store_that_does_not_answer_is_said_so(world: World) -> None:
    world.database.down = True
    with pytest.raises(StoreError):
        world.alerting.raise_alert(an_alert())
