"""Whether every flow did what its schedule asks for: due, late, failed, from the cron declared and from what each run recorded.

A run *serves* the last due time before it began: one run after an outage serves all that were missed, and the next one of them that starts
finds its work done. Only what does as the schedule does counts: looking at an old window by hand is no monitoring of today.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from propensity.cron import parse_cron

STARTED, SUCCEEDED, FAILED, SUPERSEDED = "started", "succeeded", "failed", "superseded"
ENDED = (SUCCEEDED, FAILED, SUPERSEDED)
# The checker itself, in the same tables.
CHECKER, PLATFORM = "checker", "platform"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A flow of a campaign and when it is due. ``since``: dues before it was registered are nobody's.

    ``grace_s``: how long after its due time it may take to end before it is late.
    """

    flow: str
    campaign: str
    cron: str | None
    grace_s: int
    since: datetime | None = None

    def last_due(self, now: datetime) -> datetime | None:
        """The last due time at or before ``now`` since it is registered."""
        due = None if self.cron is None else parse_cron(self.cron).previous(now)
        return due if due is not None and (self.since is None or due >= self.since) else None

    def next_due(self, now: datetime) -> datetime | None:
        return None if self.cron is None else parse_cron(self.cron).next(now)


@dataclass(frozen=True, slots=True)
class Beat:
    """The newest record of one kind. ``due``: what the run serves, None where it did something else."""

    event: str
    at: datetime
    run_id: str
    due: datetime | None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FlowState:
    """How a flow of a campaign stands.

    ``state``: ``waiting`` (nothing was due yet), ``ok``, ``due`` (within its time), ``running``, ``late``, ``failed``, ``retired``.
    """

    schedule: Schedule
    state: str
    last_due: datetime | None
    next_due: datetime | None
    beats: Mapping[str, Beat]

    @property
    def served(self) -> bool:
        """Whether a good run serves the last due time."""
        return _serves(self.beats.get(SUCCEEDED), self.last_due)

    @property
    def failed_run(self) -> Beat | None:
        """The failure that nobody made good yet."""
        failed, good = self.beats.get(FAILED), self.beats.get(SUCCEEDED)
        return failed if failed is not None and (good is None or good.at < failed.at) else None

    @property
    def overdue(self) -> bool:
        """Whether the last due time is past its grace and not served; ``failed`` may be so, too."""
        return self.state == "late"


class HeartbeatStore(Protocol):
    """Append-only record of schedules and of runs. Every method raises a `StoreError` where its store does not answer."""

    def register(self, schedules: Sequence[Schedule], *, complete: bool = True) -> int:
        """Record what is scheduled now, and where that is ``complete`` that others are no longer; how many rows that took."""

    def schedules(self) -> tuple[datetime, list[Schedule]]:
        """The time by the store's clock, and what is scheduled."""

    def beat(
        self, run_id: str, flow: str, campaign: str, event: str, due: datetime | None, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Record that a run began or how it ended; the first of each kind stands."""

    def newest(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Beat]]:
        """By flow and campaign, the newest record of each kind among those that serve a due time."""


def state_of(schedule: Schedule, beats: Mapping[str, Beat], now: datetime) -> FlowState:
    """How a flow stands at ``now``."""
    due = schedule.last_due(now)
    return FlowState(schedule, _state(schedule, beats, due, now), due, schedule.next_due(now), beats)


def _state(schedule: Schedule, beats: Mapping[str, Beat], due: datetime | None, now: datetime) -> str:
    if schedule.cron is None:
        return "retired"
    if schedule.flow == CHECKER:
        # It looks all the time: what counts is how long ago it did.
        last = beats.get(SUCCEEDED)
        return "ok" if last is not None and now - last.at <= timedelta(seconds=schedule.grace_s) else "late"
    failed, good, started = beats.get(FAILED), beats.get(SUCCEEDED), beats.get(STARTED)
    if failed is not None and (good is None or good.at < failed.at):
        return "failed"
    if due is None:
        return "waiting"
    if _serves(good, due):
        return "ok"
    if now > due + timedelta(seconds=schedule.grace_s):
        return "late"
    ended = {beats[event].run_id for event in ENDED if event in beats}
    return "running" if started is not None and started.run_id not in ended else "due"


def _serves(good: Beat | None, due: datetime | None) -> bool:
    return good is not None and good.due is not None and (due is None or good.due >= due)


def states(store: HeartbeatStore) -> tuple[datetime, list[FlowState]]:
    """The time, and how every flow of every campaign stands, by campaign."""
    now, known = store.schedules()
    beats = store.newest([(schedule.flow, schedule.campaign) for schedule in known])
    found = [state_of(schedule, beats.get((schedule.flow, schedule.campaign), {}), now) for schedule in known]
    return now, sorted(found, key=lambda state: (state.schedule.campaign, state.schedule.flow))


def served_by(schedule: Schedule, started: datetime, planned: datetime | None = None) -> datetime | None:
    """The due time that a run serves: the last one before it began.

    ``planned`` is when the scheduler meant it to begin: its clock may be a little ahead of the store's.
    """
    return schedule.last_due(max(started, planned) if planned is not None else started)
