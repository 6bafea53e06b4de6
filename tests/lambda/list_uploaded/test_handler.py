"""The function with the bodies of events that AWS documents, a mocked S3, and an ECS that counts."""

from __future__ import annotations

import copy
import importlib
import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from propensity.adapters.object_store import S3Store
from propensity.errors import StoreError
from propensity.list_state import CLAIM, MANIFEST, TASK, UPLOAD, Claim, ListId, Manifest, Task, new_list_id, read_json

# AWS, "Event message structure" (Amazon S3) and "Using Lambda with Amazon SQS": as they stand there.
EVENTS = json.loads((Path(__file__).parent / "events.json").read_text())
ONE, TWO, THREE = (new_list_id("term-deposit", "crm", str(at)) for at in range(3))
SOUND = {
    "PROPENSITY_STORE_URL": "s3://lake/some/prefix",
    "PROPENSITY_UPLOAD_LIMIT_BYTES": "1000000",
    "PROPENSITY_LIST_CLUSTER": "platform",
    "PROPENSITY_LIST_TASK_DEFINITION": "list-job",
    "PROPENSITY_LIST_CONTAINER": "flows",
    "PROPENSITY_LIST_SUBNETS": "subnet-1,subnet-2",
    "PROPENSITY_LIST_SECURITY_GROUPS": "sg-1",
    "PROPENSITY_LIST_CAPACITY_PROVIDER": "FARGATE_SPOT",
    "PROPENSITY_SPARK_FROM_BYTES": "2000",
    "PROPENSITY_SPARK_APPLICATION_ID": "00abc",
    "PROPENSITY_SPARK_ROLE_ARN": "arn:aws:iam::123456789012:role/spark",
    "PROPENSITY_SPARK_CODE": "s3://lake/spark/1",
    "PROPENSITY_SPARK_LOG_GROUP": "spark",
    "PROPENSITY_SPARK_DATABASE_URL": "postgresql://app@db:5432/propensity",
    "PROPENSITY_SPARK_PASSWORD_SECRET_ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-1",
}


class Context:
    aws_request_id = "of-lambda"


class Tasks:
    """An ECS that starts one task per token, and fails where it is told to."""

    def __init__(self) -> None:
        self.started: dict[str, list[str]] = {}
        self.failing: set[str] = set()

    def run(self, command: list[str], *, token: str, group: str) -> str:
        assert group == "propensity-lists"
        if command[-1] in self.failing:
            raise StoreError("ECS did not start a task: Capacity is unavailable at this time")
        self.started.setdefault(token, command)
        return f"arn:aws:ecs:eu-central-1:123456789012:task/platform/{token}"

    @property
    def lists(self) -> list[str]:
        return sorted(command[-1] for command in self.started.values())


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name, value in SOUND.items():
        monkeypatch.setenv(name, value)
    return importlib.import_module("lambda.list_uploaded.handler")


@pytest.fixture
def store(function: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        function._store.cache_clear()
        lake = S3Store("lake", "some/prefix", client)
        for one in (ONE, TWO, THREE):
            now = datetime.now(UTC)
            made = Manifest(
                list_id=str(one),
                owner="crm",
                format="csv",
                created_at=now,
                upload_until=now + timedelta(hours=1),
                limit_bytes=1000,
                request_sha256="",
            )
            lake.put(one.key(MANIFEST), made.to_bytes())
        yield lake


@pytest.fixture
def tasks(function: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Tasks:
    ecs = Tasks()
    monkeypatch.setattr(function, "_tasks", lambda _: ecs)
    return ecs


@pytest.fixture
def log(function: ModuleType, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    written = io.StringIO()
    function.logger(function.SERVICE)
    (handler,) = logging.getLogger(function.SERVICE).handlers
    monkeypatch.setattr(handler, "stream", written)
    return written


def notification(*lists: ListId, bucket: str = "lake", key: str | None = None) -> dict[str, Any]:
    """An S3 notification with a record per list."""
    (usual,) = EVENTS["s3"]["Records"]
    records = [copy.deepcopy(usual) for _ in lists]
    for record, one in zip(records, lists, strict=True):
        record["s3"]["bucket"]["name"] = bucket
        record["s3"]["object"]["key"] = key or f"some/prefix/{one.key(UPLOAD)}"
    return {"Records": records}


def queued(*bodies: dict[str, Any] | str) -> dict[str, Any]:
    """What the queue gives the function."""
    (usual,) = EVENTS["sqs"]["Records"]
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    return {"Records": [{**usual, "messageId": f"message-{at}", "body": text} for at, text in enumerate(texts)]}


def failed(answer: dict[str, Any]) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_several_records_in_a_message_and_messages_in_an_event_start_a_task_each(
    function: ModuleType, store: S3Store, tasks: Tasks, log: io.StringIO
) -> None:
    event = queued(notification(ONE, TWO), notification(TWO), notification(THREE, ONE))
    assert failed(function.handle(event, Context())) == []
    assert tasks.lists == sorted(map(str, (ONE, TWO, THREE)))
    assert all(command[:3] == ["python", "-m", "flows.list_job"] for command in tasks.started.values())
    claim, task = read_json(store, ONE.key(CLAIM), Claim), read_json(store, ONE.key(TASK), Task)
    assert claim is not None
    assert task is not None
    assert (claim.version, claim.size_bytes) == ("096fKKXTRTtl3on89fVO.nfljtsv6qko", 1024)
    assert task.task.endswith(ONE.token)


def test_duplicates_start_nothing_even_where_ecs_forgot(function: ModuleType, store: S3Store, tasks: Tasks, log: io.StringIO) -> None:
    for _ in range(3):
        function.handle(queued(notification(ONE)), Context())
    tasks.started.clear()
    function.handle(queued(notification(ONE), notification(ONE)), Context())
    assert tasks.started == {}


def test_one_failure_leaves_the_others_started_and_comes_again_alone(
    function: ModuleType, store: S3Store, tasks: Tasks, log: io.StringIO
) -> None:
    tasks.failing = {str(TWO)}
    event = queued(notification(ONE), notification(TWO, THREE), "not JSON", notification(ONE, bucket="another"), EVENTS["s3_test"])
    assert failed(function.handle(event, Context())) == ["message-1", "message-2", "message-3"]
    assert tasks.lists == sorted(map(str, (ONE, THREE)))
    tasks.failing = set()
    assert failed(function.handle(queued(notification(TWO, THREE)), Context())) == []
    assert tasks.lists == sorted(map(str, (ONE, TWO, THREE)))


def test_an_upload_that_belongs_to_no_list_goes_to_the_dead_letters(
    function: ModuleType, store: S3Store, tasks: Tasks, log: io.StringIO
) -> None:
    stranger = new_list_id("term-deposit", "nobody", "0")
    assert failed(function.handle(queued(notification(stranger)), Context())) == ["message-0"]
    assert tasks.started == {}


def test_what_nobody_foresaw_fails_its_message_alone(
    function: ModuleType, store: S3Store, tasks: Tasks, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = function.start

    def broken(uploaded: Any, **more: Any) -> Any:
        if uploaded.list_id == ONE:
            raise RuntimeError("canary-text")
        return whole(uploaded, **more)

    monkeypatch.setattr(function, "start", broken)
    assert failed(function.handle(queued(notification(ONE), notification(TWO)), Context())) == ["message-0"]
    assert tasks.lists == [str(TWO)]
    assert "RuntimeError" in log.getvalue()
    assert "canary-text" not in log.getvalue()


def test_called_by_s3_itself_a_failure_is_raised_once_all_else_is_done(
    function: ModuleType, store: S3Store, tasks: Tasks, log: io.StringIO
) -> None:
    tasks.failing = {str(ONE)}
    with pytest.raises(function.NotAllStarted):
        function.handle(notification(ONE, TWO), Context())
    assert tasks.lists == [str(TWO)]
    tasks.failing = set()
    assert failed(function.handle(notification(ONE, TWO), Context())) == []
    assert failed(function.handle(EVENTS["s3_test"], Context())) == []
    with pytest.raises(function.NotAllStarted):
        function.handle({}, Context())


def test_a_store_that_is_down_fails_every_message(
    function: ModuleType, store: S3Store, tasks: Tasks, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPENSITY_STORE_URL", "s3://gone/some/prefix")
    assert failed(function.handle(queued(notification(ONE, bucket="gone")), Context())) == ["message-0"]


def test_the_log_follows_a_list_and_says_nothing_else(function: ModuleType, store: S3Store, tasks: Tasks, log: io.StringIO) -> None:
    stray = notification(ONE, key="some/prefix/lists/canary+customer")
    function.handle(queued(notification(ONE), stray, '"canary-body'), Context())
    assert "canary" not in log.getvalue()
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    (said,) = [line for line in lines if line["message"] == "upload"]
    assert (said["list_id"], said["outcome"], said["request_id"], said["message_id"]) == (str(ONE), "started", "of-lambda", "message-0")


def test_a_large_list_goes_to_spark_and_no_task_is_started(
    function: ModuleType, store: S3Store, tasks: Tasks, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPENSITY_UPLOAD_LIMIT_BYTES", "1000000")
    asked: list[dict[str, Any]] = []

    class Emr:
        def start_job_run(self, **given: Any) -> dict[str, str]:
            asked.append(given)
            return {"arn": f"arn:aws:emr-serverless:eu-central-1:123456789012:/applications/00abc/jobruns/{given['clientToken']}"}

    monkeypatch.setattr("propensity.adapters.spark_jobs._client", Emr)
    function._jobs.cache_clear()
    large = notification(ONE, TWO)
    large["Records"][0]["s3"]["object"]["size"] = 2000
    large["Records"][1]["s3"]["object"]["size"] = 1999
    for _ in range(2):
        assert failed(function.handle(queued(large), Context())) == []
    assert tasks.lists == [str(TWO)]
    (job,) = asked
    assert job["executionRoleArn"] == SOUND["PROPENSITY_SPARK_ROLE_ARN"]
    assert job["jobDriver"]["sparkSubmit"]["entryPointArguments"][0] == str(ONE)
    task = read_json(store, ONE.key(TASK), Task)
    assert task is not None
    assert task.task.endswith(f"list-{ONE.token}")
