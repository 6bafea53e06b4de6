from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from propensity.adapters.list_tasks import EcsTasks, TaskPlace
from propensity.errors import StoreError

PLACE = TaskPlace(
    cluster="platform",
    task_definition="list-job",
    container="flows",
    subnets=("subnet-1",),
    security_groups=("sg-1",),
    capacity_provider="FARGATE_SPOT",
)
COMMAND = ["python", "-m", "flows.list_job", "term-deposit.0"]


class Scripted:
    """An ECS client that answers as the test says."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.asked = answer, []  # type: ignore[var-annotated]

    def run_task(self, **asked: Any) -> Any:
        self.asked.append(asked)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def refusal(code: str, **more: Any) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": "m"}, **more}
    return ClientError(answer, "RunTask")


@pytest.fixture
def ecs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        make: Any = boto3.client
        client = make("ecs")
        client.create_cluster(clusterName="platform")
        container = {"name": "flows", "image": "flows", "memory": 512}
        client.register_task_definition(
            family="list-job", requiresCompatibilities=["FARGATE"], networkMode="awsvpc", cpu="256", memory="512",
            containerDefinitions=[container],
        )  # fmt: skip
        yield client


def test_a_task_is_started_as_the_api_takes_it(ecs: Any) -> None:
    """The mock checks names and types of the request, though it knows no client tokens."""
    make: Any = boto3.client
    subnet = make("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    arn = EcsTasks(replace(PLACE, subnets=(subnet,)), ecs).run(COMMAND, token="list-0", group="lists")
    (task,) = ecs.describe_tasks(cluster="platform", tasks=[arn])["tasks"]
    assert task["overrides"]["containerOverrides"] == [{"name": "flows", "command": COMMAND}]
    assert (task["startedBy"], task["group"]) == ("list-0", "lists")


def test_the_token_and_everything_else_are_equal_each_time() -> None:
    """ECS takes a token again only with the very same request."""
    client = Scripted({"tasks": [{"taskArn": "arn"}]})
    for _ in range(2):
        assert EcsTasks(PLACE, client).run(COMMAND, token="list-0", group="lists") == "arn"
    assert client.asked[0] == client.asked[1]
    assert client.asked[0]["clientToken"] == "list-0"
    assert client.asked[0]["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "DISABLED"


def test_a_token_that_was_used_with_another_request_stands_for_its_task() -> None:
    client = Scripted(refusal("ConflictException", resourceIds=["arn-of-before"]))
    assert EcsTasks(PLACE, client).run(COMMAND, token="list-0", group="lists") == "arn-of-before"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"tasks": [], "failures": [{"arn": "a", "reason": "Capacity is unavailable at this time"}]}, "Capacity is unavailable"),
        ({"tasks": [], "failures": []}, "no reason"),
        (refusal("ClusterNotFoundException"), "ClusterNotFoundException"),
        (refusal("ConflictException"), "ConflictException"),
        (EndpointConnectionError(endpoint_url="https://ecs"), "EndpointConnectionError"),
    ],
)
def test_what_was_not_started_is_worth_another_try(answer: Any, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        EcsTasks(PLACE, Scripted(answer)).run(COMMAND, token="list-0", group="lists")
