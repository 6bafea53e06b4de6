"""Schedules and heartbeats of flows in Postgres, append-only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from propensity.adapters.database import Cursor, Database
from propensity.flow_health import Beat, Schedule

# "since" is when this cron was first seen: a new one makes nothing late that was due before it.
_SCHEDULES = """
select distinct on (flow, campaign) flow, campaign, cron, grace_s, registered_at from flow_schedule order by flow, campaign, id desc"""
_REGISTER = "insert into flow_schedule (flow, campaign, cron, grace_s) values (%s, %s, %s, %s)"
_BEAT = """
insert into flow_heartbeat (run_id, flow, campaign, event, due, detail) values (%s, %s, %s, %s, %s, %s) on conflict do nothing"""
_NEWEST = """
select k.flow, k.campaign, b.event, b.created_at, b.run_id::text, b.due, b.detail
from unnest(%s::text[], %s::text[]) as k (flow, campaign)
cross join unnest(array['started', 'succeeded', 'failed', 'superseded']) as e (event)
cross join lateral (
    select event, created_at, run_id, due, detail from flow_heartbeat h
    where h.flow = k.flow and h.campaign = k.campaign and h.event = e.event and h.due is not null order by h.id desc limit 1
) as b"""


class PostgresHeartbeatStore:
    """`propensity.flow_health.HeartbeatStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(self, schedules: Sequence[Schedule], *, complete: bool = True) -> int:
        """Record what is scheduled now, and where that is ``complete`` that others are no longer; how many rows that took."""
        wanted = {(s.flow, s.campaign): s for s in schedules}
        with self._database.transaction() as cursor:
            # One at a time: two that begin together would both find it missing.
            cursor.execute("select pg_advisory_xact_lock(hashtextextended('flow schedules', 0))")
            known = {(s.flow, s.campaign): s for s in _known(cursor)}
            rows = [(s.flow, s.campaign, s.cron, s.grace_s) for key, s in wanted.items() if not _same(known.get(key), s)]
            rows += [(*key, None, s.grace_s) for key, s in known.items() if complete and key not in wanted and s.cron is not None]
            for row in rows:
                cursor.execute(_REGISTER, row)
        return len(rows)

    def schedules(self) -> tuple[datetime, list[Schedule]]:
        """The time by Postgres' clock, and what is scheduled."""
        with self._database.transaction() as cursor:
            ((now,),) = cursor.execute("select now()").fetchall()
            return now, [schedule for schedule in _known(cursor) if schedule.cron is not None]

    def beat(
        self, run_id: str, flow: str, campaign: str, event: str, due: datetime | None, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Record that a run began or how it ended; the first of each kind stands."""
        with self._database.transaction() as cursor:
            cursor.execute(_BEAT, (run_id, flow, campaign, event, due, Jsonb(dict(detail or {}))))

    def newest(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Beat]]:
        """By flow and campaign, the newest record of each kind among those that serve a due time."""
        found: dict[tuple[str, str], dict[str, Beat]] = {}
        with self._database.statement() as cursor:
            rows = cursor.execute(_NEWEST, ([flow for flow, _ in keys], [campaign for _, campaign in keys])).fetchall()
        for flow, campaign, event, *rest in rows:
            found.setdefault((flow, campaign), {})[event] = Beat(event, *rest)
        return found


def _known(cursor: Cursor) -> list[Schedule]:
    return [Schedule(*row) for row in cursor.execute(_SCHEDULES).fetchall()]


def _same(known: Schedule | None, wanted: Schedule) -> bool:
    return known is not None and (known.cron, known.grace_s) == (wanted.cron, wanted.grace_s)
