"""Comparisons of champion and challenger in Postgres, append-only: one a day and pair."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from propensity.adapters.database import Database
from propensity.comparison import Comparison
from propensity.paired import Gain

_COLUMNS = "campaign, kind, champion, challenger, ledger_sequence, since, until, predicted, labelled, verdict, judged_by, rows_needed"
_INSERT = f"""
insert into model_comparison ({_COLUMNS}, gain, low, high, report)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing"""
_SELECT = f"select {_COLUMNS}, report, created_at from model_comparison where campaign = %s"
_ONE = f"{_SELECT} and kind = %s and champion = %s and challenger = %s and ledger_sequence = %s and until = %s"
_LAST = f"{_SELECT} and (%s::text is null or kind = %s) order by until desc, id desc limit %b::bigint"


class PostgresComparisonStore:
    """`propensity.comparison.ComparisonStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, found: Comparison) -> Comparison:
        """Store a look and return the one that stands: of several on one day the first."""
        gain, c = found.gain.as_json(), found
        key = (c.campaign, c.kind, c.champion, c.challenger, c.ledger_sequence)
        counts = (c.since, c.until, c.predicted, c.labelled, c.verdict, c.judged_by, c.rows_needed)
        figures = (gain["gain"], gain["always_low"], gain["always_high"])
        with self._database.transaction() as cursor:
            cursor.execute(_INSERT, (*key, *counts, *figures, Jsonb(c.as_json())))
            row = cursor.execute(_ONE, (*key, c.until)).fetchone()
        assert row is not None, "what was inserted, or was there"
        return _comparison(row)

    def last(self, campaign: str, limit: int, kind: str | None = None) -> list[Comparison]:
        """The newest looks, newest first."""
        with self._database.statement() as cursor:
            return [_comparison(row) for row in cursor.execute(_LAST, (campaign, kind, kind, limit)).fetchall()]


def _comparison(row: tuple[Any, ...]) -> Comparison:
    *_, report, created_at = row
    times: dict[str, Any] = {name: datetime.fromisoformat(report[name]) for name in ("since", "until")}
    plain: dict[str, Any] = {
        name: report[name] for name in Comparison.__dataclass_fields__ if name in report and name not in ("gains", "since", "until")
    }
    gains = {name: _gain(gain) for name, gain in report["gains"].items()}
    return Comparison(**plain, **times, gains=gains, created_at=created_at)


def _gain(stored: Mapping[str, Any]) -> Gain:
    exact = ("rows", "rows_needed", "method")
    plain: dict[str, Any] = {name: float("nan") if value is None and name not in exact else value for name, value in stored.items()}
    return Gain(**plain)
