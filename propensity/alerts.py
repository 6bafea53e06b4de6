"""An alert of monitoring on its way to the retrain flow and to people: what it says, and its form as a message.

It names columns, numbers and verdicts; nothing in it came from a customer's row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from propensity.errors import Malformed

if TYPE_CHECKING:
    from propensity.ports import MonitorMetric, MonitorRun

# By kind of monitor run: the verdicts that somebody must hear of. A model whose outcomes are worse than declared is at most a warning.
ALARMING = {"drift": frozenset({"drift"}), "performance": frozenset({"drift", "warning"})}
MOST_FINDINGS = 20
_NAME = re.compile(r"[a-z][a-z0-9-]{0,99}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Finding:
    """One number beyond its bounds. ``column`` is None for the whole; ``alert`` and ``warn`` are the bounds."""

    column: str | None
    metric: str
    value: float
    warn: float | None
    alert: float | None
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What a monitor run found.

    Attributes
    ----------
    kind : str
        ``drift``: customers are others than those the model was trained on; ``performance``: outcomes are worse than it should have.
    run_id : str
        The monitor run: the same comparison has the same id, and so its alert comes again under the same id, too.
    findings : sequence of Finding
        The worst first, at most `MOST_FINDINGS`.
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

    @property
    def day(self) -> str:
        """The last day of the window: all alerts of a campaign about one day ask for one retraining."""
        return self.until.date().isoformat()


def alert_of(run: MonitorRun) -> Alert | None:
    """The alert that a monitor run is; None where nobody needs to hear of it.

    A run that judges alarms is told of where one is raised, whatever its bands say; its verdict is then ``drift``.
    """
    verdict = run.verdict if run.alarm is None else "drift" if run.alarm == "alarm" else "stable"
    if verdict not in ALARMING.get(run.kind, frozenset()):
        return None
    found = sorted((m for m in run.metrics if m.verdict in ("alarm", "drift", "warning")), key=_badness)
    return Alert(
        campaign=run.campaign,
        kind=run.kind,
        verdict=verdict,
        run_id=run.run_id,
        since=run.since,
        until=run.until,
        rows=run.rows,
        model_digest=run.model_digest,
        report_key=run.report_key,
        findings=[Finding(m.column, m.metric, m.value, m.warn, m.alert, m.verdict) for m in found[:MOST_FINDINGS]],
    )


def _badness(metric: MonitorMetric) -> tuple[int, float]:
    """Alarms first, the smallest chance before all; then what lies farthest beyond its bound."""
    bound = metric.alert or metric.warn
    over = metric.value / bound if bound else 0.0
    return ("alarm", "drift", "warning").index(metric.verdict), over if metric.verdict == "alarm" else -over


def to_message(alert: Alert) -> str:
    """The alert as it is published."""
    return json.dumps({"event": "monitor_alert", **asdict(alert)}, default=lambda moment: moment.isoformat())


def from_message(text: str) -> Alert:
    """The alert that `to_message` wrote. Raises Malformed for anything else."""
    try:
        told: dict[str, Any] = json.loads(text)
        if told.pop("event") != "monitor_alert":
            raise ValueError("another event")
        times = {name: datetime.fromisoformat(told[name]) for name in ("since", "until")}
        alert = Alert(**{**told, **times, "findings": [Finding(**finding) for finding in told["findings"]]})
        sound = alert.kind in ALARMING and alert.verdict in ALARMING[alert.kind] and isinstance(alert.rows, int)
        # They become parts of keys and addresses.
        sound = sound and _NAME.fullmatch(alert.campaign) is not None and _ID.fullmatch(alert.run_id) is not None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise Malformed("a message is not an alert of monitoring") from exc
    if not sound or None in (alert.since.tzinfo, alert.until.tzinfo):
        raise Malformed("a message is not an alert of monitoring")
    return alert


def subject(alert: Alert) -> str:
    """One line for a mail: printable ASCII, under a hundred characters."""
    what = "customers have changed" if alert.kind == "drift" else "the model does worse than it should"
    return f"{alert.campaign[:40]}: {what} ({alert.verdict})"


def letter(alert: Alert, retraining: str) -> str:
    """The alert as people read it; ``retraining`` is a sentence on what was done about it."""
    lines = [
        f"Campaign {alert.campaign}: {alert.kind}, verdict {alert.verdict}.",
        f"Window: {alert.since:%Y-%m-%d %H:%M} to {alert.until:%Y-%m-%d %H:%M} UTC, {alert.rows:,} rows.",
        f"Live model: {alert.model_digest or 'none'}.",
        "",
        *(_line(finding) for finding in alert.findings),
        "",
        retraining,
        f"Report: {alert.report_key or 'none'}. Monitor run: {alert.run_id}.",
    ]
    return "\n".join(lines)


def _line(finding: Finding) -> str:
    bounds = ", ".join(f"{name} at {bound:g}" for name, bound in (("warning", finding.warn), ("alert", finding.alert)) if bound is not None)
    where = f"{finding.column}, " if finding.column else ""
    return f"- {where}{finding.metric}: {finding.value:.4g} ({finding.verdict}{'; ' + bounds if bounds else ''})"
