"""Tasks on ECS that run once and end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from propensity.errors import StoreError

POLL_S = 5.0


def run_to_end(*, cluster: str, task_definition: str, subnets: Sequence[str], security_groups: Sequence[str], deadline: float) -> None:
    """Run a task and return when its container has ended with 0.

    Parameters
    ----------
    cluster, task_definition : str
        Names or ARNs.
    deadline : float
        ``time.monotonic()`` until which the task may take; it is stopped then.

    Raises
    ------
    StoreError
        ECS did not answer or did not start it, or it ended otherwise than with 0, or not in time. The message says which.
    """
    ecs = boto3.client("ecs")
    try:
        task = _start(ecs, cluster, task_definition, subnets, security_groups)
        while True:
            (found,) = ecs.describe_tasks(cluster=cluster, tasks=[task])["tasks"]
            if found["lastStatus"] == "STOPPED":
                return _judge(found)
            if time.monotonic() > deadline:
                ecs.stop_task(cluster=cluster, task=task, reason="took too long")
                raise StoreError(f"the task {task} did not end in time and was stopped")
            time.sleep(POLL_S)
    except (BotoCoreError, ClientError) as exc:
        raise StoreError(f"ECS did not do what was asked: {exc}") from exc


def _start(ecs: Any, cluster: str, task_definition: str, subnets: Sequence[str], security_groups: Sequence[str]) -> str:
    network = {"subnets": list(subnets), "securityGroups": list(security_groups), "assignPublicIp": "DISABLED"}
    started = ecs.run_task(
        cluster=cluster,
        taskDefinition=task_definition,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": network},
        propagateTags="TASK_DEFINITION",
    )
    if started["failures"]:
        reasons = ", ".join(str(failure.get("reason")) for failure in started["failures"])
        raise StoreError(f"ECS did not start the task: {reasons}")
    return str(started["tasks"][0]["taskArn"])


def _judge(task: Mapping[str, Any]) -> None:
    codes = [container.get("exitCode") for container in task["containers"]]
    if codes != [0] * len(codes):
        raise StoreError(f"the task {task['taskArn']} ended with {codes}: {task.get('stoppedReason', 'its log says why')}")
