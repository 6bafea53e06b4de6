"""Erasure in Postgres, by functions that have the rights of the tables' owner and leave a receipt that the application cannot remove."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from propensity.adapters.database import Database
from propensity.customer_key import customer_key
from propensity.gate_ports import Erased

_STEP = timedelta(days=7)
_STEP_TIMEOUT_S = 60.0
_SPAN = "select min(received_at), now() from prediction_request"
_LOGGED = "select erase_logged(%s, %s, %s, %s, %s, %s)"
_ELSEWHERE = "select erase_elsewhere(%s, %s, %s, %s, %s)"
_RECEIPT = """
select coalesce(sum(requests), 0)::int, coalesce(sum(predictions), 0)::int, coalesce(sum(replies), 0)::int, coalesce(sum(outcomes), 0)::int,
    coalesce(sum(suppressions), 0)::int, coalesce(sum(contacts), 0)::int, coalesce(bool_or(until is null), false), max(created_at)
from erasure where erasure_id = %s having count(*) > 0"""


class PostgresErasureStore:
    """`propensity.gate_ports.ErasureStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def erase(self, erasure_id: str, customer_id: str, *, actor: str, reason: str, deadline_s: float) -> Erased:
        """Erase a customer from the log, week by week, the newest first, then from everything beside it."""
        until = time.monotonic() + deadline_s
        with self._database.transaction(_STEP_TIMEOUT_S) as cursor:
            row = cursor.execute(_SPAN).fetchone()
        first, last = row if row is not None and row[0] is not None else (datetime.now(UTC), datetime.now(UTC))
        ends = last + timedelta(minutes=1)
        while ends > first:
            if time.monotonic() >= until:
                return self.receipt(erasure_id) or Erased(erasure_id, 0, 0, 0, 0, 0, 0, False, None)
            begins = ends - _STEP
            with self._database.transaction(_STEP_TIMEOUT_S) as cursor:
                cursor.execute(_LOGGED, (erasure_id, customer_id, begins, ends, actor, reason))
            ends = begins
        with self._database.transaction(_STEP_TIMEOUT_S) as cursor:
            cursor.execute(_ELSEWHERE, (erasure_id, customer_id, customer_key(customer_id), actor, reason))
        found = self.receipt(erasure_id)
        assert found is not None, "the last step always leaves one"
        return found

    def receipt(self, erasure_id: str) -> Erased | None:
        """What an erasure did; None where there is none of that id."""
        with self._database.transaction(_STEP_TIMEOUT_S) as cursor:
            row: tuple[Any, ...] | None = cursor.execute(_RECEIPT, (erasure_id,)).fetchone()
        return None if row is None else Erased(erasure_id, *row)
