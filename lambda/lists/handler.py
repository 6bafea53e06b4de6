"""``lambda/lists/handler.handle``: creates lists, says how far they are, and gives their results out.

Whose a list is: API Gateway's key belongs to a usage plan and says nothing here, and neither does any header that a caller writes. The
key in the header Authorization goes to the scoring service, which alone can verify it and says its owner and role; the owner's name is
written into the list, and what is another's is not found for a marketing caller. An id cannot be guessed, but nothing rests on that.
A presigned address is a key to one object for some minutes: whoever has it needs no other.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from propensity.access import Caller, Role
from propensity.list_service import DOWNLOADS, Limits, Lists, parse_new_list
from propensity.list_state import status

from ..edge import logger, prepare, rest
from ..events import body_of, headers_of
from ..exchange import BROKEN, Answer, Outgoing, fetch
from ..replies import Json, json_reply, problem, proxy_reply
from .environment import ListsEnvironment, read_environment
from .logic import BODY_LIMIT_BYTES, Asked, allow, asked, key_of, not_ready, see_other

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from propensity.adapters.object_store import S3Store
    from propensity.adapters.presigned import Presigner

SERVICE = "lists"
RESERVE_S = 2.0
WHO = "/v1/caller"
# What the scoring service refuses a key with; its problem is passed on as it is.
_REFUSALS = (401, 403, 429, 503)
_RETURNED = ("Content-Type", "Retry-After", "WWW-Authenticate", "X-Request-Id")


def handle(event: dict[str, Any], context: LambdaContext) -> Json:
    """Answer one REST API proxy event; every refusal is a problem with a code of the platform."""
    latest = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - RESERVE_S
    return rest(logger(SERVICE), event, lambda request_id: _answer(event, request_id, latest))


def _answer(event: dict[str, Any], request_id: str, latest: float) -> Json:
    environment = read_environment(os.environ)
    wanted = asked(event["httpMethod"], event["path"], request_id)
    if not isinstance(wanted, Asked):
        return wanted
    sent = headers_of(event, ("Authorization", "Idempotency-Key"))
    caller = _caller(environment, sent.get("Authorization"), request_id, latest)
    if not isinstance(caller, Caller):
        return caller
    allow(wanted, caller)
    lists = Lists(_store(environment), _signer(environment), _limits(environment), caller)
    now = datetime.now(UTC)
    if wanted.operation == "create":
        return _create(lists, wanted, event, key_of(sent.get("Idempotency-Key"), request_id), request_id, now)
    record = lists.visible(wanted.named, now)
    if wanted.operation in DOWNLOADS:
        return not_ready(record, request_id) or see_other(lists.download(record, wanted.operation), request_id)
    return json_reply(200, status(record), request_id=request_id)


def _create(lists: Lists, wanted: Asked, event: dict[str, Any], key: str, request_id: str, now: datetime) -> Json:
    body = body_of(event, BODY_LIMIT_BYTES, "the body only describes the list: its customers go to the address of the reply")
    made, known = lists.create(wanted.named, parse_new_list(body), key, now)
    logger(SERVICE).info("list", request_id=request_id, list_id=made["list_id"], repeated=known)
    headers = [("Location", made["links"]["self"]), ("Idempotency-Key", key), *([("Idempotent-Replay", "true")] if known else [])]
    return json_reply(201, made, request_id=request_id, headers=headers)


def _caller(environment: ListsEnvironment, authorization: str | None, request_id: str, latest: float) -> Caller | Json:
    """Who sent the key, as the scoring service says, or the reply that refuses it."""
    headers = {"Accept": "application/json", "X-Request-Id": request_id}
    if authorization is not None:
        headers["Authorization"] = authorization
    deadline = min(latest, time.monotonic() + environment.timeout_s)
    try:
        answer = fetch(environment.scoring_host, environment.scoring_port, Outgoing("GET", WHO, headers), deadline)
    except TimeoutError:
        return problem(504, "gateway_timeout", "the key could not be verified in time; try again shortly", request_id=request_id)
    except BROKEN as exc:
        logger(SERVICE).warning("the scoring service cannot be reached", request_id=request_id, error=type(exc).__name__)
        return problem(503, "service_unavailable", "the key cannot be verified at the moment; try again shortly", request_id=request_id)
    if answer.status in _REFUSALS:
        return proxy_reply(answer.status, [h for h in answer.headers if h[0].title() in map(str.title, _RETURNED)], answer.body.decode())
    return _named(answer) or _unsound(answer, request_id)


def _named(answer: Answer) -> Caller | None:
    if answer.status != 200:
        return None
    try:
        told = json.loads(answer.body)
        return Caller(told["key_id"], told["name"], Role(told["role"]))
    except (ValueError, KeyError, TypeError):
        return None


def _unsound(answer: Answer, request_id: str) -> Json:
    logger(SERVICE).error("the scoring service does not say who calls", request_id=request_id, answered=answer.status)
    return problem(502, "bad_gateway", "the key could not be verified: no sound answer came; try again shortly", request_id=request_id)


def _limits(environment: ListsEnvironment) -> Limits:
    return Limits(
        upload_limit_bytes=environment.upload_limit_bytes,
        upload_expiry_s=environment.upload_expiry_s,
        download_expiry_s=environment.download_expiry_s,
    )


@cache
def _store(environment: ListsEnvironment) -> S3Store:
    from propensity.adapters.object_store import open_s3

    return open_s3(environment.bucket, environment.prefix, environment.s3_endpoint_url)


@cache
def _signer(environment: ListsEnvironment) -> Presigner:
    from propensity.adapters.presigned import Presigner

    return Presigner(environment.bucket, environment.prefix, environment.s3_endpoint_url)


def _prepared() -> None:
    logger(SERVICE)
    environment = read_environment(os.environ)
    _store(environment)
    _signer(environment)


prepare(_prepared)
