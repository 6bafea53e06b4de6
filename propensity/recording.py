"""Each run of a flow leaves a record: that it began, what due time it serves, how it ended. A failure is told at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from propensity import flow_alerts
from propensity.alerting import Alerting
from propensity.alerts import FAILED as FLOW_FAILED
from propensity.alerts import LATE
from propensity.errors import PropensityError
from propensity.flow_health import FAILED, STARTED, SUCCEEDED, SUPERSEDED, HeartbeatStore, served_by

log = logging.getLogger("propensity.flows")


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is about to begin.

    Attributes
    ----------
    regular : bool
        It does as the schedule does: no other window, source or list was asked for.
    automatic : bool
        A clock started it, no person: where its due time is served already it has nothing to do.
    planned : datetime or None
        When the scheduler meant it to begin.
    """

    run_id: str
    flow: str
    campaign: str
    regular: bool
    automatic: bool = False
    planned: datetime | None = None


def record(
    run: Run,
    work: Callable[[], dict[str, Any]],
    heartbeats: HeartbeatStore,
    alerting: Callable[[], Alerting],
    detail_of: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda _: {},
) -> dict[str, Any]:
    """Do the work and record it; what it returns. Whatever goes wrong with the record never stops the work, nor hides its error.

    Where a clock started the run and its due time is served already, nothing is done but saying so: after an outage, one run of all that
    were missed does the work.
    """
    due, served = _begin(run, heartbeats)
    if served:
        _quietly("its record", lambda: heartbeats.beat(run.run_id, run.flow, run.campaign, SUPERSEDED, due))
        log.info(f"{run.flow} of {run.campaign}: another run has served {due:%Y-%m-%d %H:%M} UTC; nothing to do")
        return {"superseded": True, "due": None if due is None else due.isoformat()}
    begun = time.monotonic()
    try:
        result = work()
    except BaseException as exc:
        error = exc.code if isinstance(exc, PropensityError) else type(exc).__name__
        _ended(run, heartbeats, FAILED, due, {"error": error, "seconds": round(time.monotonic() - begun, 1)})
        if due is not None and isinstance(exc, Exception):
            _quietly("its alert", lambda: _tell_failed(run, due, error, heartbeats, alerting()))
        raise
    _ended(run, heartbeats, SUCCEEDED, due, {"seconds": round(time.monotonic() - begun, 1), **detail_of(result)})
    if due is not None:
        _quietly("its alerts", lambda: _tell_well(run, heartbeats, alerting()))
    return result


def _begin(run: Run, heartbeats: HeartbeatStore) -> tuple[datetime | None, bool]:
    """The due time that the run serves, None for one that is not regular, and whether that is served already."""
    found: list[tuple[datetime | None, bool]] = [(None, False)]

    def begin() -> None:
        now, known = heartbeats.schedules()
        schedule = next((s for s in known if (s.flow, s.campaign) == (run.flow, run.campaign)), None)
        due = None
        if run.regular:
            # Before anything was due it serves what came before it.
            due = (served_by(schedule, now, run.planned) if schedule is not None else None) or now
        served = False
        if run.automatic and run.regular and schedule is not None:
            good = heartbeats.newest([(run.flow, run.campaign)]).get((run.flow, run.campaign), {}).get(SUCCEEDED)
            served = good is not None and good.due is not None and due is not None and good.due >= due
        heartbeats.beat(run.run_id, run.flow, run.campaign, STARTED, due)
        found[0] = (due, served)

    _quietly("its record", begin)
    return found[0]


def _ended(run: Run, heartbeats: HeartbeatStore, event: str, due: datetime | None, detail: Mapping[str, Any]) -> None:
    _quietly("its record", lambda: heartbeats.beat(run.run_id, run.flow, run.campaign, event, due, detail))


def _tell_failed(run: Run, due: datetime, error: str, heartbeats: HeartbeatStore, alerting: Alerting) -> None:
    now, _ = heartbeats.schedules()
    alerting.raise_alert(flow_alerts.failed(run.flow, run.campaign, run.run_id, due, now, error))


def _tell_well(run: Run, heartbeats: HeartbeatStore, alerting: Alerting) -> None:
    now, _ = heartbeats.schedules()
    for kind in (FLOW_FAILED, LATE):
        alerting.clear(run.campaign, kind, run.flow, until=now)


def _quietly(what: str, do: Callable[[], object]) -> None:
    """Do it, or write into the log that it could not be done: then the run shows as late, and the work is done all the same."""
    try:
        do()
    except PropensityError as exc:
        log.warning(f"a flow runs without {what}: {exc}")
