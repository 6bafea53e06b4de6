"""How often schedules are due, and what the tasks that they start cost: each sum is worked out by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.constructs.schedules import runs
from infra.cost.assembly import Resource
from infra.cost.clock import DAYS_A_MONTH, awake_hours, started, times_a_month
from infra.cost.estimate import Estimate, estimate
from infra.cost.prices import NotPriced, read_prices
from infra.cost.usage import Usage
from propensity.campaigns import all_campaigns

VCPU, GB, SPOT = 0.03238, 0.00356, 0.32


@pytest.mark.parametrize(
    ("expression", "a_day"),
    [
        ("rate(1 hour)", 24),
        ("rate(6 hours)", 4),
        ("rate(30 minutes)", 48),
        ("cron(0 6 * * ? *)", 1),
        ("cron(25 */6 * * ? *)", 4),
        ("cron(30 5,12 * * ? *)", 2),
        ("cron(0 8-17/3 ? * MON-FRI *)", 4 * 5 / 7),
        ("cron(0 4 ? * MON *)", 1 / 7),
        ("cron(0 3 5 * ? *)", 12 / 365),
        ("cron(0 3 1,15 1,7 ? *)", 4 / 365),
    ],
)
def test_how_often_it_is_due(expression: str, a_day: float) -> None:
    assert times_a_month(expression) == pytest.approx(a_day * DAYS_A_MONTH)


@pytest.mark.parametrize("expression", ["at(2026-01-01T00:00:00)", "cron(0 3 L * ? *)", "rate(1 fortnight)", ""])
def test_what_cannot_be_counted_is_said_so(expression: str) -> None:
    with pytest.raises(NotPriced):
        times_a_month(expression)


def test_every_schedule_of_every_campaign_can_be_counted() -> None:
    due = list(runs(tuple(all_campaigns().values()), servers=True))
    assert due
    assert all(times_a_month(run.expression) >= 1 for run in due)


def task(name: str) -> Resource:
    platform = {"CpuArchitecture": "ARM64"}
    return Resource("stack", name, "AWS::ECS::TaskDefinition", {"Cpu": "1024", "Memory": "2048", "RuntimePlatform": platform})


def schedule(name: str, expression: str, command: str, *, of: str = "Flow", provider: str = "FARGATE") -> Resource:
    told: dict[str, Any] = {"TaskDefinitionArn": {"Ref": of}, "CapacityProviderStrategy": [{"CapacityProvider": provider}]}
    target = {"EcsParameters": told, "Input": json.dumps({"containerOverrides": [{"command": command.split()}]})}
    return Resource("stack", name, "AWS::Scheduler::Schedule", {"ScheduleExpression": expression, "Target": target})


def made(*resources: Resource, **usage: float) -> Estimate:
    return estimate(resources, read_prices("us-east-1"), Usage(job_hours=0, run_minutes=3, training_minutes=30, **usage))


def test_runs_by_the_clock_are_paid_by_their_schedules_on_spare_capacity_where_they_run_there() -> None:
    daily, monthly = (
        schedule("A", "cron(0 6 * * ? *)", "flows.run score-x", provider="FARGATE_SPOT"),
        schedule("B", "cron(0 3 5 * ? *)", "flows.run retrain-x"),
    )
    found = made(task("Flow"), daily, monthly)
    hour = VCPU + 2 * GB
    assert found.not_priced == {}
    assert found.services()["Fargate"] == pytest.approx(SPOT * DAYS_A_MONTH * 3 / 60 * hour + 0.5 * hour)


def test_one_more_schedule_costs_more() -> None:
    one = [task("Flow"), schedule("A", "rate(1 hour)", "flows.health --once")]
    assert made(*one, schedule("B", "rate(1 hour)", "flows.run x")).services()["Fargate"] == pytest.approx(
        2 * made(*one).services()["Fargate"]
    )


def test_a_schedule_whose_task_nobody_knows_is_not_priced() -> None:
    found = made(task("Flow"), schedule("A", "rate(1 hour)", "flows.run x", of="Elsewhere"))
    assert "Fargate" not in found.services() or found.services()["Fargate"] == 0
    assert "AWS::ECS::TaskDefinition" in found.not_priced


def test_what_the_clock_starts_keeps_a_pausing_database_awake_unless_it_looks_at_objects_alone() -> None:
    asks, looks = schedule("A", "rate(6 hours)", "flows.health --once"), schedule("B", "rate(1 hour)", "flows.list_job --pending")
    found = made(task("Flow"), asks, looks, pause_minutes=5)
    assert awake_hours(found.month) == pytest.approx(4 * DAYS_A_MONTH * 8 / 60)
    assert [one.asks for one in started(found.month)] == [True, False]
    every_minute = made(task("Flow"), schedule("A", "rate(1 minute)", "flows.run x"))
    assert awake_hours(every_minute.month) == every_minute.month.hours
