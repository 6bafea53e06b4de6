"""What monitoring found reaches the topic as an alert that the function behind it reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from monitoring.flow import publish_alert
from propensity.alerts import alert_of, from_message
from propensity.errors import StoreError
from propensity.ports import MonitorRun

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def run(verdict: str) -> MonitorRun:
    return MonitorRun(
        "0b5b8a3e-7d0c-5f86-9c1e-3f6f0c1d2a55", "term-deposit", "drift", NOW, NOW, "d", "s", 1, 1, verdict, "reports/x.html", ()
    )


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    make: Any = boto3.client
    with mock_aws():
        arn = make("sns").create_topic(Name="alerts")["TopicArn"]
        make("sqs").create_queue(QueueName="heard")
        make("sns").subscribe(TopicArn=arn, Protocol="sqs", Endpoint="arn:aws:sqs:eu-central-1:123456789012:heard")
        yield arn


def heard() -> list[str]:
    make: Any = boto3.client
    sqs = make("sqs")
    url = sqs.get_queue_url(QueueName="heard")["QueueUrl"]
    return [json.loads(message["Body"])["Message"] for message in sqs.receive_message(QueueUrl=url).get("Messages", [])]


def test_drift_is_published_as_it_was_found(topic: str) -> None:
    assert publish_alert(run("drift"), topic)
    (message,) = heard()
    assert from_message(message) == alert_of(run("drift"))


@pytest.mark.parametrize("verdict", ["stable", "warning", "no_data"])
def test_what_nobody_needs_to_hear_is_not_published(topic: str, verdict: str) -> None:
    assert not publish_alert(run(verdict), topic)
    assert heard() == []


def test_without_a_topic_nothing_is_published(topic: str) -> None:
    assert not publish_alert(run("drift"), "")
    assert heard() == []


def test_a_topic_that_does_not_answer_is_worth_another_try(topic: str) -> None:
    with pytest.raises(StoreError, match="SNS refused: NotFound"):
        publish_alert(run("drift"), topic + "-gone")
