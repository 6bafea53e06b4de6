"""Contacts in Postgres, and what was excluded or held out of requests: append-only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from propensity.adapters.database import Database
from propensity.adapters.pg_arrays import PgArray
from propensity.gate_ports import ArmsOfRequest, Contacted, GateRecord

_TIMEOUT_S = 60.0
_PAGE_ROWS = 20_000
_NEVER = 1_000_000
_TODAY = "(now() at time zone 'UTC')::date"
_CONTACTED = f"""
select asked.ordinal::int8, coalesce({_TODAY} - max(c.day) filter (where c.campaign = %(campaign)s and c.day < {_TODAY}), {_NEVER})::int8,
    count(distinct (c.campaign, c.day)) filter (
        where c.day > {_TODAY} - %(within)s::int and not (c.campaign = %(campaign)s and c.day = {_TODAY})
    )::int8
from unnest(%(keys)s::text[]) with ordinality as asked (key, ordinal)
join contact as c on c.customer_key = asked.key and c.day >= {_TODAY} - %(longest)s::int
group by asked.ordinal"""
# Those alone that were not kept before, with the answer or at an export of the same list.
_LATE = """
with late as (
    select * from unnest(%b::int[], %b::text[]) as asked (position, reason)
    where position not in (select unnest(excluded) from prediction_gate where request_id = %b::uuid)
), together as (select array_agg(position) as positions, array_agg(reason) as reasons from late having count(*) > 0)
insert into prediction_gate (request_id, received_at, campaign, stage, excluded, reasons, held_out)
select r.request_id, r.received_at, r.campaign, 'export', together.positions, together.reasons, '{}'
from together join prediction_request as r on r.request_id = %b::uuid"""
_NOTE = f"""
insert into contact (customer_key, campaign, request_id) select known.key, %b::text, %b::uuid from unnest(%b::text[]) as known (key)
where not exists (select from contact as c where c.request_id = %b::uuid and c.day = {_TODAY})"""
_ARMS = """
with page as (
    select request_id, received_at from (
        select request_id, received_at, answered, sum(answered) over (order by received_at, request_id) as upto from (
            select request_id, received_at, answered from prediction_request
            where campaign = %(campaign)s and received_at >= %(since)s and received_at < %(until)s
                and (%(after_id)s::uuid is null or (received_at, request_id) > (%(since)s, %(after_id)s::uuid))
            order by received_at, request_id limit 1000
        ) as next
    ) as summed
    where upto <= %(page_rows)s or upto = answered
)
select r.request_id::text, r.received_at, r.customer_ids, r.contact, g.held_out, g.holdout_key, g.holdout_share, r.model_digest,
    r.policy::text
from page join prediction_request as r on r.request_id = page.request_id and r.received_at = page.received_at
left join prediction_gate as g on g.request_id = r.request_id and g.stage = 'answer'
order by r.received_at, r.request_id"""
_EXCLUDED = """
select g.stage, e.reason, count(*) from prediction_gate as g cross join lateral unnest(g.reasons) as e (reason)
where g.campaign = %s and g.received_at >= %s and g.received_at < %s group by 1, 2"""


class PostgresContactStore:
    """`propensity.gate_ports.ContactStore` and `ArmStore`. Works with a role that may insert and select, never update or delete."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def contacted(self, campaign: str, customer_keys: Sequence[str], *, within_days: int, longest_days: int) -> Contacted:
        """What is known of these customers, by Postgres' day (UTC)."""
        own = np.full(len(customer_keys), _NEVER, dtype=np.int64)
        others = np.zeros(len(customer_keys), dtype=np.int64)
        asked = {"campaign": campaign, "keys": list(customer_keys), "within": within_days, "longest": longest_days}
        with self._database.statement() as cursor:
            for ordinal, days_ago, contacts in cursor.execute(_CONTACTED, asked).fetchall():
                own[ordinal - 1], others[ordinal - 1] = days_ago, contacts
        return Contacted(own, others)

    def export(self, request_id: str, campaign: str, record: GateRecord) -> None:
        """Keep what was found at the export of a logged request; doing it again on the same day adds nothing."""
        with self._database.transaction(_TIMEOUT_S) as cursor:
            if record.excluded:
                positions = PgArray(np.asarray(record.excluded, dtype=np.int64))
                cursor.execute(_LATE, (positions, list(record.reasons), request_id, request_id))
            if record.contacts:
                cursor.execute(_NOTE, (campaign, request_id, list(record.contacts), request_id))

    def arms(self, campaign: str, since: datetime, until: datetime) -> Iterator[ArmsOfRequest]:
        """Every request answered in [since, until), oldest first; about 20,000 predictions are in memory at a time."""
        at: dict[str, Any] = {"campaign": campaign, "since": since, "until": until, "after_id": None, "page_rows": _PAGE_ROWS}
        while True:
            with self._database.transaction(_TIMEOUT_S) as cursor:
                page = [_arms(row) for row in cursor.execute(_ARMS, at).fetchall()]
            yield from page
            if not page:
                return
            at |= {"since": page[-1].received_at, "after_id": page[-1].request_id}

    def excluded(self, campaign: str, since: datetime, until: datetime) -> dict[str, dict[str, int]]:
        """Customers that were excluded, by stage and code."""
        found: dict[str, dict[str, int]] = {"answer": {}, "export": {}}
        with self._database.transaction(_TIMEOUT_S) as cursor:
            for stage, reason, n in cursor.execute(_EXCLUDED, (campaign, since, until)).fetchall():
                found[stage][reason] = n
        return found


def _arms(row: tuple[Any, ...]) -> ArmsOfRequest:
    request_id, received_at, ids, contacts, held_out, key, share, digest, policy = row
    held = np.zeros(len(ids), dtype=np.bool_)
    if held_out:
        held[np.array(held_out) - 1] = True
    return ArmsOfRequest(request_id, received_at, ids, np.array(contacts, dtype=np.bool_), held, key, share, digest, policy)
