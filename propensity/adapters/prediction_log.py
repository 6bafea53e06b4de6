"""The prediction log in Postgres: one packed row per request, committed before the caller gets an answer."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from psycopg import errors as pg
from psycopg.types.json import Jsonb

from propensity.adapters.database import Cursor, Database
from propensity.adapters.packing import pack, unpack
from propensity.adapters.pg_arrays import PgArray
from propensity.errors import IdempotencyInFlight, IdempotencyMismatch, NotFound
from propensity.ports import LoggedRequest, StoredReply
from propensity.prediction_id import parse_request_id

_COLUMNS = """request_id::text, campaign, model_digest, model_version, policy, declaration_digest, customer_ids, row_numbers,
    features, scores, contact, received, refused, source, received_at, feature_count"""
_INSERT_KEY = """
insert into idempotency_key (campaign, key, body_sha256, request_id, reply)
values (%s, %s, %s, %s, %b) on conflict do nothing"""
_INSERT = """
insert into prediction_request (
    request_id, campaign, model_digest, model_version, policy, declaration_digest, customer_ids, row_numbers,
    features, scores, contact, received, refused, source, feature_count, answered
) values (%s, %s, %s, %s, %s, %s, %b::text[], %b, %b, %b, %b, %s, %s, %s, %s, %s)
on conflict (request_id) do nothing"""
_STORED = "select body_sha256, reply from idempotency_key where campaign = %s and key = %s"
_REQUEST = f"select {_COLUMNS} from prediction_request where request_id = %s"
# A page holds as many whole requests as fit into `page_rows` predictions, one at least; large columns are read for these alone.
_PAGE = f"""
select {_COLUMNS} from (
    select *, sum(answered) over (order by received_at, request_id) as upto from (
        select * from prediction_request
        where campaign = %(campaign)s and received_at >= %(since)s and received_at < %(until)s
            and (%(after_id)s::uuid is null or (received_at, request_id) > (%(since)s, %(after_id)s::uuid))
        order by received_at, request_id limit 1000
    ) as next
) as page
where upto <= %(page_rows)s or upto = answered
order by received_at, request_id"""
_PAGE_ROWS = 20_000
_READ_TIMEOUT_S = 30.0


class PostgresPredictionLog:
    """`propensity.ports.PredictionLog`. Works with a role that may insert and select, never update or delete."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, entry: LoggedRequest, *, idempotency_key: str | None, body_sha256: str, reply: bytes) -> StoredReply | None:
        """Commit a request, and its reply under its key; both or neither. None: written.

        Where the key was used before for the same body, nothing is written and the stored reply is returned. Of several at once
        with one key, one writes and the others wait for its commit. A request id that is in the log already stands as it is: a caller
        that was told DatabaseUnavailable may append the same entry again.

        Raises
        ------
        IdempotencyInFlight
            Another request with the key was not committed in time.
        IdempotencyMismatch
            The key was used for another body.
        DatabaseUnavailable
            Not committed, or not known to be.
        DataError
            A text cannot be stored.
        """
        values = _values(entry)
        packed_reply = b"" if idempotency_key is None else zlib.compress(reply, 1)
        with self._database.transaction() as cursor:
            if idempotency_key is not None:
                key = (entry.campaign, idempotency_key)
                if not _claim(cursor, key, (body_sha256, entry.request_id, packed_reply)):
                    return _same_body(_stored(cursor, key), body_sha256)
            cursor.execute(_INSERT, values)
        return None

    def stored_reply(self, campaign: str, idempotency_key: str) -> StoredReply | None:
        """What the key was answered with, None where it is new; the caller compares the body's digest."""
        with self._database.statement() as cursor:
            return _stored(cursor, (campaign, idempotency_key))

    def request(self, request_id: str) -> LoggedRequest:
        """One request by id, with the bits that were logged. Raises NotFound."""
        request_id = parse_request_id(request_id)
        with self._database.statement() as cursor:
            row = cursor.execute(_REQUEST, (request_id,)).fetchone()
        if row is None:
            raise NotFound("no request with this id was logged")
        return _entry(row)

    def window(self, campaign: str, since: datetime, until: datetime) -> Iterator[LoggedRequest]:
        """Requests received in [since, until), oldest first; about 20,000 predictions are in memory at a time.

        Each page is a short transaction of its own, so that a slow reader holds no connection. Requests still being committed at
        ``until`` can be missing: let a window end some seconds in the past.
        """
        at: dict[str, Any] = {"campaign": campaign, "since": since, "until": until, "after_id": None, "page_rows": _PAGE_ROWS}
        while True:
            with self._database.transaction(_READ_TIMEOUT_S) as cursor:
                page = [_entry(row) for row in cursor.execute(_PAGE, at).fetchall()]
            yield from page
            if not page:
                return
            at |= {"since": page[-1].received_at, "after_id": page[-1].request_id}

    def count(self, campaign: str) -> int:
        """Predictions ever logged for a campaign."""
        with self._database.transaction(_READ_TIMEOUT_S) as cursor:
            cursor.execute("select coalesce(sum(answered), 0)::bigint from prediction_request where campaign = %s", (campaign,))
            row = cursor.fetchone()
        return 0 if row is None else int(row[0])


def _values(entry: LoggedRequest) -> Sequence[object]:
    return (
        entry.request_id,
        entry.campaign,
        entry.model_digest,
        entry.model_version,
        Jsonb(entry.policy),
        entry.declaration_digest,
        list(entry.customer_ids),
        PgArray(entry.rows),
        pack(entry.features),
        PgArray(entry.scores),
        PgArray(entry.contact),
        entry.received,
        entry.refused,
        entry.source,
        entry.features.shape[1],
        len(entry.scores),
    )


def _entry(row: tuple[Any, ...]) -> LoggedRequest:
    request_id, campaign, digest, version, policy, declaration, ids, rows, *rest = row
    features, scores, contact, received, refused, source, received_at, width = rest
    return LoggedRequest(
        request_id=request_id,
        campaign=campaign,
        model_digest=digest,
        model_version=version,
        policy=policy,
        declaration_digest=declaration,
        customer_ids=tuple(ids),
        rows=np.array(rows, dtype=np.int64),
        features=unpack(features, len(scores), width),
        scores=np.array(scores, dtype=np.float64),
        contact=np.array(contact, dtype=np.bool_),
        received=received,
        refused=refused,
        source=source,
        received_at=received_at,
    )


def _claim(cursor: Cursor, key: tuple[str, str], value: tuple[str, str, bytes]) -> bool:
    """Whether the key is ours now. Waits for the end of another transaction that has just inserted it."""
    try:
        return cursor.execute(_INSERT_KEY, (*key, *value)).rowcount == 1
    except pg.LockNotAvailable as exc:
        raise IdempotencyInFlight("a request with this idempotency key is being worked on; try again in a few seconds") from exc


def _stored(cursor: Cursor, key: tuple[str, str]) -> StoredReply | None:
    row = cursor.execute(_STORED, key).fetchone()
    return None if row is None else StoredReply(body_sha256=row[0], reply=zlib.decompress(row[1]))


def _same_body(stored: StoredReply | None, body_sha256: str) -> StoredReply:
    if stored is None:
        raise IdempotencyInFlight("the record of this idempotency key is being removed; try again in a few seconds")
    if stored.body_sha256 != body_sha256:
        raise IdempotencyMismatch("this idempotency key was used before with another body: send a new key with a new body")
    return stored
