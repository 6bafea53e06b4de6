"""Alerts and flows as callers see them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from propensity.alerts import Finding, Impact
from propensity.flow_health import CHECKER, PLATFORM, Schedule
from tests.api.conftest import World
from tests.fakes_alerts import an_alert, later


def test_an_alert_is_shown_whole_and_somebody_takes_care_of_it(world: World) -> None:
    stored, _ = world.alerts.raise_alert(
        an_alert(impact=Impact(-12.5, "EUR"), findings=(Finding(None, "psi", float("inf"), 0.1, 0.2, "drift"),))
    )
    world.alerts.claim(stored.alert_id, "mail", "raised", 1)
    world.alerts.answered(stored.alert_id, "mail", "raised", 1, sent=False, detail="the mail server did not answer")
    (shown,) = world.client.get("/v1/alerts").json["alerts"]
    assert {name: shown[name] for name in ("alert_id", "state", "campaign", "kind", "impact", "acknowledged")} == {
        "alert_id": stored.alert_id, "state": "open", "campaign": "term-deposit", "kind": "drift",
        "impact": {"amount": -12.5, "currency": "EUR"}, "acknowledged": None,
    }  # fmt: skip
    assert shown["channels"][0]["result"] == "failed"
    reply = world.client.post(f"/v1/alerts/{stored.alert_id}/acknowledgements", json={"note": "looking into it"})
    assert (reply.status_code, reply.json["state"]) == (200, "acknowledged")
    assert (reply.json["acknowledged"]["by"], reply.json["acknowledged"]["note"]) == ("api:operator", "looking into it")
    again = world.as_role("operator", "another").post(f"/v1/alerts/{stored.alert_id}/acknowledgements", json={})
    assert again.json["acknowledged"]["by"] == "api:operator"
    events = world.as_role("auditor").get(f"/v1/alerts/{stored.alert_id}").json["events"]
    assert [event["event"] for event in events] == ["raised", "claimed", "failed", "acknowledged"]
    assert world.client.get("/v1/alerts?state=open").json["alerts"] == []


@pytest.mark.parametrize("body", ["[]", "7", '"x"', '{"note": null}', '{"by": "eve"}', '{"note": "a\\u0000"}', '{"note": "\\ud800"}', "{"])
def test_an_acknowledgement_that_cannot_be_kept_is_refused(world: World, body: str) -> None:
    stored, _ = world.alerts.raise_alert(an_alert())
    reply = world.client.post(f"/v1/alerts/{stored.alert_id}/acknowledgements", data=body, content_type="application/json")
    assert (reply.status_code, reply.json["code"]) == (400, "malformed")
    long = world.client.post(
        f"/v1/alerts/{stored.alert_id}/acknowledgements", data=json.dumps({"note": "x" * 501}), content_type="application/json"
    )
    assert long.status_code == 400
    assert world.alerts.find(stored.alert_id).state == "open"


def test_the_flows_say_what_is_due_late_and_failed(world: World) -> None:
    assert world.client.get("/v1/flows").json["checker"] == {"last_look": None, "late": True}
    schedules = [
        Schedule("score", "term-deposit", "0 6 * * *", 3600),
        Schedule("monitor", "small", "0 6 * * *", 3600),
        Schedule("retrain", "small", "0 6 * * *", 10**6),
    ]
    world.heartbeats.register([*schedules, Schedule(CHECKER, PLATFORM, "*/5 * * * *", 600)])
    later(world.database, days=1)
    now = world.database.now
    world.heartbeats.beat("0" * 8 + "-0000-4000-8000-" + "0" * 12, "score", "term-deposit", "failed", now, {"error": "no_live_model"})
    world.heartbeats.beat("1", CHECKER, PLATFORM, "succeeded", now)
    told = world.as_role("auditor").get("/v1/flows").json
    assert told["checker"] == {"last_look": now.isoformat(), "late": False}
    states: dict[tuple[str, str], dict[str, Any]] = {(flow["flow"], flow["campaign"]): flow for flow in told["flows"]}
    assert {key: flow["state"] for key, flow in states.items()} == {
        ("score", "term-deposit"): "failed", ("monitor", "small"): "late", ("retrain", "small"): "due",
    }  # fmt: skip
    assert states["score", "term-deposit"]["error"] == "no_live_model"
    assert states["monitor", "small"]["last_due"] == (now.replace(hour=6, minute=0)).isoformat()
    later(world.database, seconds=601)
    assert world.client.get("/v1/flows").json["checker"]["late"]


def test_with_the_database_down_they_are_refused(world: World) -> None:
    stored, _ = world.alerts.raise_alert(an_alert())
    world.database.down = True
    for path in ("/v1/alerts", f"/v1/alerts/{stored.alert_id}", "/v1/flows"):
        assert world.client.get(path).status_code == 503
    assert world.client.post(f"/v1/alerts/{stored.alert_id}/acknowledgements", json={}).status_code == 503
