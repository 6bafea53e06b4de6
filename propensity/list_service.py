"""What is done about lists of any size when somebody asks by HTTP: create one, see one, get an address for a download.

Its only effects are those of the store and the signer that it is given; the clock is an argument. What signs is S3's presigning behind
a REST API; on one machine it may be whatever gives addresses of the service itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from propensity.access import Caller, Role
from propensity.errors import IdempotencyMismatch, Malformed, NotFound, TooLarge
from propensity.list_state import (
    ERRORS,
    FORMATS,
    MANIFEST,
    RESULT,
    UNKNOWN,
    UPLOAD,
    ListId,
    ListRecord,
    ListState,
    ListStore,
    Manifest,
    first_of,
    new_list_id,
    parse_list_id,
    read_json,
    read_list,
    status,
)

Json = dict[str, Any]
MIB = 1024 * 1024
LONGEST_KEY = 200
# What S3 takes by one form; above that a list must come in parts.
LARGEST_FORM_BYTES = 5 * 1024 * MIB
MOST_PARTS = 1_000
SMALLEST_PART_BYTES = 16 * MIB
# By the last part of the address: the object, and the name that a browser saves it under.
DOWNLOADS: Mapping[str, tuple[str, str]] = {"result": (RESULT, "call-sheet.csv"), "errors": (ERRORS, "errors.csv")}


class Signer(Protocol):
    """What signs addresses (`propensity.adapters.presigned.Presigner`)."""

    def form(self, key: str, *, smallest: int, largest: int, expires_s: int) -> dict[str, Any]: ...
    def begin_parts(self, key: str) -> str: ...
    def part(self, key: str, upload_id: str, number: int, size_bytes: int, *, expires_s: int) -> str: ...
    def complete(self, key: str, upload_id: str, *, expires_s: int) -> str: ...
    def download(self, key: str, *, name: str, media_type: str, expires_s: int) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large an upload may be, and how long addresses are good.

    ``largest_form_bytes`` and ``smallest_part_bytes`` are those of whatever takes the upload.
    """

    upload_limit_bytes: int
    upload_expiry_s: int
    download_expiry_s: int
    largest_form_bytes: int = LARGEST_FORM_BYTES
    smallest_part_bytes: int = SMALLEST_PART_BYTES


@dataclass(frozen=True, slots=True)
class NewList:
    """A list to be created."""

    format: str
    size_bytes: int | None
    parts: bool


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists of one installation, as one caller may see and create them."""

    store: ListStore
    signer: Signer
    limits: Limits
    caller: Caller

    def create(self, campaign: str, wanted: NewList, idempotency_key: str, now: datetime) -> tuple[Json, bool]:
        """The list's status with the addresses for its upload, and whether it was there before.

        Trying again gives fresh addresses of the same list, good as long as the first: an upload in parts can be gone on with.

        Raises
        ------
        NotFound
            No such campaign.
        TooLarge
            The announced size is over the limit.
        IdempotencyMismatch
            The key was used before with another request.
        """
        from propensity.campaigns import campaign as campaign_named  # every declaration: asking for a status does not pay for it

        campaign_named(campaign)
        self._check_size(wanted)
        list_id = new_list_id(campaign, self.caller.name, idempotency_key)
        said = json.dumps([campaign, wanted.format, wanted.size_bytes, wanted.parts]).encode()
        digest = hashlib.sha256(said).hexdigest()
        manifest = read_json(self.store, list_id.key(MANIFEST), Manifest)
        known = manifest is not None
        if manifest is None:
            manifest = first_of(self.store, list_id.key(MANIFEST), self._manifest(list_id, wanted, digest, now))
        if manifest.request_sha256 != digest:
            raise IdempotencyMismatch("this Idempotency-Key was used before with another request; use a fresh key for each new request")
        record = read_list(self.store, list_id, now)
        told = status(record)
        if record.state == ListState.AWAITING_UPLOAD:
            told["upload"] = self._upload(list_id, manifest, now)
        return told, known

    def visible(self, text: str, now: datetime) -> ListRecord:
        """The list of that id. Raises NotFound where there is none that this caller may see: the reply must not tell which."""
        list_id = parse_list_id(text)
        record = read_list(self.store, list_id, now)
        if self.caller.role == Role.MARKETING and record.manifest.owner != self.caller.name:
            raise NotFound(UNKNOWN)
        return record

    def download(self, record: ListRecord, what: str, saved_as: str = "") -> str:
        """Address of the result or of the refused rows of a list that is done; ``saved_as``: another name than the usual one."""
        name, usual = DOWNLOADS[what]
        return self.signer.download(
            record.list_id.key(name), name=saved_as or usual, media_type="text/csv; charset=utf-8", expires_s=self.limits.download_expiry_s
        )

    def _check_size(self, wanted: NewList) -> None:
        limit = self._limit(wanted)
        if wanted.size_bytes is not None and wanted.size_bytes > limit:
            way_out = "" if wanted.parts or limit == self.limits.upload_limit_bytes else '; send it in parts: "parts": true'
            raise TooLarge(f"a list may be up to {limit:,} bytes{way_out}, or split it into several lists")

    def _limit(self, wanted: NewList) -> int:
        limits = self.limits
        return limits.upload_limit_bytes if wanted.parts else min(limits.upload_limit_bytes, limits.largest_form_bytes)

    def _manifest(self, list_id: ListId, wanted: NewList, digest: str, now: datetime) -> Manifest:
        return Manifest(
            list_id=str(list_id),
            owner=self.caller.name,
            format=wanted.format,
            created_at=now,
            upload_until=now + timedelta(seconds=self.limits.upload_expiry_s),
            limit_bytes=self._limit(wanted),
            request_sha256=digest,
            size_bytes=wanted.size_bytes,
            upload_id=self.signer.begin_parts(list_id.key(UPLOAD)) if wanted.parts else None,
        )

    def _upload(self, list_id: ListId, manifest: Manifest, now: datetime) -> Json:
        left_s = max(1, int((manifest.upload_until - now).total_seconds()))
        told: Json = {"expires_at": manifest.upload_until.isoformat(), "limit_bytes": manifest.limit_bytes}
        key = list_id.key(UPLOAD)
        if manifest.upload_id is None:
            exact = manifest.size_bytes
            form = self.signer.form(key, smallest=exact or 1, largest=exact or manifest.limit_bytes, expires_s=left_s)
            return {**told, "kind": "form", "method": "POST", **form}
        assert manifest.size_bytes is not None, "a list in parts has a size"
        sizes = part_sizes(manifest.size_bytes, self.limits.smallest_part_bytes)
        parts = [
            {"number": at, "size_bytes": size, "url": self.signer.part(key, manifest.upload_id, at, size, expires_s=left_s)}
            for at, size in enumerate(sizes, 1)
        ]
        complete = self.signer.complete(key, manifest.upload_id, expires_s=left_s)
        # The header is part of what was signed: an upload that is complete is never replaced.
        last = {"method": "POST", "url": complete, "headers": {"If-None-Match": "*"}}
        return {**told, "kind": "parts", "method": "PUT", "parts": parts, "complete": last}


def parse_new_list(body: bytes) -> NewList:
    """What was posted; nothing means a CSV file by form. Raises Malformed with what is allowed."""
    try:
        sent = json.loads(body.decode("utf-8"), object_pairs_hook=_once) if body.strip() else {}
    except (ValueError, RecursionError) as exc:
        raise Malformed("the body must be a JSON object in UTF-8 that names each member once") from exc
    if not isinstance(sent, dict) or set(sent) - {"format", "size_bytes", "parts"}:
        raise Malformed("the body must be a JSON object with the members format, size_bytes and parts, all optional, and no others")
    format_, size, parts = sent.get("format", "csv"), sent.get("size_bytes"), sent.get("parts", False)
    if not isinstance(format_, str) or format_ not in FORMATS:
        raise Malformed(f"format must be one of {', '.join(FORMATS)}")
    if size is not None and (type(size) is not int or not 0 < size < 2**53):
        raise Malformed("size_bytes must be a whole number above 0: the size of the file in bytes")
    if not isinstance(parts, bool):
        raise Malformed("parts must be true or false")
    if parts and size is None:
        raise Malformed("a list that is sent in parts must say its size_bytes")
    return NewList(format_, size, parts)


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in members}) != len(members):
        raise ValueError("a member is named twice")
    return dict(members)


def part_sizes(size_bytes: int, smallest: int = SMALLEST_PART_BYTES) -> list[int]:
    """Sizes of the parts, equal but for the last: at most `MOST_PARTS`, and none but the last under ``smallest``."""
    each = max(smallest, -(-size_bytes // MOST_PARTS))
    return [min(each, size_bytes - at) for at in range(0, size_bytes, each)]
