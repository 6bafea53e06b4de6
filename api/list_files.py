"""The addresses that `api.signed` makes: where a list's customers go, and where its files come from. The signature is the key."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO

from flask import Response, request

from api.lists import ListDesk, desk_of
from api.replies import json_reply
from api.services import Services
from api.signed import COMPLETE, DOWNLOAD, FORM, PART, Allowed
from propensity.callsheet import unsafe_cell
from propensity.customer_key import customer_keys
from propensity.errors import DataError, Malformed, NotFound, TooLarge
from propensity.gate import ContactGate
from propensity.list_state import MANIFEST, RESULT, Manifest, parse_key, read_json
from propensity.ports import ObjectStore
from propensity.sheet_formats import SHEETS, Keep, write_sheet

PIECE_BYTES = 1 << 20
ROWS_TOGETHER = 10_000
# A file of that size stays in memory until it is sent.
IN_MEMORY_BYTES = 4 << 20
KINDS = {PurePosixPath(name).suffix: kind for kind, (_, name) in SHEETS.items()}


def post_upload(services: Services, token: str) -> Response:
    """Take a form with the file, or put parts together. The first upload to a list stands."""
    desk = desk_of(services)
    allowed = desk.signer.read(token, FORM, COMPLETE)
    if allowed.what == COMPLETE:
        return json_reply({"size_bytes": _put_together(desk, allowed)})
    sent = request.files.get("file")
    if sent is None:
        raise Malformed("the form must hold the list as a file in the field named file")
    data = _sized(sent.stream.read(), allowed)
    store_once(desk.store, allowed.key, data)
    return json_reply({"size_bytes": len(data)})


def put_part(services: Services, token: str) -> Response:
    """Take one part. Sent again, it replaces itself."""
    desk = desk_of(services)
    allowed = desk.signer.read(token, PART)
    data = request.get_data(cache=False)
    if len(data) != allowed.largest:
        raise DataError(f"part {allowed.part} must have {allowed.largest:,} bytes")
    if not desk.store.exists(allowed.key):
        desk.store.put(_part(allowed, allowed.part), data)
    return json_reply({"size_bytes": len(data)})


def get_download(services: Services, token: str) -> Response:
    """One of a list's files, in the format that its name says."""
    desk = desk_of(services)
    allowed = desk.signer.read(token, DOWNLOAD)
    found = parse_key(allowed.key)
    leaves = [] if found is None or found[1] != RESULT else leaving(services.gate.gate, found[0].campaign)
    return file_reply(desk.store, allowed.key, allowed.name, *leaves)


def store_once(store: ObjectStore, key: str, data: bytes) -> None:
    """Write an upload. Raises DataError where there is one already."""
    if not store.create(key, data):
        raise DataError("this list was uploaded already; create another for another file")


def leaving(gate: ContactGate, campaign: str) -> list[Keep]:
    """Leaves out whom nobody may contact by now: whoever was suppressed after the list was done is in no file of it any more.

    Raises StoreError where that cannot be known.
    """
    suppressed = gate.newest()
    if suppressed.is_empty:
        return []

    def keep(rows: Iterator[list[str]], places: Mapping[str, int]) -> Iterator[list[str]]:
        at = places["customer_id"]
        while chunk := list(islice(rows, ROWS_TOGETHER)):
            found = suppressed.codes(campaign, customer_keys([unsafe_cell(row[at]) for row in chunk]))
            yield from (row for number, row in enumerate(chunk) if found is None or not found[number])

    return [keep]


def file_reply(store: ObjectStore, key: str, name: str, *keeps: Keep) -> Response:
    """A file of a list as a download of that name: written anew where the name asks for another format, or rows are left out."""
    kind = KINDS[PurePosixPath(name).suffix]
    # Closed by the reply: it goes on after this returns.
    held: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115
    try:
        write_sheet(kind, store.pieces(key), held, *keeps)
        size = held.tell()
        held.seek(0)
    except BaseException:
        held.close()
        raise
    if size <= IN_MEMORY_BYTES:
        reply = Response(held.read(), content_type=SHEETS[kind][0])
        held.close()
    else:
        reply = Response(_pieces(held), content_type=SHEETS[kind][0])
        reply.headers["Content-Length"] = str(size)
        reply.call_on_close(held.close)
    reply.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return reply


def _pieces(held: IO[bytes]) -> Iterator[bytes]:
    while piece := held.read(PIECE_BYTES):
        yield piece


def _sized(data: bytes, allowed: Allowed) -> bytes:
    if len(data) > allowed.largest:
        raise TooLarge(f"the file has {len(data):,} bytes; this address takes up to {allowed.largest:,}")
    if len(data) < allowed.smallest:
        raise DataError(f"the file has {len(data):,} bytes; this address takes at least {allowed.smallest:,}")
    return data


def _part(allowed: Allowed, number: int) -> str:
    return f"{allowed.key}-parts/{allowed.upload}/{number:05d}"


def _put_together(desk: ListDesk, allowed: Allowed) -> int:
    """One object of all parts; its size. Said again, it changes nothing."""
    found = parse_key(allowed.key)
    manifest = None if found is None else read_json(desk.store, found[0].key(MANIFEST), Manifest)
    if manifest is None or manifest.size_bytes is None:
        raise NotFound("the list of this upload is not there")
    if desk.store.exists(allowed.key):
        return manifest.size_bytes
    with tempfile.TemporaryDirectory(prefix="propensity-") as folder:
        path = Path(folder) / "upload"
        with path.open("wb") as file:
            for key in desk.store.keys(f"{allowed.key}-parts/{allowed.upload}/"):
                for piece in desk.store.pieces(key):
                    file.write(piece)
        size = path.stat().st_size
        if size != manifest.size_bytes:
            raise DataError(f"parts are missing: {size:,} bytes of {manifest.size_bytes:,} have come")
        desk.store.put_file(allowed.key, path)
    return size
