"""From an API Gateway event to an HTTP request, and from an HTTP answer to a reply. Pure: no network, no environment, no clock.

Bodies in base64 (the API's ``binaryMediaTypes`` is ``*/*``, so that Arrow, Parquet and gzip arrive byte by byte) come through as they were
sent; a JSON body then has room for 4.5 MB before its base64 is over what Lambda takes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from propensity.errors import TooLarge

from ..events import body_of, headers_of
from ..exchange import Answer, Outgoing
from ..replies import Json, proxy_reply

# What Lambda takes and gives at most, the event's or reply's wrapping included.
LIMIT_BYTES = 6 * 1024 * 1024
# Everything else stays outside: what says who calls is a key, which the service verifies, never another header that the caller writes.
PASSED_ON = (
    *("Accept", "Accept-Encoding", "Authorization", "Content-Encoding", "Content-Type"),
    *("Idempotency-Key", "Traceparent", "Tracestate", "X-Request-Id"),
)
# About one connection, or said anew by API Gateway.
_NOT_RETURNED = frozenset(
    {"connection", "content-length", "date", "keep-alive", "proxy-authenticate", "proxy-connection"}
    | {"server", "te", "trailer", "transfer-encoding", "upgrade"}
)
_TEXTUAL = ("application/json", "application/problem+json", "application/schema+json", "application/x-ndjson", "text/")
_GZIP_BEGINS = b"\x1f\x8b"
_WAY_OUT = "post it as a list instead: POST /v1/campaigns/{campaign}/lists takes any size"


def outgoing(event: Mapping[str, Any], request_id: str) -> Outgoing:
    """The request that an event asks for.

    A POST without an Idempotency-Key is given ``request_id`` as its key, so that nothing between here and the log counts it twice.

    Raises
    ------
    TooLarge
        The body is over what a function may be given.
    Malformed
        The body is not the base64 that the event says, or a header is not printable ASCII.
    """
    method = event["httpMethod"]
    headers = headers_of(event, PASSED_ON)
    headers.setdefault("X-Request-Id", request_id)
    if method == "POST":
        headers.setdefault("Idempotency-Key", request_id)
    body = body_of(event, LIMIT_BYTES, f"the body is over {_megabytes(LIMIT_BYTES)} MB as it reaches this address; {_WAY_OUT}")
    if headers.get("Content-Encoding", "").lower() in ("gzip", "x-gzip") and not body.startswith(_GZIP_BEGINS):
        # API Gateway unpacks a body on its way where it can, and leaves the header standing.
        del headers["Content-Encoding"]
    return Outgoing(method, _target(event), headers, body)


def reply(answer: Answer, idempotency_key: str | None) -> Json:
    """The proxy reply to an answer: as text where it is UTF-8 text, else as base64. Raises TooLarge where Lambda could not return it."""
    text = _as_text(answer)
    headers = [(name, value) for name, value in answer.headers if name.lower() not in (*_NOT_RETURNED, "idempotency-key")]
    if idempotency_key is not None:
        headers.append(("Idempotency-Key", idempotency_key))
    body = base64.b64encode(answer.body).decode("ascii") if text is None else text
    made = proxy_reply(answer.status, headers, body, base64=text is None)
    if len(json.dumps(made)) > LIMIT_BYTES:
        raise TooLarge(f"the answer is over {_megabytes(LIMIT_BYTES)} MB; send fewer rows at a time, or {_WAY_OUT}")
    return made


def _target(event: Mapping[str, Any]) -> str:
    # "%" stays: what is percent-encoded already must not be so twice.
    path = quote(event["path"], safe="/%:@!$&'()*+,;=~")
    query = urlencode(event.get("multiValueQueryStringParameters") or {}, doseq=True)
    return f"{path}?{query}" if query else path


def _as_text(answer: Answer) -> str | None:
    if answer.header("Content-Encoding") is not None or not (answer.header("Content-Type") or "").lower().startswith(_TEXTUAL):
        return None if answer.body else ""
    try:
        return answer.body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _megabytes(size_bytes: int) -> int:
    return size_bytes // (1024 * 1024)
