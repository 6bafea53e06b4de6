"""Scores of challengers in Postgres, one packed row per request and model, beside the prediction log."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from propensity.adapters.database import Database
from propensity.adapters.outcome_reading import labels_of
from propensity.adapters.packing import unpack
from propensity.adapters.pg_arrays import PgArray
from propensity.outcome_rules import OutcomeRules
from propensity.shadow import PairedRequest, ShadowRequest, ShadowScores

# A page holds as many whole requests as fit into `page_rows` predictions, one at least; large columns are read for these alone.
_PAGE = """
with page as (
    select request_id, received_at from (
        select request_id, received_at, answered, sum(answered) over (order by received_at, request_id) as upto from (
            select request_id, received_at, answered from prediction_request as asked
            where campaign = %(campaign)s and received_at >= %(since)s and received_at < %(until)s and answered > 0
                and (%(after_id)s::uuid is null or (received_at, request_id) > (%(since)s, %(after_id)s::uuid))
                {unless}
            order by received_at, request_id limit 1000
        ) as next
    ) as counted where upto <= %(page_rows)s or upto = answered
)"""
_NOT_SCORED = """and asked.model_digest <> %(model)s and not exists (
    select from shadow_prediction as s
    where s.model_digest = %(model)s and s.request_id = asked.request_id and s.received_at = asked.received_at)"""
_MISSING = f"""{_PAGE.format(unless=_NOT_SCORED)}
select r.request_id::text, r.received_at, r.model_digest, r.features, r.answered, r.feature_count
from page join prediction_request as r using (request_id, received_at) order by r.received_at, r.request_id"""
_PAIRED = f"""{_PAGE.format(unless="")}
select r.request_id::text, r.received_at, r.policy, r.model_digest, r.scores, r.contact, one.scores, two.scores,
    known.positions, known.labels
from page join prediction_request as r using (request_id, received_at)
left join shadow_prediction as one
    on one.model_digest = %(champion)s and one.request_id = r.request_id and one.received_at = r.received_at
left join shadow_prediction as two
    on two.model_digest = %(challenger)s and two.request_id = r.request_id and two.received_at = r.received_at
cross join lateral (
    select array_agg(position order by position) as positions, array_agg(label order by position) as labels
    from (
        select distinct on (position) position, label from outcome
        where request_id = r.request_id and request_id is not null and status <> 'duplicate' and counts
        order by position, id desc
    ) as newest
) as known
order by r.received_at, r.request_id"""
_INSERT = """
insert into shadow_prediction (model_digest, request_id, received_at, campaign, scores, skipped)
values (%s, %s::uuid, %s, %s, %b, %s) on conflict do nothing"""
_NEWEST = "select max(received_at) from shadow_prediction where campaign = %s and model_digest = %s"
PAGE_ROWS = 10_000
MONTHS_AHEAD = 3
_TIMEOUT_S = 30.0


class PostgresShadowStore:
    """`propensity.shadow.ShadowStore`. Works with a role that may insert and select, never update or delete."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def now(self) -> datetime:
        """The time by the clock that stamps the log."""
        with self._database.statement() as cursor:
            row = cursor.execute("select clock_timestamp()").fetchone()
        assert row is not None, "a select without a table has one row"
        now: datetime = row[0]
        return now

    def newest(self, campaign: str, model_digest: str) -> datetime | None:
        """Time stamp of the last request that the model scored; None where it scored none."""
        with self._database.statement() as cursor:
            row = cursor.execute(_NEWEST, (campaign, model_digest)).fetchone()
        return None if row is None else row[0]

    def missing(
        self, campaign: str, model_digest: str, since: datetime, until: datetime, page_rows: int = PAGE_ROWS
    ) -> Iterator[Sequence[ShadowRequest]]:
        """Requests that the model has not scored, oldest first; each page is a short transaction of its own."""
        at = {"campaign": campaign, "model": model_digest, "since": since, "until": until, "after_id": None, "page_rows": page_rows}
        for rows in self._pages(_MISSING, at):
            yield [
                ShadowRequest(request_id, received_at, digest, unpack(features, answered, width))
                for request_id, received_at, digest, features, answered, width in rows
            ]

    def append(self, campaign: str, model_digest: str, scored: Sequence[ShadowScores]) -> int:
        """Commit some in one transaction; how many of them were new."""
        values = [
            (model_digest, one.request_id, one.received_at, campaign, None if one.scores is None else PgArray(one.scores), one.skipped)
            for one in scored
        ]
        if not values:
            return 0
        with self._database.transaction(_TIMEOUT_S) as cursor:
            cursor.executemany(_INSERT, values)
            return cursor.rowcount

    def paired(
        self,
        campaign: str,
        champion: str,
        challenger: str,
        since: datetime,
        until: datetime,
        line: Collection[str] = (),
        rules: OutcomeRules | None = None,
        page_rows: int = PAGE_ROWS,
    ) -> Iterator[PairedRequest]:
        """Every request received in [since, until) with what both models said of it, oldest first."""
        at: dict[str, Any] = {"campaign": campaign, "champion": champion, "challenger": challenger}
        at |= {"since": since, "until": until, "after_id": None, "page_rows": page_rows}
        for rows in self._pages(_PAIRED, at):
            for row in rows:
                yield _paired(row, {champion, *line}, challenger, rules)

    def make_partitions(self, months: int = MONTHS_AHEAD) -> int:
        """Make what is missing of this month's partition and those of the next; return how many were made. Any number may run at once."""
        with self._database.transaction(_TIMEOUT_S) as cursor:
            row = cursor.execute("select make_shadow_partitions(now()::date, %s)", (months + 1,)).fetchone()
        return 0 if row is None else int(row[0])

    def _pages(self, query: str, at: dict[str, Any]) -> Iterator[list[tuple[Any, ...]]]:
        """Pages whose rows begin with request id and time stamp; what is yielded is out of the database's hands."""
        while True:
            with self._database.transaction(_TIMEOUT_S) as cursor:
                rows = cursor.execute(query, at).fetchall()
            if not rows:
                return
            yield rows
            at = at | {"since": rows[-1][1], "after_id": rows[-1][0]}


def _paired(row: tuple[Any, ...], champion: Collection[str], challenger: str, rules: OutcomeRules | None) -> PairedRequest:
    _, _, policy, digest, logged, contact, one, two, positions, labels = row
    contacts = np.array(contact, dtype=np.bool_)
    _, known, values = labels_of(contacts, positions, labels, rules)
    return PairedRequest(
        policy=policy,
        model_digest=digest,
        champion=_scores(logged if digest in champion else one),
        challenger=_scores(logged if digest == challenger else two),
        contact=contacts,
        positions=np.flatnonzero(known),
        labels=values[known],
    )


def _scores(values: Sequence[float] | None) -> Any:
    return None if values is None else np.array(values, dtype=np.float64)
