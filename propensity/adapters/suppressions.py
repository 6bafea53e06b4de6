"""Suppressions in Postgres: append-only, visible in the order of their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, Literal

from propensity.adapters.database import Database
from propensity.customer_key import customer_key, customer_keys
from propensity.gate_ports import Suppression

_TIMEOUT_S = 30.0
_PAGE_ROWS = 20_000
_VERSION = "select coalesce(max(id), 0)::bigint from suppression"
_SALT = "select salt from customer_salt"
# Of the rows after a version the newest of each customer and campaign is the newest of all.
_SINCE = """
select distinct on (customer_key, campaign) id, customer_key, campaign, action, reason from suppression
where id > %s order by customer_key, campaign, id desc"""
# Whoever was erased while on the list is known by his hash, and stays so.
_HASHED = "'sha256:' || encode(sha256(salt || convert_to(asked.key, 'UTF8')), 'hex')"
_ADD = f"""
with asked as (select * from unnest(%b::text[], %b::text[]) as a (key, customer_id)), known as (
    select asked.*, {_HASHED} as hashed, exists (select from suppression where customer_key = {_HASHED}) as erased
    from asked cross join customer_salt
)
insert into suppression (customer_key, customer_id, campaign, action, reason, note, actor)
select case when erased then hashed else key end, case when erased and %b::text = 'lift' then null else customer_id end, %b::text, %b::text,
    %b::text, %b::text, %b::text
from known returning id"""
_COLUMNS = "id, customer_key, customer_id, campaign, action, reason, note, actor, created_at"
_LISTED = f"""
select {_COLUMNS} from (
    select distinct on (customer_key, campaign) {_COLUMNS} from suppression as s
    where (%(key)s::text is null or customer_key in (%(key)s::text, %(hashed)s::text))
    order by customer_key, campaign, id desc
) as newest
where action = 'add' and (%(before)s::bigint is null or id < %(before)s::bigint)
    and (%(campaign)s::text is null or campaign is null or campaign = %(campaign)s::text)
order by id desc limit %(limit)s"""
_HISTORY = f"select {_COLUMNS} from suppression where customer_key in (%s, %s) order by id desc"
_HASH_OF = "select 'sha256:' || encode(sha256(salt || convert_to(%s, 'UTF8')), 'hex') from customer_salt"
_cursors = count()


class PostgresSuppressionStore:
    """`propensity.gate_ports.SuppressionStore`. Works with a role that may insert and select, never update or delete."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def version(self) -> int:
        """The id of the newest entry; 0 where there is none."""
        with self._database.statement() as cursor:
            row = cursor.execute(_VERSION).fetchone()
        return 0 if row is None else int(row[0])

    def since(self, version: int) -> Iterator[Sequence[tuple[int, str, str | None, str, str]]]:
        """What holds by now of whatever changed after ``version``, as of one moment, in pages."""
        with self._database.transaction(_TIMEOUT_S) as cursor, cursor.connection.cursor(f"suppressions_{next(_cursors)}") as pages:
            pages.execute(_SINCE, (version,))
            while page := pages.fetchmany(_PAGE_ROWS):
                yield page

    def salt(self) -> bytes:
        """What the hashes of erased customers are made with."""
        with self._database.statement() as cursor:
            row = cursor.execute(_SALT).fetchone()
        assert row is not None, "the migration made one"
        return bytes(row[0])

    def add(
        self,
        customer_ids: Sequence[str],
        *,
        campaign: str | None,
        action: Literal["add", "lift"],
        reason: str,
        note: str | None,
        actor: str,
    ) -> int:
        """Append one row per customer, all or none; the id of the newest."""
        values = (customer_keys(customer_ids), list(customer_ids), action, campaign, action, reason, note, actor)
        with self._database.transaction(_TIMEOUT_S) as cursor:
            return max(int(row[0]) for row in cursor.execute(_ADD, values).fetchall())

    def listed(self, *, customer_id: str | None, campaign: str | None, limit: int, before: int | None) -> list[Suppression]:
        """Rows that hold now, the newest first."""
        key = None if customer_id is None else customer_key(customer_id)
        with self._database.transaction(_TIMEOUT_S) as cursor:
            hashed = _hash(cursor, key)
            asked = {"key": key, "hashed": hashed, "campaign": campaign, "limit": limit, "before": before}
            return [Suppression(*row) for row in cursor.execute(_LISTED, asked).fetchall()]

    def history(self, customer_id: str) -> list[Suppression]:
        """Every row of one customer, the newest first."""
        key = customer_key(customer_id)
        with self._database.transaction(_TIMEOUT_S) as cursor:
            return [Suppression(*row) for row in cursor.execute(_HISTORY, (key, _hash(cursor, key))).fetchall()]


def _hash(cursor: Any, key: str | None) -> str | None:
    if key is None:
        return None
    found = cursor.execute(_HASH_OF, (key,)).fetchone()
    return None if found is None else str(found[0])
