"""POST predictions: read, check, score, commit, reply. In that order: what a caller received is in the log."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from flask import Request, Response, g, request

from api import media
from api.bodies import read_request
from api.rows import OPTIONS
from api.scored import scored_reply
from api.services import Services
from api.tracing import stage
from propensity.campaign import Campaign, Policy
from propensity.decision import parse_policy
from propensity.errors import IdempotencyMismatch, Malformed
from propensity.ports import StoredReply
from propensity.scoring import decide_list

DEFAULT_REASONS, MAX_REASONS = 3, 10
MAX_KEY = 200
# About as many rows as are scored without leaving Python's lock for long.
SMALL_BYTES = 24 * 1024


@dataclass(frozen=True)
class Wanted:
    """Policy, number of reasons and model that a request asks for."""

    policy: Policy
    reasons: int
    model: object


def post_predictions(services: Services, campaign: str) -> Response:
    """Score one customer or a list."""
    # Looked up once: each access through the proxies costs a microsecond.
    asked: Request = request._get_current_object()  # type: ignore[attr-defined]
    known = vars(g._get_current_object())
    declared = services.campaign(campaign)
    format_ = media.asked_for(asked.environ.get("HTTP_ACCEPT", ""))
    mimetype, query = asked.mimetype, asked.query_string
    body = read_request(asked)
    key = idempotency_key(asked)
    caller, request_id = known["caller"].name, known["request_id"]
    digest = "" if key is None else body_digest(campaign, (mimetype, format_), query, body)
    if key is not None:
        stored = services.log.stored_reply(campaign, caller, key)
        if stored is not None:
            return _replay(services, campaign, stored, digest, format_)
    # Parquet is read by another process, and CSV takes long: others go on meanwhile.
    with services.turn if mimetype in media.READ_AT_ONCE else nullcontext(), stage("read"):
        sent = services.readers[campaign].read(mimetype, body, asked.mimetype_params.get("charset"))
        options = {**_from_query(asked), **sent.options} if query else sent.options
        wanted = wanted_of(declared, options)
    model = services.models.choose(campaign, wanted.model).model
    known["model"] = model.version
    with services.turn as turn:
        with stage("check"):
            post = sent.check()
        with stage("score"):
            # XGBoost works without Python's lock.
            cores = turn.cores
            with turn.away() if len(body) > SMALL_BYTES else nullcontext():
                scores = model.score(post.checked.table, cores)
            scored = decide_list(model, post.checked, wanted.policy, scores, top_reasons=wanted.reasons)
        known["rows"] = len(scored.table)
        with stage("reply"):
            reply = scored_reply(request_id, post, scored, wanted=format_, reasons=wanted.reasons > 0)
    entry = scored.logged(request_id, services.declarations[campaign], source="api", caller=caller)
    began = time.perf_counter()
    with stage("commit"):
        stored = services.log.append(entry, idempotency_key=key, body_sha256=digest, reply=reply)
    services.metrics.committed(time.perf_counter() - began)
    if stored is not None:
        return _replay(services, campaign, stored, digest, format_)
    services.metrics.scored(campaign, len(scored.table), scored.refused)
    return Response(reply, mimetype=format_)


def idempotency_key(asked: Request) -> str | None:
    """The key that the caller sent. Raises Malformed for one that is too long or not printable."""
    key: str | None = asked.environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
        raise Malformed(f"the header Idempotency-Key must be 1 to {MAX_KEY} printable ASCII characters")
    return key


def body_digest(campaign: str, formats: tuple[str, str], query: bytes, body: bytes) -> str:
    """SHA-256 of everything that decides the answer to a request, hexadecimal. ``formats``: of the body and of the reply."""
    head = b"\0".join((campaign.encode(), *(name.encode() for name in formats), query))
    return hashlib.sha256(hashlib.sha256(head).digest() + body).hexdigest()


def wanted_of(campaign: Campaign, options: Mapping[str, Any]) -> Wanted:
    """Policy and reasons from what was sent beside the rows. Raises Malformed with what is allowed."""
    reasons = options.get("reasons", DEFAULT_REASONS)
    if type(reasons) is not int or not 0 <= reasons <= MAX_REASONS:
        raise Malformed(f"reasons must be a whole number from 0 to {MAX_REASONS}")
    return Wanted(parse_policy(options.get("policy"), campaign.policy), reasons, options.get("model"))


def _from_query(asked: Request) -> dict[str, Any]:
    """``?policy=top_share&value=0.3&reasons=0``: the options of bodies that have no place for them."""
    options: dict[str, Any] = {}
    args = asked.args
    unknown = set(args) - {*OPTIONS, "value"}
    if unknown:
        raise Malformed("the address takes the parameters policy, value, reasons and model, and no others")
    try:
        if "policy" in args:
            options["policy"] = {"kind": args["policy"]}
            if "value" in args:
                options["policy"]["value"] = float(args["value"])
        elif "value" in args:
            raise Malformed("the parameter value belongs to a policy: name one")
        if "reasons" in args:
            options["reasons"] = int(args["reasons"])
        if "model" in args:
            options["model"] = args["model"]
    except ValueError as exc:
        raise Malformed("the parameters value and reasons must be numbers") from exc
    return options


def _replay(services: Services, campaign: str, stored: StoredReply, digest: str, format_: str) -> Response:
    """The very bytes of the first answer, under its request id."""
    if stored.body_sha256 != digest:
        raise IdempotencyMismatch("this Idempotency-Key was used before with another request; use a fresh key for each new request")
    services.metrics.replayed(campaign)
    g.request_id = stored.request_id
    return Response(stored.reply, mimetype=format_, headers={"Idempotent-Replay": "true"})
