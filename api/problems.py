"""Every error as application/problem+json (RFC 9457) with a stable ``code``."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from api import media
from api.codes import STATUSES
from api.pages.layout import refusal
from api.replies import encode, errors_json
from propensity.errors import PropensityError, RateLimited, RowIssue, StoreError, TooLarge, Unauthorized

logger = logging.getLogger("propensity.api")
RETRY_AFTER_S = 2


def problem(status: int, code: str, detail: str, request_id: str, issues: tuple[RowIssue, ...] = ()) -> bytes:
    """The body of an error reply."""
    body: dict[str, Any] = {
        "type": f"urn:propensity:problem:{code}",
        "title": STATUSES[status].title if status in STATUSES else HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": request_id,
    }
    return encode({**body, **errors_json(issues)} if issues else body)


def add_handlers(app: Flask) -> None:
    """Answer every exception of a request with a problem."""
    app.register_error_handler(PropensityError, _on_purpose)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    app.register_error_handler(HTTPException, _by_flask)
    app.register_error_handler(Exception, _unexpected)


def _reply(status: int, code: str, detail: str, issues: tuple[RowIssue, ...] = ()) -> Response:
    g.code = code
    reply = refusal(status, detail) or Response(problem(status, code, detail, g.request_id, issues), status=status, mimetype=media.PROBLEM)
    if status in (429, 503):
        reply.headers["Retry-After"] = str(RETRY_AFTER_S)
    return reply


def _on_purpose(error: PropensityError) -> Response:
    if isinstance(error, StoreError):
        logger.warning(str(error), extra={"fields": {"event": "store_unavailable", "request_id": g.request_id, "code": error.code}})
    reply = _reply(error.status, error.code, str(error), getattr(error, "issues", ()))
    if isinstance(error, Unauthorized):
        reply.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, RateLimited):
        reply.headers["Retry-After"] = str(error.retry_after_s)
    return reply


def _too_large(_error: RequestEntityTooLarge) -> Response:
    return _on_purpose(TooLarge(media.body_too_large()))


def _by_flask(error: HTTPException) -> Response:
    status = error.code or 500
    if status in STATUSES:
        reply = _reply(status, STATUSES[status].code, STATUSES[status].meaning)
    else:
        # A status without a name of its own here: its number is as stable as a name.
        reply = _reply(status, f"http_{status}", HTTPStatus(status).description or HTTPStatus(status).phrase)
    for header, value in error.get_headers():
        if header == "Allow":
            reply.headers[header] = value
    return reply


def _unexpected(error: Exception) -> Response:
    # The outermost edge. The reply says nothing of the inside; the log says where, not with which values.
    fields = {"event": "unexpected_error", "request_id": g.request_id}
    logger.error("unexpected error", exc_info=error, extra={"fields": fields})
    return _reply(500, "internal_error", "something went wrong on our side; tell the operators the request id")
