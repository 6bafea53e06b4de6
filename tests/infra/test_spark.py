"""Large lists go to Spark: who may start it, as whom it runs, and what it may do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from infra.config import environment_named

Synthesise = Callable[..., Any]
GIB = 1024**3


def statements(jobs: Any, beginning: str) -> list[dict[str, Any]]:
    found = [p["Properties"] for n, p in jobs.of_type("AWS::IAM::Policy").items() if n.startswith(beginning)]
    return [statement for policy in found for statement in policy["PolicyDocument"]["Statement"]]


def test_lists_above_a_declared_size_go_to_spark(synthesise: Synthesise, name: str) -> None:
    environment, jobs = environment_named(name), synthesise(name)["Jobs"]
    told = jobs.named("UploadedFunction", "AWS::Lambda::Function")["Properties"]["Environment"]["Variables"]
    assert int(told["PROPENSITY_SPARK_FROM_BYTES"]) == environment.spark_from_gib * GIB < environment.upload_limit_gib * GIB
    assert "sslmode=" in json.dumps(told["PROPENSITY_SPARK_DATABASE_URL"])
    # Whatever one machine is given fits its disk four times.
    disk = jobs.named("ListTask", "AWS::ECS::TaskDefinition")["Properties"]["EphemeralStorage"]["SizeInGiB"]
    assert disk >= 20 + 4 * environment.spark_from_gib


def test_only_the_function_of_uploads_may_start_jobs_and_only_as_their_role(synthesise: Synthesise, name: str) -> None:
    platform = synthesise(name)
    starting = [
        (at, statement)
        for at, policy in platform.properties("AWS::IAM::Policy").items()
        for statement in policy["PolicyDocument"]["Statement"]
        if "emr-serverless" in json.dumps(statement)
    ]
    assert {at.partition("Role")[0] for at, _ in starting} == {"Jobs/UploadedFunction"}
    passing, start = sorted((statement for _, statement in starting), key=lambda s: "StartJobRun" in json.dumps(s["Action"]))
    (application,) = platform["Jobs"].of_type("AWS::EMRServerless::Application")
    assert start["Resource"] == {"Fn::GetAtt": [application, "Arn"]}
    assert passing["Action"] == "iam:PassRole"
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "emr-serverless.amazonaws.com"}}
    assert "SparkRole" in json.dumps(passing["Resource"])


def test_jobs_read_one_password_and_write_lists_alone(synthesise: Synthesise, name: str) -> None:
    own = statements(synthesise(name)["Jobs"], "SparkRole")
    secrets = [s for s in own if s["Action"] == "secretsmanager:GetSecretValue"]
    assert len(secrets) == 1
    assert "Passwordpropensityapp" in json.dumps(secrets)
    written = [s for s in own if "s3:PutObject" in s["Action"]]
    assert [json.dumps(s["Resource"]).rpartition("/")[0].rpartition("/")[2] for s in written] == ["lists"]
    assert not [s for s in own if any("Delete" in action for action in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"]))]


def test_people_hear_of_jobs_that_failed(synthesise: Synthesise, name: str) -> None:
    rule = synthesise(name)["Jobs"].named("LostTasksSpark", "AWS::Events::Rule")["Properties"]
    assert rule["EventPattern"]["detail"]["state"] == ["FAILED", "CANCELLED"]
    (target,) = rule["Targets"]
    assert "People" in json.dumps(target["Arn"])


def test_the_pipeline_may_put_there_what_jobs_run_and_nothing_else_in_the_lake(synthesise: Synthesise, name: str) -> None:
    found = statements(synthesise(name)["Delivery"], "")
    on_objects = [one for one in found if any(str(action).startswith("s3:") and "Object" in str(action) for action in listed(one))]
    assert any("s3:PutObject" in listed(one) for one in on_objects)
    assert all(json.dumps(one["Resource"]).endswith('"/spark/*"]]}') for one in on_objects)
    looks = [one for one in found if "s3:ListBucket" in listed(one)]
    assert [one["Condition"] for one in looks] == [{"StringLikeIfExists": {"s3:prefix": ["spark/*"]}}]
    assert not any("Delete" in str(action) for one in found for action in listed(one))


def listed(statement: dict[str, Any]) -> list[Any]:
    action = statement["Action"]
    return action if isinstance(action, list) else [action]
