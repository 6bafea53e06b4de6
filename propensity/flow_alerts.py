"""Alerts of the flows themselves: late, failed, and not watched."""

from __future__ import annotations

import uuid
from datetime import datetime

from propensity.alerts import CHECKER, FAILED, LATE, PLATFORM, Alert
from propensity.flow_health import FlowState

_NAMES = uuid.UUID("6f1c2b52-8a4e-5d0b-9b6e-2f3c4d5e6f70")


def late(state: FlowState, now: datetime) -> Alert:
    """A flow whose last due time is past its grace."""
    due, flow, campaign = state.last_due, state.schedule.flow, state.schedule.campaign
    assert due is not None, "late means that something was due"
    good = state.beats.get("succeeded")
    before = (
        f"the last good run began to serve {good.due:%Y-%m-%d %H:%M} UTC" if good is not None and good.due else "no run ever ended well"
    )
    detail = f"Due {due:%Y-%m-%d %H:%M} UTC, not done {_span((now - due).total_seconds())} later; {before}."
    return _flow_alert(LATE, "late", campaign, flow, str(uuid.uuid5(_NAMES, f"{flow}/{campaign}/{due.isoformat()}")), due, now, detail)


def failed(flow: str, campaign: str, run_id: str, due: datetime, now: datetime, error: str) -> Alert:
    """A run that failed. ``error`` is the code or class of what it ended with: the text of an error stays in the flow's log."""
    return _flow_alert(FAILED, "failed", campaign, flow, run_id, due, now, f"It ended with {error}.")


def not_watched(since: datetime, until: datetime) -> Alert:
    """The checker's own absence, told by itself once it is back."""
    span = _span((until - since).total_seconds())
    detail = f"The check of flows was away for {span}, from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC. It watches again."
    run_id = str(uuid.uuid5(_NAMES, f"checker/{since.isoformat()}"))
    return _flow_alert(CHECKER, "down", PLATFORM, "", run_id, since, until, detail)


def _flow_alert(kind: str, verdict: str, campaign: str, flow: str, run_id: str, since: datetime, until: datetime, detail: str) -> Alert:
    return Alert(
        campaign=campaign, kind=kind, verdict=verdict, run_id=run_id, since=since, until=until, rows=0, model_digest=None, report_key=None,
        findings=(), about=flow, detail=detail,
    )  # fmt: skip


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
