from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.alerts import MOST_FINDINGS, Alert, Finding, alert_of, from_message, letter, subject, to_message
from propensity.errors import Malformed
from propensity.ports import MonitorMetric, MonitorRun

SINCE, UNTIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 8, tzinfo=UTC)
RUN_ID = "0b5b8a3e-7d0c-5f86-9c1e-3f6f0c1d2a55"


def run(kind: str = "drift", verdict: str = "drift", *metrics: MonitorMetric) -> MonitorRun:
    return MonitorRun(RUN_ID, "term-deposit", kind, SINCE, UNTIL, "digest", "snapshot", 1234, 5000, verdict, "reports/x.html", metrics)


def metric(column: str | None, value: float, verdict: str) -> MonitorMetric:
    return MonitorMetric(column, "psi", "psi", value, 0.1, 0.2, verdict)


@pytest.mark.parametrize(
    ("kind", "verdict", "heard"),
    [
        ("drift", "drift", True),
        ("drift", "warning", False),
        ("drift", "stable", False),
        ("drift", "no_data", False),
        ("performance", "warning", True),
        ("performance", "stable", False),
        ("performance", "no_data", False),
        ("something", "drift", False),
    ],
)
def test_who_hears_of_which_verdict(kind: str, verdict: str, heard: bool) -> None:
    assert (alert_of(run(kind, verdict)) is not None) is heard


def test_the_worst_is_told_first_and_what_is_well_not_at_all() -> None:
    metrics = [metric("age", 0.15, "warning"), metric("job", 0.3, "drift"), metric("rate", 0.01, "stable"), metric("euribor", 2.0, "drift")]
    alert = alert_of(run("drift", "drift", *metrics))
    assert alert is not None
    assert [finding.column for finding in alert.findings] == ["euribor", "job", "age"]
    many = alert_of(run("drift", "drift", *(metric(f"c{at}", 0.3, "drift") for at in range(50))))
    assert many is not None
    assert len(many.findings) == MOST_FINDINGS


def test_a_message_reads_back() -> None:
    alert = alert_of(run("drift", "drift", metric(None, 0.3, "drift"), metric("age", 0.4, "drift")))
    assert alert is not None
    assert from_message(to_message(alert)) == alert


@given(
    st.one_of(st.text(max_size=60), st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5).map(json.dumps))
)
def test_any_other_text_is_no_alert(text: str) -> None:
    with pytest.raises(Malformed):
        from_message(text)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("event", "another"),
        ("kind", "gossip"),
        ("verdict", "stable"),
        ("campaign", "../../models"),
        ("campaign", 7),
        ("run_id", "../x"),
        ("run_id", None),
        ("since", "yesterday"),
        ("until", "2026-03-08T00:00:00"),
        ("rows", "many"),
        ("findings", [{"column": "age"}]),
        ("surplus", 1),
    ],
)
def test_what_is_wrong_with_one_member_is_no_alert(member: str, value: object) -> None:
    alert = alert_of(run())
    assert alert is not None
    with pytest.raises(Malformed):
        from_message(json.dumps({**json.loads(to_message(alert)), member: value}))


def test_a_mail_has_a_short_plain_subject_and_says_the_numbers() -> None:
    alert = alert_of(run("drift", "drift", metric("age", 0.4321, "drift")))
    assert alert is not None
    assert len(subject(alert)) < 100
    assert subject(alert).isascii()
    text = letter(alert, "Retraining was started.")
    for said in ("term-deposit", "age, psi: 0.4321", "1,234", "Retraining was started.", RUN_ID, "reports/x.html"):
        assert said in text


def test_the_last_day_of_the_window_is_the_alerts_day() -> None:
    finding: list[Finding] = []
    made = Alert(
        campaign="a", kind="drift", verdict="drift", run_id=RUN_ID, since=SINCE, until=UNTIL, rows=1, model_digest=None,
        report_key=None, findings=finding,
    )  # fmt: skip
    assert made.day == "2026-03-08"


def test_reading_one_needs_no_numpy() -> None:
    code = "import sys, propensity.alerts; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_run_that_judges_alarms_is_told_of_by_its_alarm_alone() -> None:
    numbers = (
        MonitorMetric("job", "psi", "numpy_psi", 0.9, 0.1, 0.2, "drift"),
        MonitorMetric("age", "chance", "chernoff_holm", 1e-9, None, 0.003, "alarm"),
    )
    quiet = replace(run("drift", "drift", *numbers), alarm="watch")
    assert alert_of(quiet) is None
    told = alert_of(replace(quiet, verdict="stable", alarm="alarm"))
    assert told is not None
    assert [finding.column for finding in told.findings] == ["age"], "what is out of its band alone would make one alarm look like another"
    assert from_message(to_message(told)) == told
