"""The flow that keeps reports, on a real Postgres and a folder, without Prefect; and the command that writes one."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from flows import report as flow
from local.report import write_report
from propensity.adapters import platform as platforms
from propensity.adapters.platform import Platform
from propensity.campaigns import campaign
from propensity.ports import LoggedRequest
from propensity.report import build
from propensity.report.kept import newest
from propensity.schedules import REPORT_CRON, schedules
from tests.flows.conftest import NAME


def post(at: Platform, n: int) -> None:
    features = np.zeros((n, len(campaign(NAME).features)))
    scores = np.linspace(0.05, 0.6, n)
    rows = np.arange(1, n + 1)
    customers = [f"c{row}" for row in rows]
    name = str(uuid.uuid4())
    entry = LoggedRequest(name, NAME, "d" * 64, "1", {"kind": "profit"}, "e", customers, rows, features, scores, scores > 0.2, n, 0, "api")
    at.log.append(entry, idempotency_key=None, body_sha256="", reply=b"")


def test_a_report_is_kept_beside_those_of_the_monitor_and_can_be_made_again(at: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "platform", lambda: at)
    at.store.put("first", b"")
    post(at, 40)
    monkeypatch.setattr(build, "SETTLE", timedelta(seconds=-1))
    told = flow.make_and_keep.fn(NAME, None, None)
    assert (told["predictions"], told["contacts"]) == (40, 29)
    assert told["key"].startswith(f"reports/{NAME}/campaign/")
    assert at.store.get(told["key"]).startswith(b"<!doctype html>")
    kept = newest(at.store, NAME)
    assert kept is not None
    assert kept.decided.predictions == 40
    assert "no model package" in kept.drivers.problem or "other features" in kept.drivers.problem
    nothing = flow.make_and_keep.fn(NAME, datetime.now(UTC) + timedelta(days=1), datetime.now(UTC) + timedelta(days=2))
    assert nothing["predictions"] == 0


def test_every_campaign_has_a_report_a_day() -> None:
    assert {(one.name, one.cron) for one in schedules() if one.entrypoint == "flows.report.report"} >= {(f"report-{NAME}", REPORT_CRON)}


def test_the_command_writes_a_page_and_its_figures(
    at: Platform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(platforms, "platform", lambda: at)
    assert write_report(NAME, None, None, tmp_path / "report.html", tmp_path / "reports") == 0
    assert (tmp_path / "report.html").read_bytes().startswith(b"<!doctype html>")
    assert (tmp_path / "reports" / f"campaign-{NAME}.json").is_file()
    assert f"page: {tmp_path / 'report.html'}" in capsys.readouterr().out
