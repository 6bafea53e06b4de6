"""One look at all flows: what is late or failed is told, what went well since is resolved, and the checker says when it was away itself."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from propensity import flow_alerts
from propensity.alerting import Alerting, Delivery
from propensity.alerts import FAILED, LATE
from propensity.flow_health import CHECKER, PLATFORM, SUCCEEDED, FlowState, HeartbeatStore, Schedule, states

log = logging.getLogger("propensity.flows")
# Passes missed before the checker counts as having been away, and how long that is at least.
MISSED = 3
AWAY_S = 300.0
# It records that it lives no oftener than this: a row for each pass would be half a million a year.
BEAT_S = 240.0


@dataclass(frozen=True)
class Checked:
    """What one look found and did."""

    now: datetime
    states: Sequence[FlowState]
    raised: Sequence[str]
    resolved: Sequence[str]
    deliveries: Sequence[Delivery]
    away_since: datetime | None


def check(heartbeats: HeartbeatStore, alerting: Alerting, schedules: Sequence[Schedule], every_s: float) -> Checked:
    """Look once. Raises a StoreError where the store does not answer: the next look then says how long nobody looked."""
    heartbeats.register([*schedules, own_schedule(every_s)])
    now, found = states(heartbeats)
    watched = [state for state in found if state.schedule.flow != CHECKER]
    away_since = _own_absence(heartbeats, alerting, now, every_s)
    raised, resolved = [], []
    for state in watched:
        flow, campaign = state.schedule.flow, state.schedule.campaign
        failed = state.failed_run
        if failed is not None:
            error = str(failed.detail.get("error", "an error"))
            raised.append(
                alerting.raise_alert(flow_alerts.failed(flow, campaign, failed.run_id, failed.due or failed.at, failed.at, error))
            )
        if late(state, now):
            raised.append(alerting.raise_alert(flow_alerts.late(state, now)))
        elif state.served:
            resolved += alerting.clear(campaign, LATE, flow, until=now)
        if failed is None and SUCCEEDED in state.beats:
            resolved += alerting.clear(campaign, FAILED, flow, until=state.beats[SUCCEEDED].at)
    deliveries = alerting.deliver()
    _beat(heartbeats, now)
    return Checked(now, found, [stored.alert_id for stored in raised], resolved, deliveries, away_since)


def late(state: FlowState, now: datetime) -> bool:
    """Whether the last due time is past its grace and not served; where the run that should have served it failed, that is told instead."""
    due, failed = state.last_due, state.failed_run
    if failed is not None and failed.due is not None and due is not None and failed.due >= due:
        return False
    return due is not None and not state.served and now > due + timedelta(seconds=state.schedule.grace_s)


def own_schedule(every_s: float) -> Schedule:
    """The checker's own: shown like any flow's; it is late once so many passes are missing."""
    return Schedule(CHECKER, PLATFORM, _every(every_s), int(allowed_s(every_s) + BEAT_S))


def allowed_s(every_s: float) -> float:
    """How long the checker may be silent."""
    return max(MISSED * every_s, AWAY_S)


def _every(every_s: float) -> str:
    minutes = max(5, round(every_s / 60))
    if minutes < 60:
        return f"*/{minutes} * * * *"
    hours = round(minutes / 60)
    return "0 * * * *" if hours == 1 else f"0 */{hours} * * *" if hours < 24 else "0 0 * * *"


def _own_absence(heartbeats: HeartbeatStore, alerting: Alerting, now: datetime, every_s: float) -> datetime | None:
    last = heartbeats.newest([(CHECKER, PLATFORM)]).get((CHECKER, PLATFORM), {}).get(SUCCEEDED)
    if last is None or (now - last.at).total_seconds() <= allowed_s(every_s) + BEAT_S:
        return None
    log.warning("the check of flows was away since %s", last.at.isoformat())
    alerting.raise_alert(flow_alerts.not_watched(last.at, now))
    return last.at


def _beat(heartbeats: HeartbeatStore, now: datetime) -> None:
    last = heartbeats.newest([(CHECKER, PLATFORM)]).get((CHECKER, PLATFORM), {}).get(SUCCEEDED)
    if last is None or (now - last.at).total_seconds() >= BEAT_S:
        heartbeats.beat(str(uuid.uuid4()), CHECKER, PLATFORM, SUCCEEDED, now)
