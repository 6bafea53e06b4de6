"""Replies of a REST API's proxy integration. Every refusal is a problem (RFC 9457) in the scoring service's own form and with its codes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from propensity.errors import PropensityError, RateLimited, StoreError, Unauthorized

Json = dict[str, Any]
PROBLEM = "application/problem+json"
RETRY_AFTER_S = 2
INTERNAL = (500, "internal_error", "something went wrong on our side; tell the operators the request id")
# What Python calls these statuses differs from version to version.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}


def problem(
    status: int, code: str, detail: str, *, request_id: str, idempotency_key: str | None = None, headers: Iterable[tuple[str, str]] = ()
) -> Json:
    """A proxy reply that says what went wrong. A 503 says when to try again."""
    given = [("Content-Type", PROBLEM), *headers, ("X-Request-Id", request_id), ("Cache-Control", "no-store")]
    if status == HTTPStatus.SERVICE_UNAVAILABLE and all(name != "Retry-After" for name, _ in given):
        given.append(("Retry-After", str(RETRY_AFTER_S)))
    if idempotency_key is not None:
        given.append(("Idempotency-Key", idempotency_key))
    body = {
        "type": f"urn:propensity:problem:{code}",
        "title": _TITLES.get(status) or HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": request_id,
    }
    return proxy_reply(status, given, json.dumps(body))


def problem_of(error: PropensityError, *, request_id: str, idempotency_key: str | None = None) -> Json:
    """The problem that an error of the platform is. One of this side (500) tells the caller nothing of the inside."""
    headers = []
    if isinstance(error, Unauthorized):
        headers.append(("WWW-Authenticate", "Bearer"))
    if isinstance(error, RateLimited):
        headers.append(("Retry-After", str(error.retry_after_s)))
    status, code, detail = INTERNAL if error.status == HTTPStatus.INTERNAL_SERVER_ERROR else (error.status, error.code, str(error))
    if isinstance(error, StoreError):
        # The message may name a bucket or a key: the log has it, the caller needs to know only what to do.
        detail = "a store of the platform did not answer; try again shortly with the same Idempotency-Key"
    return problem(status, code, detail, request_id=request_id, idempotency_key=idempotency_key, headers=headers)


def json_reply(status: int, body: Mapping[str, Any], *, request_id: str, headers: Iterable[tuple[str, str]] = ()) -> Json:
    """A proxy reply with a JSON body that no cache keeps."""
    given = [("Content-Type", "application/json"), *headers, ("X-Request-Id", request_id), ("Cache-Control", "no-store")]
    return proxy_reply(status, given, json.dumps(body))


def proxy_reply(status: int, headers: Iterable[tuple[str, str]], body: str, *, base64: bool = False) -> Json:
    """The form that API Gateway takes. A header may be repeated."""
    by_name: dict[str, list[str]] = {}
    for name, value in headers:
        by_name.setdefault(name, []).append(value)
    return {"statusCode": status, "multiValueHeaders": by_name, "body": body, "isBase64Encoded": base64}
