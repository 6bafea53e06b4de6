"""What panels are made of, in Postgres: reading their views, and what keeps them cheap and filled."""

from __future__ import annotations

import time
from collections.abc import Sequence

from propensity.adapters.database import Database
from propensity.errors import DatabaseUnavailable
from propensity.ports import Answer, Failure, ServiceSample, ServiceTraffic

_READ_ONLY = "set transaction read only"
_ADD_TRAFFIC = """
insert into service_minute (process, since, kind, status, requests, seconds, slower_than)
values (%b::uuid, now(), %b, %b::int, %b::int, %b::float8, %b::int[]) on conflict do nothing"""
_ADD_SAMPLE = """
insert into service_sample (process, since, started_at, resident_bytes, cpu_seconds, waiting, commits, commit_seconds)
values (%b::uuid, now(), to_timestamp(%b::float8), %b::bigint, %b::float8, %b::int, %b::int, %b::float8) on conflict do nothing"""
_COUNT = "select count_panel_hours()"
_RECOUNT = "select recount_panel_hours()"
_FORGET = "select forget_service_minutes(now() - interval '90 days')"
_SLOW = "this took too long; choose a shorter span, or one campaign"
_COUNT_TIMEOUT_S = 30.0


class PostgresPanels:
    """`propensity.ports.PanelReader` and `propensity.ports.PanelKeeper`. Works with a role that may insert and select."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, statements: Sequence[str], *, each_s: float = 2.0, all_s: float = 8.0) -> list[Answer | Failure]:
        """The answer to each statement, in order. What takes longer than ``each_s`` seconds, or is not begun after ``all_s``, fails alone.

        Raises DatabaseUnavailable where Postgres does not answer at all.
        """
        until = time.monotonic() + all_s
        self._database.ping()
        found: list[Answer | Failure] = []
        for statement in statements:
            left_s = min(each_s, until - time.monotonic())
            found.append(Failure(_SLOW) if left_s <= 0.05 else self._answer(statement, left_s))
        return found

    def _answer(self, statement: str, timeout_s: float) -> Answer | Failure:
        try:
            with self._database.transaction(timeout_s) as cursor:
                cursor.execute(_READ_ONLY)
                rows = cursor.execute(statement).fetchall()
                return Answer(tuple(column.name for column in cursor.description or ()), rows)
        except DatabaseUnavailable:
            return Failure(_SLOW)

    def add(self, process: str, traffic: Sequence[ServiceTraffic], sample: ServiceSample) -> None:
        """Write what a process counted since it last did so; all of it or nothing."""
        with self._database.transaction() as cursor:
            for row in traffic:
                values = (process, row.kind, row.status, row.requests, row.seconds, list(row.slower_than))
                cursor.execute(_ADD_TRAFFIC, values)
            s = sample
            values_of_process = (process, s.started_at, s.resident_bytes, s.cpu_seconds, s.waiting, s.commits, s.commit_seconds)
            cursor.execute(_ADD_SAMPLE, values_of_process)

    def count_ahead(self) -> bool:
        """Count a day of the log that is not counted yet; whether more is left. Of several at once one counts."""
        with self._database.transaction(_COUNT_TIMEOUT_S) as cursor:
            row = cursor.execute(_COUNT).fetchone()
        return bool(row and row[0])

    def recount(self) -> bool:
        """Go back to what is not as counted, where rows came with a time of the past; whether there was any."""
        with self._database.transaction(_COUNT_TIMEOUT_S) as cursor:
            row = cursor.execute(_RECOUNT).fetchone()
        return bool(row and row[0])

    def forget(self) -> None:
        """Drop what processes wrote of themselves more than 90 days ago."""
        with self._database.transaction(_COUNT_TIMEOUT_S) as cursor:
            cursor.execute(_FORGET)
