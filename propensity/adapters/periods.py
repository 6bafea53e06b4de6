"""Finished periods of flows in Postgres, so that a flow that runs twice for a month does its work once."""

from __future__ import annotations

from psycopg.types.json import Jsonb

from propensity.adapters.database import Database
from propensity.ports import Json

_SELECT = "select result from flow_period where flow = %s and campaign = %s and period = %s"
_INSERT = "insert into flow_period (flow, campaign, period, result) values (%s, %s, %s, %s) on conflict do nothing"


class PostgresPeriodStore:
    """`propensity.ports.PeriodStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def finished(self, flow: str, campaign: str, period: str) -> Json | None:
        """The result of a finished period; None where it has not finished."""
        with self._database.statement() as cursor:
            row = cursor.execute(_SELECT, (flow, campaign, period)).fetchone()
        if row is None:
            return None
        result: Json = row[0]
        return result

    def finish(self, flow: str, campaign: str, period: str, result: Json) -> None:
        """Record a result; the first one stands. Raises DataError where it holds NaN or infinity, which JSON has not."""
        with self._database.transaction() as cursor:
            cursor.execute(_INSERT, (flow, campaign, period, Jsonb(result)))
