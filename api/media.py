"""Media types: what is taken, what is given, and which of them a caller asks for."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from flask import Response
from werkzeug.datastructures import Accept, MIMEAccept
from werkzeug.http import parse_accept_header

from propensity.errors import Malformed, NotAcceptable, TooLarge, UnsupportedMedia

JSON = "application/json"
NDJSON = "application/x-ndjson"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
ARROW_FILE = "application/vnd.apache.arrow.file"
PARQUET = "application/vnd.apache.parquet"
PROBLEM = "application/problem+json"
SCHEMA = "application/schema+json"

TAKEN = (JSON, NDJSON, CSV, ARROW, ARROW_FILE, PARQUET)
GIVEN = (JSON, NDJSON, CSV, ARROW, PARQUET)
READ_AT_ONCE = (JSON, NDJSON)
SAME_AS = {"application/jsonl": NDJSON, "application/ndjson": NDJSON, "application/csv": CSV}

MAX_BODY_BYTES = 10 * 1024 * 1024
WORTH_PACKING = 1_024
SHORT_HEADER = 200
_GZIP = 31  # zlib's word for gzip with a header


def asked_for(accept: str) -> str:
    """The media type of the reply to a header Accept: JSON where the caller does not mind. Raises NotAcceptable for none on offer."""
    return _best(accept) if len(accept) <= SHORT_HEADER else _best.__wrapped__(accept)


@lru_cache(maxsize=64)
def _best(accept: str) -> str:
    if not accept:
        return JSON
    found = parse_accept_header(accept, MIMEAccept).best_match(GIVEN)
    if found is None:
        raise NotAcceptable(f"the header Accept asks for none of the formats on offer: {', '.join(GIVEN)}")
    # best_match takes the first on offer for */*, which is JSON.
    return found


def unpacked(body: bytes, encoding: str) -> bytes:
    """The body without its Content-Encoding. Raises UnsupportedMedia for one not on offer, Malformed, TooLarge."""
    if encoding.lower() in ("", "identity"):
        return body
    if encoding.lower() not in ("gzip", "x-gzip"):
        raise UnsupportedMedia("the body's Content-Encoding is not on offer: send it as gzip, or as it is")
    opened = zlib.decompressobj(_GZIP)
    try:
        plain = opened.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error as exc:
        raise Malformed("the body is not gzip, as its Content-Encoding says") from exc
    if len(plain) > MAX_BODY_BYTES:
        raise TooLarge(body_too_large())
    if not opened.eof or opened.unused_data:
        raise Malformed("the gzip of the body is cut off, or something follows it")
    return plain


def body_too_large() -> str:
    """What to do with a body over the limit."""
    return "the body is over 10 MiB, unpacked; send fewer rows at a time, or score a file: propensity score FILE"


def pack(reply: Response, environ: Mapping[str, Any]) -> None:
    """Send a reply of some length as gzip to a caller who asked for it, at the quickest level."""
    asked = environ.get("HTTP_ACCEPT_ENCODING")
    if asked is None or "gzip" not in asked or reply.is_streamed or reply.direct_passthrough:
        return
    plain = reply.get_data()
    if len(plain) < WORTH_PACKING or not parse_accept_header(asked, Accept)["gzip"]:
        return
    made = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    reply.set_data(made.compress(plain) + made.flush())
    reply.headers["Content-Encoding"] = "gzip"
    reply.headers["Vary"] = "Accept-Encoding"
