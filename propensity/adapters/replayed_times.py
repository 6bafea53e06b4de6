"""Times of the log set back, for the replayed year of the guided demo alone: the one place that ever changes a time that Postgres gave.

The application role may not do this: it needs the role that owns the tables. Nothing but times is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import psycopg

from propensity.errors import DatabaseUnavailable

# Where a moment of the log stands: rows written since a mark are moved so that the mark becomes another moment.
_DECISIONS = (
    ("promotion", "created_at"),
    ("monitor_run", "created_at"),
    ("alert", "raised_at"),
    ("alert_event", "created_at"),
    ("model_comparison", "created_at"),
    ("shadow_prediction", "scored_at"),
    ("flow_period", "finished_at"),
    ("suppression", "created_at"),
)
_USED = """
select exists (select from prediction_request) or exists (select from promotion) or exists (select from outcome)
    or exists (select from monitor_run)"""
_MOVE_REQUESTS = (
    """
    update prediction_request as r set received_at = t.at from unnest(%s::text[], %s::timestamptz[]) as t (id, at)
    where r.request_id = t.id::uuid""",
    """
    update prediction_gate as g set received_at = t.at, created_at = t.at from unnest(%s::text[], %s::timestamptz[]) as t (id, at)
    where g.request_id = t.id::uuid""",
    """
    update contact as c set created_at = t.at, day = (t.at at time zone 'UTC')::date
    from unnest(%s::text[], %s::timestamptz[]) as t (id, at) where c.request_id = t.id::uuid""",
)


class ReplayedTimes:
    """A connection of the owner's, used by nobody else. Every method raises DatabaseUnavailable where Postgres refuses or is away."""

    def __init__(self, owner_url: str) -> None:
        self._url = owner_url

    def is_used(self) -> bool:
        """Whether anything was ever predicted, told, decided or monitored here."""
        return bool(self._run((_USED, ()))[0])

    def make_partitions(self, first: date, months: int) -> None:
        """Partitions of the months that are replayed."""
        values = (first, months)
        self._run(("select make_prediction_partitions(%s, %s)", values), ("select make_shadow_partitions(%s, %s)", values))

    def now(self) -> datetime:
        """The time by the clock that stamps the log."""
        found: datetime = self._run(("select clock_timestamp()", ()))[0]
        return found

    def move_requests(self, received: Mapping[str, datetime]) -> None:
        """Let these requests have been received at those moments."""
        ids, moments = list(received), list(received.values())
        self._run(*((statement, (ids, moments)) for statement in _MOVE_REQUESTS))

    def move_outcomes(self, since: datetime) -> None:
        """Let the outcomes that came since then have come when they were observed."""
        self._run(("update outcome set received_at = observed_at where received_at >= %s and observed_at is not null", (since,)))

    def move_decisions(self, since: datetime, to: datetime) -> None:
        """Let what was decided, found and told since then have happened at ``to`` and the moments after it, in the same order."""
        self._run(
            *(
                (f"update {table} set {column} = %s::timestamptz + ({column} - %s::timestamptz) where {column} >= %s", (to, since, since))
                for table, column in _DECISIONS
            )
        )

    def recount(self) -> None:
        """Count the hours of the panels anew: they were counted before the times were changed."""
        self._run(("select recount_panel_hours()", ()), ("select count_panel_hours(interval '800 days')", ()))

    def _run(self, *statements: tuple[str, tuple[object, ...]]) -> tuple[Any, ...]:
        """Run statements in one transaction; the first row of the last one, where it has any."""
        try:
            with psycopg.connect(self._url, connect_timeout=5) as connection:
                cursor = connection.cursor()
                for statement, values in statements:
                    cursor.execute(statement.encode(), values)
                return (cursor.fetchone() or ()) if cursor.description else ()
        except psycopg.Error as exc:
            raise DatabaseUnavailable(f"the times of the replayed year could not be set: {str(exc).strip().splitlines()[0]}") from exc
