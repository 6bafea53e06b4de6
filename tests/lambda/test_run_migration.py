"""The step of a deployment that waits for the migration task: ECS and CloudFormation are stand-ins."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest

from propensity.adapters import fargate
from propensity.errors import StoreError

handler = importlib.import_module("lambda.run_migration.handler")
Json = dict[str, Any]
PROPERTIES = {"Cluster": "c", "TaskDefinition": "t:1", "Subnets": ["subnet-1"], "SecurityGroups": ["sg-1"]}


class Ecs:
    """Starts one task, which is seen as each of ``states`` in turn."""

    def __init__(self, *states: Json, failures: list[Json] | None = None) -> None:
        self.states = list(states)
        self.failures = failures or []
        self.started: list[Json] = []
        self.stopped: list[str] = []

    def run_task(self, **request: Any) -> Json:
        self.started.append(request)
        return {"failures": self.failures, "tasks": [] if self.failures else [{"taskArn": "arn:task/1"}]}

    def describe_tasks(self, **_: Any) -> Json:
        return {"tasks": [{"taskArn": "arn:task/1", **(self.states.pop(0) if len(self.states) > 1 else self.states[0])}]}

    def stop_task(self, *, task: str, **_: Any) -> None:
        self.stopped.append(task)


class Context:
    def get_remaining_time_in_millis(self) -> int:
        return 900_000


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[Json]:
    """What CloudFormation is told."""
    told: list[Json] = []

    class Nothing:
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    def urlopen(request: Any, timeout: float) -> Nothing:
        assert request.method == "PUT"
        assert request.full_url == "https://cloudformation.example/answer"
        told.append(json.loads(request.data))
        return Nothing()

    monkeypatch.setattr(handler.urllib.request, "urlopen", urlopen)
    monkeypatch.setattr(fargate, "POLL_S", 0.0)
    return told


def run(monkeypatch: pytest.MonkeyPatch, ecs: Ecs, kind: str = "Create") -> None:
    monkeypatch.setattr("boto3.client", lambda _: ecs)
    names = {"StackId": "s", "RequestId": "r", "LogicalResourceId": "l", "ResponseURL": "https://cloudformation.example/answer"}
    handler.handle({"RequestType": kind, "ResourceProperties": PROPERTIES, **names}, Context())


def state(last: str, *codes: int | None) -> Json:
    return {"lastStatus": last, "containers": [{"exitCode": code} for code in codes]}


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_the_deployment_goes_on_once_the_task_has_ended_well(monkeypatch: pytest.MonkeyPatch, answered: list[Json], kind: str) -> None:
    ecs = Ecs(state("PENDING", None), state("RUNNING", None), state("STOPPED", 0))
    run(monkeypatch, ecs, kind)
    assert [told["Status"] for told in answered] == ["SUCCESS"]
    (request,) = ecs.started
    assert request["taskDefinition"] == "t:1"
    assert request["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "DISABLED"


def test_a_migration_that_fails_fails_the_deployment(monkeypatch: pytest.MonkeyPatch, answered: list[Json]) -> None:
    run(monkeypatch, Ecs(state("STOPPED", 5)))
    assert answered[0]["Status"] == "FAILED"
    assert "[5]" in answered[0]["Reason"]


def test_a_task_that_could_not_start_fails_the_deployment(monkeypatch: pytest.MonkeyPatch, answered: list[Json]) -> None:
    run(monkeypatch, Ecs(state("STOPPED", 0), failures=[{"reason": "RESOURCE:MEMORY"}]))
    assert answered[0]["Status"] == "FAILED"
    assert "RESOURCE:MEMORY" in answered[0]["Reason"]


def test_what_nobody_foresaw_is_answered_too(monkeypatch: pytest.MonkeyPatch, answered: list[Json]) -> None:
    run(monkeypatch, Ecs({"containers": []}))
    assert answered[0]["Status"] == "FAILED"


def test_deleting_runs_nothing(monkeypatch: pytest.MonkeyPatch, answered: list[Json]) -> None:
    ecs = Ecs(state("STOPPED", 1))
    run(monkeypatch, ecs, "Delete")
    assert answered[0]["Status"] == "SUCCESS"
    assert not ecs.started


def test_a_task_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    ecs = Ecs(state("RUNNING", None))
    monkeypatch.setattr("boto3.client", lambda _: ecs)
    with pytest.raises(StoreError, match="in time"):
        fargate.run_to_end(cluster="c", task_definition="t", subnets=[], security_groups=[], deadline=0.0)
    assert ecs.stopped == ["arn:task/1"]
