"""The function with the event that AWS documents, a stand-in for Prefect, and mocked SNS, S3 and Secrets Manager."""

from __future__ import annotations

import base64
import importlib
import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from propensity.alerts import alert_of, to_message
from propensity.errors import Malformed
from propensity.ports import MonitorMetric, MonitorRun

SECRET = "prefect:canary-password"
RUN_ID = "0b5b8a3e-7d0c-5f86-9c1e-3f6f0c1d2a55"
OTHER = "1b5b8a3e-7d0c-5f86-9c1e-3f6f0c1d2a55"
# AWS, "Invoking Lambda functions with Amazon SNS notifications".
EVENT = {
    "Records": [
        {
            "EventVersion": "1.0",
            "EventSubscriptionArn": "arn:aws:sns:us-east-1:123456789012:sns-lambda:21be56ed-a058-49f5-8c98-aedd2564c486",
            "EventSource": "aws:sns",
            "Sns": {
                "SignatureVersion": "1",
                "Timestamp": "2019-01-02T12:45:07.000Z",
                "Signature": "tcc6faL2yUC6dgZdmrwh1Y4cGa/ebXEkAi6RibDsvpi+tE/1+82j...65r==",
                "SigningCertUrl": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-ac565b8b1a6c5d002d285f9598aa1d9b.pem",
                "MessageId": "95df01b4-ee98-5cb9-9903-4c221d41eb5e",
                "Message": "Hello from SNS!",
                "MessageAttributes": {},
                "Type": "Notification",
                "UnsubscribeUrl": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe",
                "TopicArn": "arn:aws:sns:us-east-1:123456789012:sns-lambda",
                "Subject": "TestInvoke",
            },
        }
    ]
}


class Context:
    aws_request_id = "of-lambda"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


class Prefect:
    """As much of Prefect's API as is used: a run per idempotency key."""

    def __init__(self, upstream: Any) -> None:
        self.upstream, self.runs = upstream, {}  # type: ignore[var-annotated]
        self.down, self.secret, self.deployments = False, SECRET, {"retrain-term-deposit"}
        upstream.answer = self.answer

    def answer(self, asked: BaseHTTPRequestHandler) -> None:
        method, path, headers, body = self.upstream.asked[-1]
        if self.down:
            return self.send(asked, 503, {})
        if headers.get("Authorization") != "Basic " + base64.b64encode(self.secret.encode()).decode():
            return self.send(asked, 401, {"exception_message": "Unauthorized"})
        if method == "GET":
            known = path.removeprefix("/api/deployments/name/retrain/") in self.deployments
            return self.send(asked, 200 if known else 404, {"id": "11111111-2222"} if known else {"detail": "Deployment not found"})
        assert path == "/api/deployments/11111111-2222/create_flow_run"
        sent = json.loads(body)
        new = sent["idempotency_key"] not in self.runs
        run = self.runs.setdefault(sent["idempotency_key"], {"id": f"run-{len(self.runs) + 1}", **sent})
        return self.send(asked, 201 if new else 200, run)

    def send(self, asked: BaseHTTPRequestHandler, status: int, body: dict[str, Any]) -> None:
        self.upstream.send(asked, status, json.dumps(body).encode(), ("Content-Type", "application/json"))


class People:
    """Who gets the letters: a queue that the topic delivers to."""

    def __init__(self, sqs: Any, url: str) -> None:
        self.sqs, self.url = sqs, url

    @property
    def letters(self) -> list[dict[str, Any]]:
        found = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])
        return [json.loads(message["Body"]) for message in found]


@pytest.fixture
def function() -> ModuleType:
    return importlib.import_module("lambda.alert.handler")


@pytest.fixture
def log(function: ModuleType, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    written = io.StringIO()
    function.logger(function.SERVICE)
    (handler,) = logging.getLogger(function.SERVICE).handlers
    monkeypatch.setattr(handler, "stream", written)
    return written


@pytest.fixture
def prefect(upstream: Any) -> Prefect:
    return Prefect(upstream)


@pytest.fixture
def people(function: ModuleType, log: io.StringIO, prefect: Prefect, monkeypatch: pytest.MonkeyPatch) -> Iterator[People]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    make: Any = boto3.client
    with mock_aws():
        make("s3").create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        topic = make("sns").create_topic(Name="people")["TopicArn"]
        queue = make("sqs").create_queue(QueueName="people")["QueueUrl"]
        make("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:eu-central-1:123456789012:people")
        secret = make("secretsmanager").create_secret(Name="prefect", SecretString=SECRET)["ARN"]
        for name, value in (
            ("STORE_URL", "s3://lake"),
            ("PREFECT_URL", f"http://127.0.0.1:{prefect.upstream.port}"),
            ("PREFECT_TIMEOUT_S", "50"),
            ("PREFECT_SECRET_ARN", secret),
            ("PEOPLE_TOPIC_ARN", topic),
        ):
            monkeypatch.setenv(f"PROPENSITY_{name}", value)
        for cached in (function._store, function._secret, function._tasks):
            cached.cache_clear()
        yield People(make("sqs"), queue)


def alert(run_id: str = RUN_ID, kind: str = "drift", campaign: str = "term-deposit", day: int = 8) -> str:
    since, until = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, day, tzinfo=UTC)
    metric = MonitorMetric("age", "psi", "psi", 0.4, 0.1, 0.2, "drift")
    verdict = "drift" if kind == "drift" else "warning"
    made = alert_of(MonitorRun(run_id, campaign, kind, since, until, "digest", "s", 100, 500, verdict, "reports/x.html", [metric]))
    assert made is not None
    return to_message(made)


def event(*messages: str) -> dict[str, Any]:
    (usual,) = EVENT["Records"]
    sns: Any = usual["Sns"]
    return {"Records": [{**usual, "Sns": {**sns, "Message": message}} for message in messages]}


def test_an_alert_starts_retraining_and_tells_people(function: ModuleType, people: People, prefect: Prefect) -> None:
    assert function.handle(event(alert()), Context()) == {"alerts": 1}
    (run,) = prefect.runs.values()
    assert (run["idempotency_key"], run["parameters"]) == ("alert/term-deposit/2026-03-08", {"actor": "alert"})
    (letter,) = people.letters
    assert "run-1" in letter["Message"]
    assert "age, psi: 0.4" in letter["Message"]
    assert letter["Subject"].startswith("term-deposit")


def test_the_same_alert_again_does_neither_again(function: ModuleType, people: People, prefect: Prefect) -> None:
    for _ in range(3):
        function.handle(event(alert(), alert()), Context())
    assert len(prefect.runs) == 1
    assert len(people.letters) == 1


def test_alerts_of_one_day_start_one_run_and_are_told_each(function: ModuleType, people: People, prefect: Prefect) -> None:
    function.handle(event(alert(), alert(OTHER, "performance")), Context())
    assert len(prefect.runs) == 1
    assert len(people.letters) == 2
    function.handle(event(alert("2b5b8a3e-7d0c-5f86-9c1e-3f6f0c1d2a55", day=9)), Context())
    assert len(prefect.runs) == 2


def test_people_are_told_once_though_prefect_is_down_and_the_run_starts_when_it_is_back(
    function: ModuleType, people: People, prefect: Prefect
) -> None:
    prefect.down = True
    for _ in range(2):
        with pytest.raises(function.NotAllDone):
            function.handle(event(alert()), Context())
    (letter,) = people.letters
    assert "could not be started yet" in letter["Message"]
    prefect.down = False
    function.handle(event(alert()), Context())
    assert len(prefect.runs) == 1
    assert len(people.letters) == 1


def test_retraining_starts_once_though_people_cannot_be_told(
    function: ModuleType, people: People, prefect: Prefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = "PROPENSITY_PEOPLE_TOPIC_ARN"
    with monkeypatch.context() as patch:
        patch.setenv(right, "arn:aws:sns:eu-central-1:123456789012:no-such-topic")
        with pytest.raises(function.NotAllDone):
            function.handle(event(alert()), Context())
    function.handle(event(alert()), Context())
    asked = len(prefect.upstream.asked)
    assert len(prefect.runs) == 1
    assert len(people.letters) == 1
    function.handle(event(alert()), Context())
    assert len(prefect.upstream.asked) == asked


def test_a_campaign_without_a_deployment_fails_and_the_others_go_on(function: ModuleType, people: People, prefect: Prefect) -> None:
    with pytest.raises(function.NotAllDone):
        function.handle(event(alert(campaign="unknown"), alert(OTHER)), Context())
    assert [run["idempotency_key"] for run in prefect.runs.values()] == ["alert/term-deposit/2026-03-08"]


def test_a_password_that_was_changed_is_read_anew(function: ModuleType, people: People, prefect: Prefect) -> None:
    function.handle(event(alert()), Context())
    prefect.secret = "prefect:another"
    make: Any = boto3.client
    make("secretsmanager").put_secret_value(SecretId="prefect", SecretString="prefect:another")
    with pytest.raises(function.NotAllDone):
        function.handle(event(alert(OTHER, day=9)), Context())
    function.handle(event(alert(OTHER, day=9)), Context())
    assert len(prefect.runs) == 2


@pytest.mark.parametrize("message", ["Hello from SNS!", '{"AlarmName": "canary-alarm"}', "{}"])
def test_what_is_no_alert_goes_to_the_dead_letters(
    function: ModuleType, people: People, prefect: Prefect, log: io.StringIO, message: str
) -> None:
    with pytest.raises(function.NotAllDone):
        function.handle(event(message, alert()), Context())
    assert len(prefect.runs) == 1
    assert "canary" not in log.getvalue()
    with pytest.raises(Malformed):
        function.handle({"Records": [{}]}, Context())


def test_no_password_and_no_answer_of_prefect_is_logged(function: ModuleType, people: People, prefect: Prefect, log: io.StringIO) -> None:
    prefect.secret = "prefect:changed"
    with pytest.raises(function.NotAllDone):
        function.handle(event(alert()), Context())
    written = log.getvalue()
    assert "canary-password" not in written
    assert base64.b64encode(SECRET.encode()).decode() not in written
    lines = [json.loads(line) for line in written.splitlines()]
    assert all(line["run_id"] == RUN_ID and line["request_id"] == "of-lambda" for line in lines)
    assert any("401" in line["message"] for line in lines)


def test_where_no_prefect_runs_a_task_retrains(
    function: ModuleType, people: People, prefect: Prefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: dict[str, list[str]] = {}

    class Tasks:
        def run(self, command: list[str], *, token: str, group: str) -> str:
            assert (len(token) <= 64, group) == (True, "propensity-retraining")
            started.setdefault(token, command)
            return "arn-of-task"

    monkeypatch.delenv("PROPENSITY_PREFECT_URL")
    for name, value in (
        ("CLUSTER", "platform"),
        ("TASK_DEFINITION", "flow"),
        ("CONTAINER", "flow"),
        ("SUBNETS", "subnet-1"),
        ("SECURITY_GROUPS", "sg-1"),
        ("CAPACITY_PROVIDER", "FARGATE"),
    ):
        monkeypatch.setenv(f"PROPENSITY_RETRAIN_{name}", value)
    monkeypatch.setattr(function, "_tasks", lambda _: Tasks())
    function.handle(event(alert(), alert(OTHER, "performance")), Context())
    assert list(started.values()) == [["python", "-m", "flows.run", "retrain-term-deposit"]]
    assert prefect.upstream.asked == []
    assert "arn-of-task" in people.letters[0]["Message"]


def test_what_nobody_foresaw_fails_one_alert_alone(
    function: ModuleType, people: People, prefect: Prefect, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    whole = function.deal

    def broken(about: Any, **more: Any) -> Any:
        if about.run_id == OTHER:
            raise RuntimeError("canary-text")
        return whole(about, **more)

    monkeypatch.setattr(function, "deal", broken)
    with pytest.raises(function.NotAllDone):
        function.handle(event(alert(OTHER), alert()), Context())
    assert len(prefect.runs) == 1
    assert "canary-text" not in log.getvalue()


def test_a_store_that_is_down_fails_the_alert(function: ModuleType, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROPENSITY_STORE_URL", "s3://gone")
    with pytest.raises(function.NotAllDone):
        function.handle(event(alert()), Context())
    assert people.letters == []


def test_a_late_flow_a_reminder_and_the_end_are_told_and_start_nothing(function: ModuleType, people: People, prefect: Prefect) -> None:
    from dataclasses import replace

    from propensity.alerts import from_message

    drift = from_message(alert())
    late = replace(drift, kind="flow-late", verdict="late", about="score", findings=[], run_id=OTHER, detail="Due 06:00 UTC.")
    messages = [late, replace(drift, occasion="reminder-1"), replace(drift, occasion="resolved")]
    for _ in range(2):
        function.handle(event(*(to_message(message) for message in messages)), Context())
    assert prefect.runs == {}
    subjects = sorted(letter["Subject"] for letter in people.letters)
    assert subjects == [
        "resolved: term-deposit: customers have changed (drift)",
        "still: term-deposit: customers have changed (drift)",
        "term-deposit: a flow is late (score)",
    ]
