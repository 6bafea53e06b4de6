"""POST predictions: read, check, score, commit, reply. In that order: what a caller received is in the log."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from flask import Response, g, request

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
from propensity.scoring import score_list

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
    declared = services.campaign(campaign)
    format_ = media.asked_for(request.accept_mimetypes)
    body = read_request(request)
    key = idempotency_key()
    digest = "" if key is None else body_digest(campaign, (request.mimetype, format_), request.query_string, body)
    if key is not None:
        stored = services.log.stored_reply(campaign, g.caller.name, key)
        if stored is not None:
            return _replay(services, campaign, stored, digest, format_)
    with services.turn if len(body) <= SMALL_BYTES else nullcontext():
        with stage("read"):
            sent = services.readers[campaign].read(request.mimetype, body, request.mimetype_params.get("charset"))
            wanted = wanted_of(declared, {**_from_query(), **sent.options})
        model = services.models.choose(campaign, wanted.model).model
        g.model = model.version
        with stage("check"):
            post = sent.check()
        with stage("score"):
            scored = score_list(model, post.checked, wanted.policy, top_reasons=wanted.reasons)
        g.rows = len(scored.table)
        with stage("reply"):
            reply = scored_reply(g.request_id, post, scored, wanted=format_, reasons=wanted.reasons > 0)
    entry = scored.logged(g.request_id, services.declarations[campaign], source="api", caller=g.caller.name)
    began = time.perf_counter()
    with stage("commit"):
        stored = services.log.append(entry, idempotency_key=key, body_sha256=digest, reply=reply)
    services.metrics.committed(time.perf_counter() - began)
    if stored is not None:
        return _replay(services, campaign, stored, digest, format_)
    services.metrics.scored(campaign, len(scored.table), scored.refused)
    return Response(reply, mimetype=format_)


def idempotency_key() -> str | None:
    """The key that the caller sent. Raises Malformed for one that is too long or not printable."""
    key = request.headers.get("Idempotency-Key")
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


def _from_query() -> dict[str, Any]:
    """``?policy=top_share&value=0.3&reasons=0``: the options of bodies that have no place for them."""
    options: dict[str, Any] = {}
    if not request.query_string:
        return options
    unknown = set(request.args) - {*OPTIONS, "value"}
    if unknown:
        raise Malformed("the address takes the parameters policy, value, reasons and model, and no others")
    try:
        if "policy" in request.args:
            options["policy"] = {"kind": request.args["policy"]}
            if "value" in request.args:
                options["policy"]["value"] = float(request.args["value"])
        elif "value" in request.args:
            raise Malformed("the parameter value belongs to a policy: name one")
        if "reasons" in request.args:
            options["reasons"] = int(request.args["reasons"])
        if "model" in request.args:
            options["model"] = request.args["model"]
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
