"""What monitoring found reaches the channels once, and nothing of it came from a customer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import boto3
import numpy as np
import pytest
from moto import mock_aws

from monitoring.job import monitor
from propensity.adapters import tell
from propensity.adapters.alert_channels import Sns, webhook_body
from propensity.adapters.platform import Platform
from propensity.adapters.tell import tell_run
from propensity.alerting import Alerting
from propensity.alerts import Impact, alert_of, clears, from_message, letter, subject, to_message
from propensity.errors import StoreError
from propensity.model import save_package
from propensity.ports import LoggedRequest, MonitorMetric, MonitorRun, Promotion
from propensity.scoring import raw_features
from propensity.settings import Settings
from propensity.snapshot import read_snapshot, write_snapshot
from tests.builders import tiny_campaign, tiny_snapshot, tiny_table, train_fast
from tests.fakes import NOW as FAKE_NOW
from tests.fakes import FakeMonitorStore, FakeObjectStore, FakePredictionLog, FakePromotionLedger
from tests.fakes_alerts import FakeAlertStore, FakeChannel

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RUN_ID = "0b5b8a3e-7d0c-5f86-9c1e-3f6f0c1d2a55"


def run(verdict: str, *metrics: MonitorMetric, alarm: str | None = None) -> MonitorRun:
    made = MonitorRun(RUN_ID, "term-deposit", "drift", NOW, NOW, "d", "s", 1, 1, verdict, "reports/x.html", metrics)
    if alarm is not None:
        # Set as a run that judges its own alarms has it.
        object.__setattr__(made, "alarm", alarm)
    return made


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


@pytest.fixture
def at() -> Platform:
    settings = Settings(alerts_base_url="https://propensity.example.com/", store_url="file:///lake")
    return cast(Platform, SimpleNamespace(settings=settings, alerts=FakeAlertStore(), store=FakeObjectStore()))


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> FakeChannel:
    told = FakeChannel()
    monkeypatch.setattr(tell, "channels", lambda _: [told])
    return told


def test_drift_is_published_as_it_was_found(topic: str) -> None:
    store = FakeAlertStore()
    found = alert_of(run("drift"))
    assert found is not None
    stored = Alerting(store, (Sns(topic),)).raise_alert(found)
    (message,) = heard()
    assert from_message(message) == replace(found, alert_id=stored.alert_id)


def test_a_topic_that_does_not_answer_is_worth_another_try(topic: str) -> None:
    found = alert_of(run("drift"))
    assert found is not None
    with pytest.raises(StoreError, match="SNS refused: NotFound"):
        Sns(topic + "-gone").send(found)


def test_drift_is_told_with_its_links_and_a_good_run_ends_it(at: Platform, channel: FakeChannel) -> None:
    alert_id = tell_run(at, run("drift"))
    assert tell_run(at, run("drift")) == alert_id
    assert tell_run(at, run("no_data")) is None
    (told,) = channel.told
    assert told.links == {
        "report": "memory:///reports/x.html",
        "alert": f"https://propensity.example.com/v1/alerts/{alert_id}",
        "acknowledge": f"propensity acknowledge {alert_id}, or POST https://propensity.example.com/v1/alerts/{alert_id}/acknowledgements",
        "runbook": "docs/runbook.md#drift",
    }
    tell_run(at, run("stable"))
    assert channel.heard == [("drift", "raised"), ("drift", "resolved")]


@pytest.mark.parametrize("verdict", ["stable", "warning", "no_data"])
def test_what_nobody_needs_to_hear_is_not_told(at: Platform, channel: FakeChannel, verdict: str) -> None:
    assert tell_run(at, run(verdict)) is None
    assert channel.told == []


@pytest.mark.parametrize(
    ("state", "heard", "ends"), [("alarm", True, False), ("watch", False, True), ("quiet", False, True), ("too_little_data", False, False)]
)
def test_a_run_that_judges_its_own_alarms_is_taken_at_its_word(state: str, heard: bool, ends: bool) -> None:
    metrics = [
        MonitorMetric("age", "chance", "c", 1e-9, None, 0.001, "alarm" if heard else "quiet"),
        MonitorMetric("job", "psi", "p", 0.9, 0.1, 0.2, "drift"),
    ]
    judged = run("drift", *metrics, MonitorMetric(None, "impact_per_1000", "e", -1200.0, None, None, "stable"), alarm=state)
    alert = alert_of(judged, "EUR")
    assert (alert is not None, clears(judged)) == (heard, ends)
    if alert is not None:
        assert [finding.column for finding in alert.findings] == ["age"]
        assert alert.impact == Impact(-1200.0 * judged.rows / 1_000, "EUR")


def test_on_s3_the_reports_link_is_a_signed_address(at: Platform, topic: str) -> None:
    from propensity.adapters.alert_links import Links

    stored, _ = at.alerts.raise_alert(alert_of(run("drift")))  # type: ignore[arg-type]
    link = Links(Settings(store_url="s3://lake/prod"), at.store)(stored)["report"]
    assert "lake" in link
    assert "/prod/reports/x.html?" in link
    assert "X-Amz-Signature=" in link


def test_no_message_holds_anything_of_a_customer(at: Platform, channel: FakeChannel) -> None:
    """The real monitor over rows with ids and values that stand out; every form of every message is searched."""
    campaign, store = tiny_campaign(), FakeObjectStore()
    data = tiny_snapshot(2_000)
    manifest = write_snapshot(store, data.table, data.label, data.months, {})
    model = train_fast(read_snapshot(store, campaign, manifest.snapshot_id)).model
    save_package(store, model)
    log, ledger = FakePredictionLog(), FakePromotionLedger()
    ledger.append(Promotion(campaign.name, 1, "promote", model.digest, model.version, None, [], {}, "test"))
    table = tiny_table(600, 11)
    table = replace(table, ids=[f"canary-{n}" for n in range(600)], columns={**table.columns, "rate": np.full(600, 4.987654321)})
    scores = model.score(table)
    entry = LoggedRequest(
        "00000000-0000-4000-8000-000000000001", campaign.name, model.digest, model.version, {"kind": "profit"}, "", table.ids, table.rows,
        raw_features(table), scores, scores > 0.25, 600, 0, "http",
    )  # fmt: skip
    log.append(entry, idempotency_key=None, body_sha256="", reply=b"")
    since, until = FAKE_NOW.replace(day=1, hour=0), FAKE_NOW.replace(day=2)
    found = monitor(campaign, ledger=ledger, store=store, log=log, monitor_store=FakeMonitorStore(), since=since, until=until)
    assert found.verdict == "drift"
    # As after a second window of the same: what one odd list makes is watched only.
    assert found.alarm == "watch"
    lasting = tuple(replace(m, verdict="alarm") if m.verdict == "watch" else m for m in found.metrics)
    tell_run(at, replace(found, alarm="alarm", metrics=lasting))
    tell_run(at, replace(found, verdict="stable", alarm="quiet", metrics=()))
    assert channel.heard == [("drift", "raised"), ("drift", "resolved")]
    for alert in channel.told:
        for text in (subject(alert), letter(alert), to_message(alert), webhook_body(alert).decode()):
            assert "canary" not in text
            assert "4.98" not in text
    assert "rate, chance" in letter(channel.told[0])
