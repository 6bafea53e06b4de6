"""What the clock starts beside the campaigns' flows: the tasks of two schedules, started as EventBridge would."""

from __future__ import annotations

import json
import time
from typing import Any

from rehearse.deployed import Deployed, wait_for
from rehearse.steps import StepFailed

# Part of the schedule's name, and the word of its command that says what it does.
DUE = {"flow-health": "flows.health", "retention-platform": "retention-platform"}
ENDED_S = 120.0


def due(deployed: Deployed) -> str:
    """Each ends well, with the variables, secrets and rights of its task: a setting that one lacks would ring an alarm each night."""
    seen = []
    for name, word in DUE.items():
        started = time.monotonic()
        code = _run(deployed, _target(deployed, word))
        if code != 0:
            raise StepFailed(f"the task of the schedule {name} ended with {code}; its log says why")
        seen.append(f"{name} in {time.monotonic() - started:.0f} s")
    return ", ".join(seen)


def _target(deployed: Deployed, word: str) -> dict[str, Any]:
    scheduler = deployed.emulator.client("scheduler")
    for page in scheduler.get_paginator("list_schedules").paginate():
        for found in page["Schedules"]:
            target: dict[str, Any] = scheduler.get_schedule(GroupName=found["GroupName"], Name=found["Name"])["Target"]
            if word in json.loads(target["Input"])["containerOverrides"][0]["command"]:
                return target
    raise StepFailed(f"no schedule starts {word}")


def _run(deployed: Deployed, target: dict[str, Any]) -> int:
    """The exit code of the task."""
    ecs, told = deployed.emulator.client("ecs"), target["EcsParameters"]
    asked = {"cluster": target["Arn"], "taskDefinition": told["TaskDefinitionArn"], "overrides": json.loads(target["Input"])}
    (task,) = ecs.run_task(**asked, launchType="FARGATE", count=1)["tasks"]

    def found() -> dict[str, Any]:
        (now,) = ecs.describe_tasks(cluster=target["Arn"], tasks=[task["taskArn"]])["tasks"]
        return dict(now)

    wait_for(lambda: found()["lastStatus"] == "STOPPED", "the end of the task", timeout_s=ENDED_S)
    return max(int(container.get("exitCode", -1)) for container in found()["containers"])
