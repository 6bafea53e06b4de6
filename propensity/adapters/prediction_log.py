"""The prediction log in Postgres: one packed row per request, committed before the caller gets an answer."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard
from psycopg.types.json import Jsonb

from propensity.adapters.database import Database
from propensity.adapters.group_commit import GroupCommit
from propensity.adapters.packing import pack, unpack
from propensity.adapters.pg_arrays import PgArray
from propensity.errors import DatabaseUnavailable, IdempotencyInFlight, IdempotencyMismatch, LockedTooLong, NotFound, SuppressionsChanged
from propensity.gate_ports import GateRecord
from propensity.ports import LoggedRequest, StoredReply
from propensity.prediction_id import parse_request_id

_COLUMNS = """request_id::text, campaign, caller, model_digest, model_version, policy, declaration_digest, customer_ids, row_numbers,
    features, scores, contact, received, refused, source, received_at, feature_count"""
_INTO = """
insert into prediction_request (
    request_id, campaign, caller, model_digest, model_version, policy, declaration_digest, customer_ids, row_numbers,
    features, scores, contact, received, refused, source, feature_count, answered
)"""
# No id holds a control character, so that one may stand between them: Postgres takes the text apart several times as fast as
# the driver would put an array together.
_BETWEEN = "\x1f"
_VALUES = "%s::uuid, %s, %s, %s, %s, %s, %s, string_to_array(%s, chr(31)), %b::int[], %b, %b, %b, %s::int, %s::int, %s, %s::int, %s::int"
# The second condition is the last look at the suppressions: none is newer than those that the request was decided by. They become visible
# in the order of their ids (migration 0009).
_UNTIL = """select where extract(epoch from clock_timestamp()) < %b::float8
    and (select coalesce(max(id), 0) from suppression) <= %b::int8"""
_INSERT = f"with in_time as ({_UNTIL}) {_INTO} select {_VALUES} from in_time"
# The key and the request in one statement; where the key is taken, neither.
_CLAIMED = """claimed as (
    insert into idempotency_key (campaign, caller, key, body_sha256, request_id, reply)
    select %s, %s, %s, %s, %s::uuid, %b from in_time on conflict do nothing returning 1
)"""
_INSERT_KEYED = f"with in_time as ({_UNTIL}), {_CLAIMED} {_INTO} select {_VALUES} from claimed"
# The same with what the gate did; the last select has a row where the request was written.
_GATED = f"""logged as ({_INTO} select {_VALUES} from {{source}} returning request_id, received_at, campaign), gated as (
    insert into prediction_gate (
        request_id, received_at, campaign, stage, excluded, reasons, holdout_key, holdout_share, held_out
    ) select request_id, received_at, campaign, 'answer', %b::int[], string_to_array(%s, chr(31)), %s::text, %b::float8, %b::int[]
    from logged where %b::int8 = 1
), noted as (
    insert into contact (customer_key, campaign, request_id)
    select known.key, logged.campaign, logged.request_id from logged cross join unnest(string_to_array(%s, chr(31))) as known (key)
) select from logged"""
_INSERT_GATED = f"with in_time as ({_UNTIL}), {_GATED.format(source='in_time')}"
_INSERT_GATED_KEYED = f"with in_time as ({_UNTIL}), {_CLAIMED}, {_GATED.format(source='claimed')}"
_NEWEST_SUPPRESSION = "select coalesce(max(id), 0) from suppression"
# Newer than any: whoever does not say which suppressions he looked at is not asked.
_ANY_VERSION = 2**62
_STORED = "select body_sha256, reply, request_id::text from idempotency_key where campaign = %s and caller = %s and key = %s"
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
# Replies are stored while the caller waits: the fastest level.
_LEVEL = 1
_ZSTD = b"\x28\xb5\x2f\xfd"
MONTHS_AHEAD = 3
_NO_GATE = GateRecord()
_TOO_LATE = "Postgres came to it too late; nothing was stored; try again"
_READ_TIMEOUT_S = 30.0


class PostgresPredictionLog:
    """`propensity.ports.PredictionLog`. Works with a role that may insert and select, never update or delete."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._plain = GroupCommit(database, _INSERT, timeout_s=database.timeout_s)
        self._keyed = GroupCommit(database, _INSERT_KEYED, timeout_s=database.timeout_s)
        self._gated = GroupCommit(database, _INSERT_GATED, timeout_s=database.timeout_s)
        self._gated_keyed = GroupCommit(database, _INSERT_GATED_KEYED, timeout_s=database.timeout_s)

    def append(self, entry: LoggedRequest, *, idempotency_key: str | None, body_sha256: str, reply: bytes) -> StoredReply | None:
        """Commit a request, and its reply under its key; both or neither. None: written.

        Where the caller used the key before for the same body, nothing is written and the stored reply is returned. Of several at once
        with one key, one writes and the others wait for its commit. A caller that was told DatabaseUnavailable may append the
        same entry again, with a key: without one it might then stand there twice.

        Raises
        ------
        IdempotencyInFlight
            Another request with the key was not committed in time.
        IdempotencyMismatch
            The key was used for another body.
        SuppressionsChanged
            A suppression is stored that the request's gate did not look at; nothing was written.
        DatabaseUnavailable
            Not committed, or not known to be.
        DataError
            A text cannot be stored.
        """
        gate = entry.gate or _NO_GATE
        version = _ANY_VERSION if gate.version is None else gate.version
        values = _values(entry) if not gate.is_kept else (*_values(entry), *_gate_values(gate))
        size_bytes = 64 * len(entry.scores)
        if idempotency_key is None:
            if not (self._gated if gate.is_kept else self._plain).run((version, *values), size_bytes=size_bytes):
                self._refuse_older(version)
                raise DatabaseUnavailable(_TOO_LATE)
            return None
        key = (entry.campaign, entry.caller, idempotency_key)
        packed = zstandard.compress(reply, _LEVEL)
        group = self._gated_keyed if gate.is_kept else self._keyed
        try:
            claim = (version, *key, body_sha256, entry.request_id, packed)
            written = group.run((*claim, *values), size_bytes=size_bytes + len(packed), order=" ".join(key))
        except LockedTooLong as exc:
            raise IdempotencyInFlight("a request with this idempotency key is being worked on; try again in a few seconds") from exc
        if written:
            return None
        stored = self.stored_reply(*key)
        if stored is None:
            self._refuse_older(version)
        return _same_body(stored, body_sha256)

    def _refuse_older(self, version: int) -> None:
        """Raises SuppressionsChanged where there are suppressions newer than this one."""
        if version < _ANY_VERSION:
            with self._database.statement() as cursor:
                row = cursor.execute(_NEWEST_SUPPRESSION).fetchone()
            if row is None or row[0] > version:
                raise SuppressionsChanged("a customer was suppressed meanwhile; nothing was stored; try again")

    def stored_reply(self, campaign: str, caller: str, idempotency_key: str) -> StoredReply | None:
        """What the caller's key was answered with, None where it is new; who asks compares the body's digest."""
        with self._database.statement() as cursor:
            row = cursor.execute(_STORED, (campaign, caller, idempotency_key)).fetchone()
        return None if row is None else StoredReply(body_sha256=row[0], reply=_unpacked(row[1]), request_id=row[2])

    def make_partitions(self, months: int = MONTHS_AHEAD) -> int:
        """Make what is missing of this month's partition and those of the next; return how many were made. Any number may run at once."""
        with self._database.transaction(_READ_TIMEOUT_S) as cursor:
            row = cursor.execute("select make_prediction_partitions(now()::date, %s)", (months + 1,)).fetchone()
        return 0 if row is None else int(row[0])

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
        entry.caller,
        entry.model_digest,
        entry.model_version,
        Jsonb(entry.policy),
        entry.declaration_digest,
        _BETWEEN.join(entry.customer_ids),
        None if _counted(entry.rows) else PgArray(entry.rows),
        pack(entry.features),
        PgArray(entry.scores),
        PgArray(entry.contact),
        entry.received,
        entry.refused,
        entry.source,
        entry.features.shape[1],
        len(entry.scores),
    )


def _gate_values(gate: GateRecord) -> Sequence[object]:
    told = gate.excluded or gate.holdout_key is not None
    return (
        PgArray(np.asarray(gate.excluded, dtype=np.int64)),
        _BETWEEN.join(gate.reasons),
        gate.holdout_key,
        gate.holdout_share,
        PgArray(np.asarray(gate.held_out, dtype=np.int64)),
        int(bool(told)),
        _BETWEEN.join(gate.contacts),
    )


def _entry(row: tuple[Any, ...]) -> LoggedRequest:
    request_id, campaign, caller, digest, version, policy, declaration, ids, rows, *rest = row
    features, scores, contact, received, refused, source, received_at, width = rest
    return LoggedRequest(
        request_id=request_id,
        campaign=campaign,
        caller=caller,
        model_digest=digest,
        model_version=version,
        policy=policy,
        declaration_digest=declaration,
        customer_ids=tuple(ids),
        rows=np.arange(1, len(scores) + 1, dtype=np.int64) if rows is None else np.array(rows, dtype=np.int64),
        features=unpack(features, len(scores), width),
        scores=np.array(scores, dtype=np.float64),
        contact=np.array(contact, dtype=np.bool_),
        received=received,
        refused=refused,
        source=source,
        received_at=received_at,
    )


def _counted(rows: npt.NDArray[np.int64]) -> bool:
    """Whether the row numbers are 1, 2, 3 ..., as they are where no row was refused."""
    return bool(rows[-1] == len(rows)) if len(rows) else True


def _unpacked(reply: bytes) -> bytes:
    """A stored reply, empty where it was erased; those of the first version were packed with zlib."""
    if not reply:
        return b""
    return zstandard.decompress(reply) if reply[:4] == _ZSTD else zlib.decompress(reply)


def _same_body(stored: StoredReply | None, body_sha256: str) -> StoredReply:
    if stored is None:
        raise DatabaseUnavailable(_TOO_LATE)
    if stored.body_sha256 != body_sha256:
        raise IdempotencyMismatch("this idempotency key was used before with another body: send a new key with a new body")
    return stored
