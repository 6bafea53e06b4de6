"""From an API Gateway event to an HTTP request, and from an HTTP answer to a reply. Pure: no network, no environment, no clock."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from propensity.errors import Malformed, TooLarge

Json = dict[str, Any]
# What Lambda takes and gives at most, the event's or reply's wrapping included.
LIMIT_BYTES = 6 * 1024 * 1024
RETRY_AFTER_S = 2
# Everything else stays outside: what says who calls is a key, which the service verifies, never another header that the caller writes.
PASSED_ON = ("Accept", "Authorization", "Content-Type", "Idempotency-Key", "X-Request-Id")
# About one connection, or said anew by API Gateway.
_NOT_RETURNED = frozenset(
    {"connection", "content-length", "date", "keep-alive", "proxy-authenticate", "proxy-connection"}
    | {"server", "te", "trailer", "transfer-encoding", "upgrade"}
)
_TEXTUAL = ("application/json", "application/problem+json", "application/x-ndjson", "text/")
_WAY_OUT = "post it as a list instead: POST /v1/campaigns/{campaign}/lists takes any size"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One HTTP request to the scoring service. ``target`` is path and query, percent-encoded."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the scoring service answered. ``headers`` may repeat a name."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


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
    headers = _passed_on(event.get("headers") or {})
    headers.setdefault("X-Request-Id", request_id)
    if method == "POST":
        headers.setdefault("Idempotency-Key", request_id)
    return Outgoing(method, _target(event), headers, _body(event))


def reply(answer: Answer, idempotency_key: str | None) -> Json:
    """The proxy reply to an answer: as text where it is UTF-8 text, else as base64. Raises TooLarge where Lambda could not return it."""
    text = _as_text(answer)
    made = _proxy_reply(answer.status, answer.headers, idempotency_key)
    made["body"] = base64.b64encode(answer.body).decode("ascii") if text is None else text
    made["isBase64Encoded"] = text is None
    if len(json.dumps(made)) > LIMIT_BYTES:
        raise TooLarge(f"the answer is over {_megabytes(LIMIT_BYTES)} MB; send fewer rows at a time, or {_WAY_OUT}")
    return made


def problem(status: int, code: str, detail: str, *, request_id: str, idempotency_key: str | None = None) -> Json:
    """A proxy reply that says what went wrong (RFC 9457), in the scoring service's own form."""
    headers = [("Content-Type", "application/problem+json")]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append(("Retry-After", str(RETRY_AFTER_S)))
    body = {
        "type": f"urn:propensity:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": request_id,
    }
    headers.append(("X-Request-Id", request_id))
    return {**_proxy_reply(status, headers, idempotency_key), "body": json.dumps(body), "isBase64Encoded": False}


def _passed_on(sent: Mapping[str, str]) -> dict[str, str]:
    by_name = {name.lower(): value for name, value in sent.items()}
    passed = {name: by_name[name.lower()] for name in PASSED_ON if by_name.get(name.lower())}
    for name, value in passed.items():
        if not (value.isascii() and value.isprintable()):
            raise Malformed(f"the header {name} must be printable ASCII")
    return passed


def _target(event: Mapping[str, Any]) -> str:
    # "%" stays: what is percent-encoded already must not be so twice.
    path = quote(event["path"], safe="/%:@!$&'()*+,;=~")
    query = urlencode(event.get("multiValueQueryStringParameters") or {}, doseq=True)
    return f"{path}?{query}" if query else path


def _body(event: Mapping[str, Any]) -> bytes:
    sent = (event.get("body") or "").encode("utf-8", "surrogatepass")
    if len(sent) > LIMIT_BYTES:
        raise TooLarge(f"the body is over {_megabytes(LIMIT_BYTES)} MB as it reaches this address; {_WAY_OUT}")
    if not event.get("isBase64Encoded"):
        return sent
    try:
        return base64.b64decode(sent, validate=True)
    except binascii.Error as exc:
        raise Malformed("the body is marked as base64 but is not") from exc


def _proxy_reply(status: int, headers: Iterable[tuple[str, str]], idempotency_key: str | None) -> Json:
    returned: dict[str, list[str]] = {}
    for name, value in headers:
        if name.lower() not in _NOT_RETURNED:
            returned.setdefault(name, []).append(value)
    if idempotency_key is not None:
        returned["Idempotency-Key"] = [idempotency_key]
    return {"statusCode": status, "multiValueHeaders": returned}


def _as_text(answer: Answer) -> str | None:
    of = {name.lower(): value.lower() for name, value in answer.headers}
    if "content-encoding" in of or not of.get("content-type", "").startswith(_TEXTUAL):
        return None if answer.body else ""
    try:
        return answer.body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _megabytes(size_bytes: int) -> int:
    return size_bytes // (1024 * 1024)
