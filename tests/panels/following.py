"""What comes after monitoring, by the platform's own code: challengers are compared, flows record their runs, alerts are told."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from flows import compare as compare_flow
from flows import shadow as shadow_flow
from local.postgres_urls import DatabaseUrls
from propensity.adapters import tell
from propensity.adapters.platform import Platform, open_platform
from propensity.alerting import Alerting
from propensity.campaign import Campaign
from propensity.flow_checks import check
from propensity.recording import Run, record
from propensity.schedules import platform_schedules, schedules
from propensity.settings import Settings
from tests.fakes import FakeModelRegistry
from tests.fakes_alerts import FakeChannel

WATCHED = ("tiny", "second")
NO_MLFLOW = SecretStr("postgresql://nobody@127.0.0.1:1/mlflow")


def follow_on(urls: DatabaseUrls, folder: Path, campaigns: Mapping[str, Campaign], days: int) -> Platform:
    """Compare, watch and tell over the filled database; the installation that did it."""
    settings = Settings(home=folder, database_url=SecretStr(urls.app_url), store_url=folder.as_uri(), mlflow_url=NO_MLFLOW)
    at = replace(open_platform(settings), registry=FakeModelRegistry())
    with pytest.MonkeyPatch.context() as patch:
        for module in (compare_flow, shadow_flow):
            patch.setattr(module, "campaign", campaigns.__getitem__)
        patch.setattr(tell, "all_campaigns", lambda: campaigns)
        _compare(at, campaigns, days)
        _tell(at, campaigns)
    _run_flows(at, urls, [campaigns[name] for name in WATCHED])
    return at


def _compare(at: Platform, campaigns: Mapping[str, Campaign], days: int) -> None:
    """Three daily looks, the last when every prediction is mature."""
    at.shadow.make_partitions()
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for name in WATCHED:
        for back in (2, 1, 0):
            now = today + timedelta(days=1 - back) + campaigns[name].label.rules.window
            compare_flow.compare_into(at, name, now=now, busy_share=1.0)


def _tell(at: Platform, campaigns: Mapping[str, Campaign]) -> None:
    """As the monitoring flow does after each run."""
    for name in campaigns:
        for run in at.monitors.runs(name):
            tell.tell_run(at, run)


def _run_flows(at: Platform, urls: DatabaseUrls, campaigns: list[Campaign]) -> None:
    """Flows are registered, some run well, some fail; those that nobody starts are late. Two channels, of which one never works."""
    asked = [one.schedule for one in (*schedules(campaigns), *platform_schedules())]
    alerting = Alerting(at.alerts, (FakeChannel("mail"), FakeChannel("slack", down=True)), sleep=lambda _: None)
    check(at.heartbeats, alerting, asked, every_s=60.0)
    with psycopg.connect(urls.owner_url) as owner:
        owner.execute("update flow_schedule set registered_at = registered_at - interval '3 days'")

    def run(flow: str, campaign: str, error: Exception | None = None) -> None:
        def work() -> dict[str, Any]:
            if error is not None:
                raise error
            return {}

        try:
            record(Run(str(uuid.uuid4()), flow, campaign, regular=True), work, at.heartbeats, lambda: alerting)
        except RuntimeError:
            assert error is not None

    for name in WATCHED:
        run("monitor", name)
    run("outcomes", "tiny", RuntimeError("gone"))
    run("outcomes", "tiny")
    run("score", "second", RuntimeError("gone"))
    check(at.heartbeats, alerting, asked, every_s=60.0)
    late = next(one for one in at.alerts.recent(100) if one.alert.kind == "flow-late")
    at.alerts.acknowledge(late.alert_id, actor="tester", note="looking")
