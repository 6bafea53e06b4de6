"""API keys in Postgres: append-only. The service reads them with its own role; making and revoking takes the owner's address, or the key
of an operator, which Postgres itself verifies.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg.errors import InsufficientPrivilege

from propensity.access import ApiKey, KnownKeys, NewKey, Role
from propensity.adapters.database import Cursor, Database
from propensity.errors import DataError, Forbidden, NotFound
from propensity.ports import ApiKeyStore

# A lateral join, not an aggregate: the reason belongs to the revocation that counts.
_SELECT = """
select k.key_id, k.name, k.role, k.secret_sha256, k.created_at, k.created_by, k.rate_per_s, k.expires_at, r.revoked_at, r.reason
from api_key as k left join lateral (
    select revoked_at, reason from api_key_revocation where key_id = k.key_id order by revoked_at, id limit 1
) as r on true"""
_ALL = f"select clock_timestamp(), known.* from (values (1)) as one left join ({_SELECT}) as known on true order by created_at, key_id"
_ONE = f"select clock_timestamp(), known.* from ({_SELECT}) as known where key_id = %s"
_LOCK = "select 1 from api_key where key_id = %s for update"
_INSERT = """
insert into api_key (key_id, name, role, secret_sha256, rate_per_s, expires_at, created_by)
values (%s, %s, %s, %s, %s, now() + %s::float8 * interval '1 second', %s)"""
_REVOKE = """
insert into api_key_revocation (key_id, revoked_at, reason, revoked_by) values (%s, now() + %s::float8 * interval '1 second', %s, %s)"""


_MAKE_BY = "select make_api_key(%s::text, %s::text, %s::text, %s::text, %s::bytea, %s::float8, %s::float8)"
_REVOKE_BY = "select revoke_api_key(%s::text, %s::text, %s::text)"


class PostgresApiKeyStore:
    """`propensity.ports.ApiKeyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self) -> KnownKeys:
        """Every key, those that ended included, as of Postgres' own clock."""
        with self._database.statement() as cursor:
            rows = cursor.execute(_ALL).fetchall()
        return KnownKeys(rows[0][0], tuple(_key(row) for row in rows if row[1] is not None))

    def add(self, new: NewKey) -> ApiKey:
        """Store a key and return it with the times Postgres gave it."""
        with self._database.transaction() as cursor:
            _insert(cursor, new)
            return _one(cursor, new.key_id)[1]

    def rotate(self, key_id: str, new: NewKey, *, overlap_s: float) -> ApiKey:
        """Store the successor of a key, which itself is revoked ``overlap_s`` seconds from now; both or neither.

        Of two at once one succeeds. Raises NotFound, and DataError where the key has ended or its end is settled already.
        """
        with self._database.transaction() as cursor:
            cursor.execute(_LOCK, (key_id,))
            as_of, old = _one(cursor, key_id)
            if old.revoked_at is not None or not old.accepted(as_of):
                raise DataError(
                    f"key {key_id} ends or has ended at {old.ends_at:%Y-%m-%d %H:%M:%S} UTC: rotate its successor, or make a key"
                )
            _insert(cursor, new)
            cursor.execute(_REVOKE, (key_id, overlap_s, f"replaced by {new.key_id}", new.created_by))
            return _one(cursor, new.key_id)[1]

    def revoke(self, key_id: str, *, reason: str, by: str) -> ApiKey:
        """Revoke a key now and return it as it then is. Raises NotFound."""
        with self._database.transaction() as cursor:
            _one(cursor, key_id)
            cursor.execute(_REVOKE, (key_id, 0.0, reason, by))
            return _one(cursor, key_id)[1]

    def add_by(self, operator_key: str, new: NewKey) -> ApiKey:
        """Store a key in the name of the operator whose key that is. Raises Forbidden where it is none."""
        values = (operator_key, new.key_id, new.name, str(new.role), new.secret_sha256, new.rate_per_s, new.lifetime_s)
        with _as_operator(), self._database.transaction() as cursor:
            cursor.execute(_MAKE_BY, values)
            return _one(cursor, new.key_id)[1]

    def revoke_by(self, operator_key: str, key_id: str, *, reason: str) -> ApiKey:
        """Revoke a key now in the name of the operator whose key that is. Raises NotFound, Forbidden."""
        with _as_operator(), self._database.transaction() as cursor:
            _one(cursor, key_id)
            cursor.execute(_REVOKE_BY, (operator_key, key_id, reason))
            return _one(cursor, key_id)[1]


@contextmanager
def _as_operator() -> Iterator[None]:
    try:
        yield
    except InsufficientPrivilege:
        # Without the cause: a traceback in a log must not lead to the key.
        raise Forbidden("that is not the key of an operator, or it has ended") from None


def open_key_store(owner_url: str) -> tuple[ApiKeyStore, Database]:
    """The store for whoever makes and revokes keys, and the database to close afterwards."""
    database = Database(owner_url, pool_size=1, timeout_s=10.0)
    return PostgresApiKeyStore(database), database


def _insert(cursor: Cursor, new: NewKey) -> None:
    values = (new.key_id, new.name, str(new.role), new.secret_sha256, new.rate_per_s, new.lifetime_s, new.created_by)
    cursor.execute(_INSERT, values)


def _one(cursor: Cursor, key_id: str) -> tuple[Any, ApiKey]:
    row = cursor.execute(_ONE, (key_id,)).fetchone()
    if row is None:
        raise NotFound(f"there is no key with the id {key_id!r}; propensity keys list shows those there are")
    return row[0], _key(row)


def _key(row: tuple[Any, ...]) -> ApiKey:
    _, key_id, name, role, digest, *rest = row
    return ApiKey(key_id, name, Role(role), bytes(digest), *rest)
