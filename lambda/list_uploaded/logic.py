"""From events that may come twice, late and in any order to one scoring job per list.

S3 tells of an upload at least once; the queue gives a message at least once; a function may be killed between any two lines. So nothing is
remembered but in the store, where each object is created once, and by ECS, which starts one task per client token:

1. ``claim.json`` is created: the version of the upload that is the list. Whoever comes second goes by what the first one wrote.
2. The task is started under a token that is the list's own: ECS answers a second start with the task of the first.
3. ``task.json`` is created. Once it is there, no event starts anything again.

Killed before 3, the message comes again and 2 is repeated, which ECS knows for up to a day, and for an hour after a task has ended. A
message that comes still later finds ``finished.json``, or starts a task that finds it, or one that does what the first had decided
(``plan.json``) and logs it under the same request id: a list is scored once in any case. A table with conditional writes would
do the same as the objects and be one more thing to keep, to pay and to bring along to a laptop.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

from propensity.errors import Malformed, NotFound
from propensity.list_state import (
    CLAIM,
    FINISHED,
    MANIFEST,
    TASK,
    UPLOAD,
    Claim,
    ListId,
    ListStore,
    Manifest,
    Task,
    failed,
    first_of,
    parse_key,
    read_json,
)

CREATED = "ObjectCreated:"


@dataclass(frozen=True, slots=True)
class Uploaded:
    """One record of an S3 event: a list's upload appeared."""

    list_id: ListId
    version: str | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Dealt:
    """What became of a record: ``started``, ``already started``, ``finished`` or ``too large``. Safe to log."""

    list_id: ListId
    outcome: str
    other_version: bool = False


def token_of(list_id: ListId) -> str:
    """Under which ECS starts the list's task, once: at most 64 characters."""
    return f"list-{list_id.token}"


def records_in(body: str) -> list[Mapping[str, Any]]:
    """Records of an S3 notification, one message of the queue; none for the test that S3 sends when it is set up.

    Raises Malformed for what is none: it is tried again and ends among the dead letters, where somebody looks.
    """
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise Malformed("a message is not JSON") from exc
    if isinstance(told, dict) and told.get("Event") == "s3:TestEvent":
        return []
    records = told.get("Records") if isinstance(told, dict) else None
    if not isinstance(records, list) or not records or not all(isinstance(record, dict) for record in records):
        raise Malformed("a message is not a notification of S3")
    return records


def uploads_in(records: list[Mapping[str, Any]], bucket: str, prefix: str) -> Iterator[Uploaded]:
    """The uploads of lists that an S3 notification tells of. Raises Malformed for a record that is none of S3, or of another bucket.

    What else was created below ``lists/``, results for one, and what was removed is passed over.
    """
    head = f"{prefix}/" if prefix else ""
    for record in records:
        try:
            name, at, stored = record["eventName"], record["s3"]["bucket"]["name"], record["s3"]["object"]
            # A key is form-encoded in events: a blank is a plus.
            key, size, version = unquote_plus(stored["key"]), int(stored.get("size", 0)), stored.get("versionId")
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise Malformed("a record is not one of an S3 notification") from exc
        if at != bucket:
            raise Malformed("a record tells of another bucket than the platform's")
        if not str(name).startswith(CREATED) or not key.startswith(head):
            continue
        found = parse_key(key.removeprefix(head))
        if found is not None and found[1] == UPLOAD:
            yield Uploaded(found[0], version if version not in (None, "", "null") else None, size)


def start(
    uploaded: Uploaded,
    *,
    store: ListStore,
    run_task: Callable[[ListId], str],
    limit_bytes: int,
    now: datetime,
    run_spark: Callable[[ListId], str] | None = None,
    spark_from_bytes: int | None = None,
) -> Dealt:
    """See to it that the list is scored by one job, whatever was done about it before.

    Parameters
    ----------
    run_task, run_spark : callable
        Start the job of a list under `token_of` it, on one machine or on many, and return its ARN; again the same ARN however often
        they are called.
    spark_from_bytes : int or None
        Lists of this size and above go to many machines; None: none does.

    Raises
    ------
    NotFound
        There is no such list: nobody asked for it, or it is long gone.
    StoreError
        S3 or ECS did not answer; doing it again goes on from here.
    """
    list_id = uploaded.list_id
    if read_json(store, list_id.key(MANIFEST), Manifest) is None:
        raise NotFound("an upload belongs to no list that was created")
    if store.exists(list_id.key(FINISHED)):
        return Dealt(list_id, "finished")
    mine = Claim(version=uploaded.version, size_bytes=uploaded.size_bytes, noticed_at=now)
    claim = first_of(store, list_id.key(CLAIM), mine)
    other = claim.version != uploaded.version
    if claim.size_bytes > limit_bytes:
        end = failed("too_large", f"the upload has {claim.size_bytes:,} bytes; a list may have up to {limit_bytes:,}", now)
        first_of(store, list_id.key(FINISHED), end)
        return Dealt(list_id, "too large", other)
    if store.exists(list_id.key(TASK)):
        return Dealt(list_id, "already started", other)
    # By the size of what is the list, so that whoever comes later decides the same.
    large = run_spark is not None and spark_from_bytes is not None and claim.size_bytes >= spark_from_bytes
    arn = run_spark(list_id) if large and run_spark is not None else run_task(list_id)
    first_of(store, list_id.key(TASK), Task(task=arn, started_at=now))
    return Dealt(list_id, "started", other)
