"""The decorator: what counts as the schedule's own run, and what Prefect says of it."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.exceptions import ParameterTypeError

from propensity.adapters import recorded as module
from propensity.adapters.recorded import recorded
from propensity.alerting import Alerting
from propensity.errors import SettingsInvalid
from propensity.flow_health import PLATFORM
from propensity.recording import Run
from propensity.schedules import platform_schedules, schedules
from tests.fakes_alerts import FakeAlertStore, FakeHeartbeatStore


@pytest.fixture
def beats(monkeypatch: pytest.MonkeyPatch) -> FakeHeartbeatStore:
    kept = FakeHeartbeatStore()
    monkeypatch.setattr(module, "platform", lambda: SimpleNamespace(heartbeats=kept))
    monkeypatch.setattr(module, "alerting", lambda _: Alerting(FakeAlertStore()))
    return kept


@recorded("look", lambda result: {"n": result["n"]})
def look(campaign_name: str, since: str | None = None, actor: str = "schedule") -> dict[str, Any]:
    return {"n": 1, "more": (campaign_name, since, actor)}


def test_who_asks_makes_no_difference_but_what_is_asked_for_does(beats: FakeHeartbeatStore) -> None:
    assert look("c", actor="ada") == {"n": 1, "more": ("c", None, "ada")}
    look(campaign_name="c", since=None)
    look("c", since="2009-05")
    ended = [beat for _, _, beat in beats.beats if beat.event == "succeeded"]
    assert [beat.due is not None for beat in ended] == [True, True, False]
    assert ended[0].detail["n"] == 1
    assert "more" not in ended[0].detail


def test_a_flow_of_no_campaign_is_the_platforms(beats: FakeHeartbeatStore) -> None:
    @recorded("tidy")
    def tidy() -> dict[str, Any]:
        return {}

    tidy()
    assert {(flow, campaign) for flow, campaign, _ in beats.beats} == {("tidy", PLATFORM)}


def test_prefect_checks_the_parameters_of_a_recorded_flow() -> None:
    from monitoring.flow import monitor

    since = datetime(2026, 1, 1, tzinfo=UTC)
    assert monitor.validate_parameters({"campaign_name": "term-deposit", "since": since.isoformat()})["since"] == since
    with pytest.raises(ParameterTypeError):
        monitor.validate_parameters({"campaign_name": "term-deposit", "since": "yesterday"})


def test_without_settings_a_flow_runs_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise SettingsInvalid("PROPENSITY_DATABASE_URL must be set")

    monkeypatch.setattr(module, "platform", none)
    assert look("c")["n"] == 1


def test_every_scheduled_flow_records_itself_under_its_schedules_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    seen: list[tuple[str, str]] = []

    def record(run: Run, *_: object) -> dict[str, Any]:
        seen.append((run.flow, run.campaign))
        return {}

    monkeypatch.setattr(module, "record", record)
    monkeypatch.setattr(module, "platform", lambda: SimpleNamespace(heartbeats=None))
    for one in [*schedules(), *platform_schedules()]:
        name, _, function = one.entrypoint.rpartition(".")
        getattr(importlib.import_module(name), function).fn(**one.parameters)
        assert seen[-1] == (one.flow, one.campaign), one.name
