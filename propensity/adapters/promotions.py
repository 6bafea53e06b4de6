"""The promotion ledger in Postgres: append-only, one winner per place in the sequence."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from psycopg import errors as pg
from psycopg.types.json import Jsonb

from propensity.adapters.database import Database
from propensity.errors import PromotionConflict
from propensity.ports import Promotion

_COLUMNS = "campaign, sequence, action, model_digest, model_version, replaces, reasons, evidence, actor, created_at, step"
_HISTORY = f"select {_COLUMNS} from promotion where campaign = %s order by sequence"
_PAGE = f"""
select {_COLUMNS} from promotion where campaign = %s and (%b::bigint is null or sequence < %b::bigint)
order by sequence desc limit %b::bigint"""
_LIVE = f"select {_COLUMNS} from promotion where campaign = %s and action in ('promote', 'rollback') order by sequence desc limit 1"
# The table only grows. The time belongs to the mark for a ledger that was restored from a copy and then decided on anew.
_MARKS = "select campaign, count(*), max(sequence), max(created_at) from promotion group by campaign"
_INSERT = f"""
insert into promotion (campaign, sequence, action, model_digest, model_version, replaces, reasons, evidence, actor, step)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning {_COLUMNS}"""


class PostgresPromotionLedger:
    """`propensity.ports.PromotionLedger`. The live model is that of the last row whose action is promote or rollback."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def history(self, campaign: str) -> list[Promotion]:
        """Every row, oldest first."""
        with self._database.statement() as cursor:
            return [_promotion(row) for row in cursor.execute(_HISTORY, (campaign,)).fetchall()]

    def page(self, campaign: str, before: int | None, limit: int) -> list[Promotion]:
        """The newest rows, of those below the sequence number ``before`` where there is one, newest first; at most ``limit``."""
        with self._database.statement() as cursor:
            return [_promotion(row) for row in cursor.execute(_PAGE, (campaign, before, before, limit)).fetchall()]

    def live(self, campaign: str) -> Promotion | None:
        """The row that put the live model live; None where nothing was promoted."""
        with self._database.statement() as cursor:
            row = cursor.execute(_LIVE, (campaign,)).fetchone()
        return None if row is None else _promotion(row)

    def marks(self) -> Mapping[str, Hashable]:
        """One value per campaign, equal until its next decision."""
        with self._database.statement() as cursor:
            return {campaign: tuple(mark) for campaign, *mark in cursor.execute(_MARKS).fetchall()}

    def append(self, promotion: Promotion) -> Promotion:
        """Add a row and return it with the time Postgres gave it; ``promotion.created_at`` is not looked at.

        Raises PromotionConflict where the sequence number is taken: somebody else decided first, on what may be another live model.
        """
        p = promotion
        values = (p.campaign, p.sequence, p.action, p.model_digest, p.model_version, p.replaces)
        try:
            # A transaction, not a bare statement: a caller that gave up must not find its promotion live later.
            with self._database.transaction() as cursor:
                row = cursor.execute(_INSERT, (*values, Jsonb(list(p.reasons)), Jsonb(p.evidence), p.actor, p.step)).fetchone()
        except pg.UniqueViolation as exc:
            raise PromotionConflict(f"{p.campaign}: another decision was recorded first; look at the live model and decide again") from exc
        assert row is not None, "an insert that returns its row"
        return _promotion(row)


def _promotion(row: tuple[Any, ...]) -> Promotion:
    campaign, sequence, action, digest, version, replaces, reasons, evidence, actor, created_at, step = row
    return Promotion(campaign, sequence, action, digest, version, replaces, tuple(reasons), evidence, actor, created_at, step)
