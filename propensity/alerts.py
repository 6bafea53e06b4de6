"""An alert on its way to people and to the retrain flow: what it says, what makes two of them the same, its form as a message.

It names campaigns, flows, columns, numbers and verdicts; nothing in it came from a customer's row.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from propensity.errors import Malformed

if TYPE_CHECKING:
    from propensity.ports import MonitorMetric, MonitorRun

LATE, FAILED, CHECKER = "flow-late", "flow-failed", "checker-down"
# By kind: the verdicts that somebody must hear of. A model whose outcomes are worse than declared is at most a warning.
ALARMING: Mapping[str, frozenset[str]] = {
    "drift": frozenset({"drift"}),
    "performance": frozenset({"drift", "warning"}),
    LATE: frozenset({"late"}),
    FAILED: frozenset({"failed"}),
    CHECKER: frozenset({"down"}),
}
# What another model may mend.
RETRAINED = frozenset({"drift", "performance"})
# What is over when it is told: nobody hears of its end.
MOMENTARY = frozenset({CHECKER})
# A run that found nothing to look at says nothing about what was wrong before.
SILENT_STATES = frozenset({"no_data", "too_little_data"})
# Campaign of what concerns all of them.
PLATFORM = "platform"
MOST_FINDINGS = 20
# The flows' page of docs/runbook.md has these headings; a test holds the two together.
RUNBOOK: Mapping[str, str] = {
    "drift": "Look at the report: a broken feed is mended at its source; changed customers need the retraining that was started.",
    "performance": "Check that outcomes are complete; then retrain, or roll back if the newest promotion did this.",
    LATE: "See whether Prefect and the schedules run; start the flow by hand; what was done is not done twice.",
    FAILED: "Read the flow's log by the run id, mend the cause, start the flow again.",
    CHECKER: "Nobody watched the flows in that time; look at `propensity flows` and find out why the checker was away.",
}
RAISED, REMINDER, RESOLVED = "raised", "reminder", "resolved"
ALERT_ID = re.compile(r"a-[0-9a-f]{12}", re.ASCII)
_NAME = re.compile(r"[a-z][a-z0-9-]{0,99}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_OCCASION = re.compile(rf"{RAISED}|{REMINDER}-[1-9][0-9]{{0,5}}|{RESOLVED}", re.ASCII)
_WHAT = {
    "drift": "customers have changed",
    "performance": "the model does worse than it should",
    LATE: "a flow is late",
    FAILED: "a flow failed",
    CHECKER: "flows were not watched",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One number beyond its bounds. ``column`` is None for the whole; ``alert`` and ``warn`` are the bounds."""

    column: str | None
    metric: str
    value: float
    warn: float | None
    alert: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Impact:
    """What it is estimated to be worth over the window: money, negative for a loss; ``currency`` is that of the campaign."""

    amount: float
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What a monitor run or a check of the flows found.

    Attributes
    ----------
    kind : str
        ``drift``: customers are others than those the model was trained on; ``performance``: outcomes are worse than it should have;
        ``flow-late``, ``flow-failed``, ``checker-down``.
    run_id : str
        The monitor or flow run: the same comparison has the same id, and so its alert comes again under the same id, too.
    since, until : datetime
        The window that was looked at; of a flow, its due time and when that was looked at.
    findings : sequence of Finding
        The worst first, at most `MOST_FINDINGS`.
    about : str
        The flow that it is about; empty where it is the campaign as a whole.
    detail : str
        A sentence more, made by the platform.
    impact : Impact or None
        What it is worth, where that is known.
    alert_id, occasion : str
        As it is kept, and why this message is sent; empty and ``raised`` before that.
    links : mapping
        ``report``, ``alert``, ``acknowledge``, ``runbook``: addresses and commands, where there are any.
    """

    campaign: str
    kind: str
    verdict: str
    run_id: str
    since: datetime
    until: datetime
    rows: int
    model_digest: str | None
    report_key: str | None
    findings: Sequence[Finding]
    about: str = ""
    detail: str = ""
    impact: Impact | None = None
    alert_id: str = ""
    occasion: str = RAISED
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def day(self) -> str:
        """The last day of the window: all alerts of a campaign about one day ask for one retraining."""
        return self.until.date().isoformat()

    @property
    def fingerprint(self) -> str:
        """Equal for the same condition: campaign, kind, flow, and which columns and numbers are out of bounds, not by how much.

        What is over at once is told each time: there the moment counts, too.
        """
        found = sorted({(finding.column or "", finding.metric) for finding in self.findings})
        moment = self.since.isoformat() if self.kind in MOMENTARY else ""
        return hashlib.sha256(json.dumps([self.campaign, self.kind, self.about, found, moment]).encode()).hexdigest()


def alert_of(run: MonitorRun, currency: str = "") -> Alert | None:
    """The alert that a monitor run is; None where nobody needs to hear of it.

    A run that judged its own alarms (with sample size, persistence and all columns in view) says so in ``alarm``, and then that counts;
    else its verdict does.
    """
    judged = run.alarm
    bad = ("alarm",) if judged is not None else ("drift", "warning")
    if run.kind not in ALARMING or not (judged == "alarm" if judged is not None else run.verdict in ALARMING[run.kind]):
        return None
    found = sorted((m for m in run.metrics if m.verdict in bad), key=_badness)
    worth = next((m.value for m in run.metrics if m.metric == "impact_per_1000" and m.column is None and math.isfinite(m.value)), None)
    return Alert(
        campaign=run.campaign,
        kind=run.kind,
        verdict="drift" if judged is not None else run.verdict,
        run_id=run.run_id,
        since=run.since,
        until=run.until,
        rows=run.rows,
        model_digest=run.model_digest,
        report_key=run.report_key,
        findings=[Finding(m.column, m.metric, m.value, m.warn, m.alert, m.verdict) for m in found[:MOST_FINDINGS]],
        impact=None if worth is None else Impact(worth * run.rows / 1_000, currency),
    )


def clears(run: MonitorRun) -> bool:
    """Whether a monitor run says that what was wrong before is well again. No data says nothing."""
    state = run.alarm or run.verdict
    return run.verdict not in SILENT_STATES and state not in SILENT_STATES and alert_of(run) is None


def _badness(metric: MonitorMetric) -> tuple[int, float]:
    """Alarms first, the smallest chance before all; then what lies farthest beyond its bound."""
    bound = metric.alert or metric.warn
    over = metric.value / bound if bound else 0.0
    return ("alarm", "drift", "warning").index(metric.verdict), over if metric.verdict == "alarm" else -over


def to_message(alert: Alert) -> str:
    """The alert as it is published."""
    return json.dumps({"event": "monitor_alert", **_plain(alert)}, allow_nan=False)


def from_message(text: str) -> Alert:
    """The alert that `to_message` wrote. Raises Malformed for anything else."""
    try:
        told: dict[str, Any] = json.loads(text)
        if told.pop("event") != "monitor_alert":
            raise ValueError("another event")
        alert = from_content(told)
        sound = alert.kind in ALARMING and alert.verdict in ALARMING[alert.kind] and isinstance(alert.rows, int)
        # They become parts of keys and addresses.
        sound = sound and _NAME.fullmatch(alert.campaign) is not None and _ID.fullmatch(alert.run_id) is not None
        sound = sound and _OCCASION.fullmatch(alert.occasion) is not None and (not alert.about or _NAME.fullmatch(alert.about) is not None)
        sound = sound and all(isinstance(value, str) for value in [alert.detail, alert.alert_id, *alert.links, *alert.links.values()])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise Malformed("a message is not an alert of monitoring") from exc
    if not sound or None in (alert.since.tzinfo, alert.until.tzinfo):
        raise Malformed("a message is not an alert of monitoring")
    return alert


def to_content(alert: Alert) -> dict[str, Any]:
    """The alert as it is kept: what it was when it was found, without what belongs to one message."""
    of_message = {"alert_id", "occasion", "links"}
    return {name: value for name, value in _plain(alert).items() if name not in of_message}


def _plain(alert: Alert) -> dict[str, Any]:
    """As JSON has it: times as text, and numbers that are none (infinity, NaN) as text, too."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [plain(inner) for inner in value]
        if isinstance(value, datetime):
            return value.isoformat()
        return str(value) if isinstance(value, float) and not math.isfinite(value) else value

    found: dict[str, Any] = plain(asdict(alert))
    return found


def from_content(told: Mapping[str, Any]) -> Alert:
    """What `to_content` made, read back. Raises ValueError, TypeError or KeyError for anything else."""
    times = {name: datetime.fromisoformat(told[name]) for name in ("since", "until")}
    impact = None if told.get("impact") is None else Impact(float(told["impact"]["amount"]), str(told["impact"]["currency"]))
    return Alert(**{**told, **times, "impact": impact, "findings": [_finding(finding) for finding in told["findings"]]})


def _finding(told: Mapping[str, Any]) -> Finding:
    numbers = {name: None if told[name] is None else float(told[name]) for name in ("warn", "alert")}
    return Finding(**{**told, **numbers, "value": float(told["value"])})


def subject(alert: Alert) -> str:
    """One line for a mail: printable ASCII, under a hundred characters."""
    head = {RAISED: "", RESOLVED: "resolved: "}.get(alert.occasion, "still: ")
    about = f" ({alert.about[:20]})" if alert.about else f" ({alert.verdict})"
    return f"{head}{alert.campaign[:40]}: {_WHAT[alert.kind]}{about}"


def letter(alert: Alert, retraining: str = "") -> str:
    """The alert as people read it; ``retraining`` is a sentence on what was done about it."""
    if alert.occasion == RESOLVED:
        return "\n".join([f"Resolved: campaign {alert.campaign}, {_named(alert)}. Nothing is to be done.", *_closing(alert)])
    again = "" if alert.occasion == RAISED else "Still open and not acknowledged. "
    lines = [
        f"{again}Campaign {alert.campaign}: {_named(alert)}, verdict {alert.verdict}.",
        *([alert.detail] if alert.detail else []),
        *(_window(alert) if alert.kind in RETRAINED else []),
        *([f"Estimated effect on the expected profit of that window: {_money(alert.impact)}."] if alert.impact else []),
        *(["", *(_line(finding) for finding in alert.findings)] if alert.findings else []),
        "",
        *([retraining] if retraining else []),
        f"What to do: {RUNBOOK[alert.kind]}",
        *_closing(alert),
    ]
    return "\n".join(lines)


def _named(alert: Alert) -> str:
    return f"{alert.kind} of {alert.about}" if alert.about else alert.kind


def _window(alert: Alert) -> list[str]:
    return [
        f"Window: {alert.since:%Y-%m-%d %H:%M} to {alert.until:%Y-%m-%d %H:%M} UTC, {alert.rows:,} rows.",
        f"Live model: {alert.model_digest or 'none'}.",
    ]


def _money(impact: Impact) -> str:
    return f"{impact.amount:+,.0f} {impact.currency}".rstrip()


def _closing(alert: Alert) -> list[str]:
    links = alert.links
    report = f"Report: {links.get('report') or alert.report_key or 'none'}." if alert.kind in RETRAINED else ""
    run = f"{'Monitor' if alert.kind in RETRAINED else 'Flow'} run: {alert.run_id}."
    lines = [" ".join(part for part in (report, run) if part)]
    if links.get("runbook"):
        lines.append(f"Runbook: {links['runbook']}")
    if alert.alert_id:
        lines.append(f"Alert: {alert.alert_id}" + (f" {links['alert']}" if links.get("alert") else ""))
    if links.get("acknowledge") and alert.occasion != RESOLVED:
        lines.append(f"Acknowledge: {links['acknowledge']}")
    return lines


def _line(finding: Finding) -> str:
    bounds = ", ".join(f"{name} at {bound:g}" for name, bound in (("warning", finding.warn), ("alert", finding.alert)) if bound is not None)
    where = f"{finding.column}, " if finding.column else ""
    return f"- {where}{finding.metric}: {finding.value:.4g} ({finding.verdict}{'; ' + bounds if bounds else ''})"
