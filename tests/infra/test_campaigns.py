"""A new campaign is one file: schedules, alarms and dashboard follow from it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from infra import config
from infra.constructs.registry import IMAGES
from propensity.campaigns import all_campaigns
from propensity.schedules import platform_schedules, schedules

Synthesise = Callable[..., Any]
CAMPAIGNS = tuple(all_campaigns())


def test_every_flow_of_every_campaign_is_due_once(synthesise: Synthesise, name: str) -> None:
    started = []
    for schedule in synthesise(name)["Jobs"].of_type("AWS::Scheduler::Schedule").values():
        properties = schedule["Properties"]
        if properties["ScheduleExpression"] == "rate(1 hour)":
            continue
        (override,) = json.loads(properties["Target"]["Input"])["containerOverrides"]
        assert override["name"] == "flow"
        assert override["command"][:3] == ["python", "-m", "flows.run"]
        assert properties["ScheduleExpressionTimezone"] == "Etc/UTC"
        assert properties["Target"]["DeadLetterConfig"]
        started.append(override["command"][3])
    assert sorted(started) == sorted(scheduled.name for scheduled in [*schedules(), *platform_schedules()])


def test_lists_left_half_done_and_late_flows_are_seen_to(synthesise: Synthesise, name: str) -> None:
    schedules = [s["Properties"] for s in synthesise(name)["Jobs"].of_type("AWS::Scheduler::Schedule").values()]
    hourly = [s for s in schedules if s["ScheduleExpression"] == "rate(1 hour)"]
    started = [json.loads(s["Target"]["Input"])["containerOverrides"][0] for s in hourly]
    assert {"name": "list", "command": ["python", "-m", "flows.list_job", "--pending"]} in started
    assert {"name": "flow", "command": ["python", "-m", "flows.health", "--once"]} in started
    assert len(started) == 2


def test_people_hear_of_tasks_that_were_lost(synthesise: Synthesise, name: str) -> None:
    (rule,) = (r["Properties"] for n, r in synthesise(name)["Jobs"].of_type("AWS::Events::Rule").items() if n.startswith("LostTasksRule"))
    detail = rule["EventPattern"]["detail"]
    assert detail["stopCode"] == ["TaskFailedToStart", "SpotInterruption", "TerminationNotice"]
    assert {ref["Ref"][:8] for ref in detail["taskDefinitionArn"]} == {"FlowTask", "ListTask"}
    assert "TopicsPeople" in json.dumps(rule["Targets"])


def test_a_new_campaign_is_one_declaration(new_app: Callable[[str], Any]) -> None:
    from aws_cdk.assertions import Template

    from infra.stage import PlatformStage

    one = all_campaigns()[CAMPAIGNS[0]]
    new = dataclasses.replace(one, name="brand-new", retrain_cron="0 4 * * 1")
    stage = PlatformStage(
        new_app("dev"),
        "platform",
        environment=config.environment_named("dev"),
        campaigns=(one, new),
        tags=dict.fromkeys(IMAGES, "1"),
        version="1",
    )
    jobs, operations = Template.from_stack(stage.jobs).to_json(), Template.from_stack(stage.operations).to_json()
    expressions = [
        r["Properties"]["ScheduleExpression"]
        for r in jobs["Resources"].values()
        if "brand-new" in r.get("Properties", {}).get("Description", "")
    ]
    assert len(expressions) == len(schedules((new,)))
    assert "cron(0 4 ? * MON *)" in expressions
    assert "monitor-brand-new-late" in json.dumps(operations) or "monitor-brand-new-ended" in json.dumps(operations)


@pytest.mark.parametrize("campaign", CAMPAIGNS)
def test_every_campaign_is_watched(synthesise: Synthesise, name: str, campaign: str) -> None:
    operations = synthesise(name)["Operations"]
    counted = {f["Properties"]["MetricTransformations"][0]["MetricName"] for f in operations.of_type("AWS::Logs::MetricFilter").values()}
    alarmed = {a["Properties"].get("MetricName") for a in operations.of_type("AWS::CloudWatch::Alarm").values()}
    for kind in ("retrain", "score", "monitor"):
        assert f"{kind}-{campaign}-failed" in counted & alarmed
    for kind in ("score", "monitor"):
        assert f"{kind}-{campaign}-ended" in counted & alarmed
    (board,) = operations.of_type("AWS::CloudWatch::Dashboard").values()
    assert f"{campaign}: flows failed" in json.dumps(board)


def test_every_alarm_tells_people_and_says_what_it_means(synthesise: Synthesise, name: str) -> None:
    alarms = synthesise(name).properties("AWS::CloudWatch::Alarm")
    assert alarms
    for at, alarm in alarms.items():
        if "Scaling" not in at and "TargetTracking" not in at:
            assert alarm["AlarmActions"], at
            assert alarm["AlarmDescription"].endswith((".", "?")) or ":" in alarm["AlarmDescription"], at


def test_every_dead_letter_is_heard_of(synthesise: Synthesise, name: str) -> None:
    platform = synthesise(name)
    letters = {
        queue
        for kind, where in (("AWS::SQS::Queue", "RedrivePolicy"), ("AWS::Lambda::Function", "DeadLetterConfig"))
        for at, one in platform.properties(kind).items()
        if where in one
        for queue in _targets(at, one[where])
    }
    letters |= {
        q for at, s in platform.properties("AWS::Scheduler::Schedule").items() for q in _targets(at, s["Target"]["DeadLetterConfig"])
    }
    watched = json.dumps([a.get("Dimensions", []) for a in platform.properties("AWS::CloudWatch::Alarm").values()])
    assert letters
    for queue in letters:
        assert queue in watched, queue


def _targets(at: str, config: Any) -> list[str]:
    return [value["Fn::GetAtt"][0] for value in config.values() if isinstance(value, dict)]
