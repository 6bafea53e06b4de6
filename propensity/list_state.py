"""The state of an uploaded list: which objects of it exist below ``lists/<campaign>/<token>/``, and what that says.

Nothing else keeps the state: no table, no lock, no clock of its own. Each object is written whole and by one writer::

    list.json        who asked for the list, when, and in which format it comes     create
    draft            a file that was dropped on a page, until its columns are agreed   the page
    upload           the customers, as they were sent                               the caller, by a presigned address
    claim.json       which version of the upload is the list                        the first to notice it
    task.json        which job scores it                                            whoever started that
    plan.json        which bytes, model and declaration decide                      the job, before it scores
    progress.json    customers done, of how many: comfort, and replaced as it goes on    the job
    errors.csv       refused rows                                                   the job
    excluded.csv     who may not be contacted, and why                              the job
    call-sheet.csv   the answer                                                     the job
    finished.json    done with what counts, or failed and why: written last         the job

All but draft, upload, progress and the three CSV files are written by ``create`` of the store: the first of any number of writers
wins, and every other one goes by what the first wrote. Objects are only ever added, so the state only moves on. No key and no JSON object
holds anything that came from a customer list but counts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from propensity.errors import NotFound

ROOT = "lists"
MANIFEST, UPLOAD, CLAIM, TASK, PLAN = "list.json", "upload", "claim.json", "task.json", "plan.json"
RESULT, ERRORS, EXCLUDED, FINISHED = "call-sheet.csv", "errors.csv", "excluded.csv", "finished.json"
DRAFT, PROGRESS = "draft", "progress.json"
NAMES = (MANIFEST, DRAFT, PROGRESS, UPLOAD, CLAIM, TASK, PLAN, ERRORS, EXCLUDED, RESULT, FINISHED)
# Ending of the file's name, which says how it is read, by the format's name in a request.
FORMATS: Mapping[str, str] = MappingProxyType({"csv": ".csv", "parquet": ".parquet"})
UNKNOWN = "no list has this id; ids look like <campaign>.<32 hex digits>, as the reply to POST .../lists shows them"
_ID = re.compile(r"([a-z][a-z0-9-]{0,99})\.([0-9a-f]{32})", re.ASCII)
_KEY = re.compile(rf"{ROOT}/([a-z][a-z0-9-]{{0,99}})/([0-9a-f]{{32}})/([a-z.-]+)", re.ASCII)
Written = TypeVar("Written", bound="_Json")


class ListStore(Protocol):
    """What a list needs of the object store (`propensity.ports.ObjectStore` has it, too)."""

    def create(self, key: str, data: bytes) -> bool: ...
    def get(self, key: str) -> bytes: ...
    def exists(self, key: str) -> bool: ...


class ListState(StrEnum):
    """How far a list is."""

    AWAITING_UPLOAD = "awaiting_upload"
    EXPIRED = "expired"
    UPLOADED = "uploaded"
    SCORING = "scoring"
    DONE = "done"
    FAILED = "failed"


ENDED = frozenset({ListState.DONE, ListState.FAILED})
# What each state may turn into. An upload that began in time may end after the address expired.
NEXT: Mapping[ListState, frozenset[ListState]] = MappingProxyType(
    {
        ListState.AWAITING_UPLOAD: frozenset({ListState.EXPIRED, ListState.UPLOADED, ListState.SCORING, *ENDED}),
        ListState.EXPIRED: frozenset({ListState.UPLOADED, ListState.SCORING, *ENDED}),
        ListState.UPLOADED: frozenset({ListState.SCORING, *ENDED}),
        ListState.SCORING: ENDED,
        ListState.DONE: frozenset(),
        ListState.FAILED: frozenset(),
    }
)


@dataclass(frozen=True, slots=True, order=True)
class ListId:
    """Names a list: its campaign and 128 bits. Written ``term-deposit.0123456789abcdef0123456789abcdef``."""

    campaign: str
    token: str

    def __str__(self) -> str:
        return f"{self.campaign}.{self.token}"

    def key(self, name: str) -> str:
        """Where one of the list's objects lies."""
        return f"{ROOT}/{self.campaign}/{self.token}/{name}"


def parse_list_id(text: str) -> ListId:
    """The id. Raises NotFound where it cannot be one."""
    found = _ID.fullmatch(text)
    if found is None:
        raise NotFound(UNKNOWN)
    return ListId(found[1], found[2])


def parse_key(key: str) -> tuple[ListId, str] | None:
    """List and name of the object that lies there; None where the key is not that of a list's object."""
    found = _KEY.fullmatch(key)
    return None if found is None or found[3] not in NAMES else (ListId(found[1], found[2]), found[3])


def new_list_id(campaign: str, owner: str, idempotency_key: str) -> ListId:
    """The id of the list that this caller creates under this key: whoever tries again gets the same list.

    It cannot be told from a random one without knowing the key; what protects a list is its owner, not its name.
    """
    said = "\0".join(("list", campaign, owner, idempotency_key))
    return ListId(campaign, hashlib.sha256(said.encode()).hexdigest()[:32])


class _Json:
    """Written as JSON: times in UTC with their offset, unknown members ignored, so that an older reader reads what a newer one wrote."""

    __slots__ = ()

    def to_bytes(self) -> bytes:
        """The object as it is stored."""
        plain = asdict(self)  # type: ignore[call-overload]
        return json.dumps(plain, default=_text, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls: type[Written], data: bytes) -> Written:
        """What `to_bytes` wrote."""
        members = json.loads(data)
        known = {f.name: members[f.name] for f in fields(cls) if f.name in members}  # type: ignore[arg-type]
        return cls(**{name: datetime.fromisoformat(v) if name in _TIMES and v is not None else v for name, v in known.items()})


_TIMES = frozenset({"created_at", "upload_until", "noticed_at", "started_at", "planned_at", "finished_at"})


def _text(value: object) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(_Json):
    """That a list was asked for.

    Attributes
    ----------
    owner : str
        Name of the caller's key, as the scoring service told it; it outlives a rotated key.
    format : str
        One of `FORMATS`.
    upload_until : datetime
        When the addresses for the upload expire.
    limit_bytes : int
        The largest upload that is taken.
    request_sha256 : str
        Of the request that created it: the same Idempotency-Key with another request is refused.
    size_bytes : int or None
        As announced; None where the caller did not say.
    upload_id : str or None
        Of the S3 multipart upload where the list comes in parts.
    """

    list_id: str
    owner: str
    format: str
    created_at: datetime
    upload_until: datetime
    limit_bytes: int
    request_sha256: str
    size_bytes: int | None = None
    upload_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(_Json):
    """Which bytes are the list: the version of the upload that was noticed first. Another upload to the same address changes nothing."""

    version: str | None
    size_bytes: int
    noticed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(_Json):
    """Which job scores the list: the ARN of an ECS task, or what else runs it."""

    task: str
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(_Json):
    """What the job decided before it scored. A job that is started again, in whatever future, does the very same or refuses."""

    model_digest: str
    declaration_digest: str
    upload_sha256: str
    planned_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(_Json):
    """How it ended.

    Attributes
    ----------
    state : str
        ``done`` or ``failed``.
    counts : dict
        received, scored, refused_rows, contact; empty where it failed.
    code, detail : str or None
        Why it failed: a code of the platform, and a sentence without a customer's value.
    """

    state: str
    finished_at: datetime
    counts: dict[str, int] = field(default_factory=dict)
    code: str | None = None
    detail: str | None = None
    model_digest: str | None = None
    request_id: str | None = None


def failed(code: str, detail: str, now: datetime) -> Finished:
    """The end of a list that cannot be scored."""
    return Finished(state=ListState.FAILED.value, finished_at=now, code=code, detail=detail)


def state_of(names: Collection[str], *, expired: bool, finished: Finished | None) -> ListState:
    """The state that a list's objects tell.

    Parameters
    ----------
    names : collection of str
        Which of `NAMES` exist.
    expired : bool
        Whether the addresses for the upload are no longer good.
    finished : Finished or None
        What ``finished.json`` holds; None where there is none.
    """
    if finished is not None:
        return ListState(finished.state)
    if not {CLAIM, TASK, PLAN}.isdisjoint(names):
        return ListState.SCORING
    if UPLOAD in names:
        return ListState.UPLOADED
    return ListState.EXPIRED if expired else ListState.AWAITING_UPLOAD


@dataclass(frozen=True, slots=True)
class ListRecord:
    """A list as its objects tell it."""

    list_id: ListId
    manifest: Manifest
    state: ListState
    finished: Finished | None


def read_list(store: ListStore, list_id: ListId, now: datetime) -> ListRecord:
    """Read the state of a list. Raises NotFound where it was never created, or is long gone; StoreError.

    The end is looked at first: of what is written later than it is read, only the state before it is told, never one that never was.
    """
    finished = read_json(store, list_id.key(FINISHED), Finished)
    manifest = read_json(store, list_id.key(MANIFEST), Manifest)
    if manifest is None:
        raise NotFound(UNKNOWN)
    names = () if finished else [name for name in (CLAIM, UPLOAD) if store.exists(list_id.key(name))]
    state = state_of(names, expired=now >= manifest.upload_until, finished=finished)
    return ListRecord(list_id, manifest, state, finished)


def read_json(store: ListStore, key: str, kind: type[Written]) -> Written | None:
    """One of the list's JSON objects; None where it is not there."""
    try:
        return kind.from_bytes(store.get(key))
    except NotFound:
        return None


def first_of(store: ListStore, key: str, mine: Written) -> Written:
    """Write one of the list's JSON objects, or read the one that somebody wrote before: either way what now holds."""
    if store.create(key, mine.to_bytes()):
        return mine
    return type(mine).from_bytes(store.get(key))


def status(record: ListRecord) -> dict[str, Any]:
    """What a caller is told of a list."""
    manifest, finished = record.manifest, record.finished
    told: dict[str, Any] = {
        "list_id": str(record.list_id),
        "campaign": record.list_id.campaign,
        "state": record.state.value,
        "format": manifest.format,
        "created_at": manifest.created_at.isoformat(),
        "upload_until": manifest.upload_until.isoformat(),
        "links": links(record.list_id),
    }
    if finished is not None:
        told["finished_at"] = finished.finished_at.isoformat()
        if finished.state == ListState.DONE:
            told |= {"counts": finished.counts, "model_digest": finished.model_digest, "request_id": finished.request_id}
        else:
            told["failure"] = {"code": finished.code, "detail": finished.detail}
    return told


def links(list_id: ListId) -> dict[str, str]:
    """Where to ask for the list's status, result and errors."""
    path = f"/v1/lists/{list_id}"
    return {"self": path, "result": f"{path}/result", "errors": f"{path}/errors"}
