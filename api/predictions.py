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
from api.rows import OPTIONS, CheckedPost
from api.scored import scored_reply
from api.services import Services
from api.tracing import stage
from propensity.campaign import Campaign, Policy
from propensity.customer_key import customer_keys
from propensity.decision import parse_policy
from propensity.errors import Erased, IdempotencyMismatch, Malformed, NotFound, SuppressedSince, SuppressionsChanged
from propensity.ports import StoredReply
from propensity.scoring import ScoredList, decide_list

DEFAULT_REASONS, MAX_REASONS = 3, 10
MAX_KEY = 200
# A suppression may come while a request is worked on; that many in a row are no accident.
COMMITS = 5
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
    gate = services.gate.gate
    with services.turn as turn:
        with stage("check"):
            post = sent.check()
        # Before anybody is scored: where nobody knows who may be contacted, nobody is.
        with stage("gate"), turn.away() if gate.asks(declared) else nullcontext():
            looked = gate.look(declared, post.checked.table.ids)
        with stage("score"):
            # XGBoost works without Python's lock.
            cores = turn.cores
            with turn.away() if len(body) > SMALL_BYTES else nullcontext():
                scores = model.score(post.checked.table, cores)
            scored = decide_list(model, post.checked, wanted.policy, scores, top_reasons=wanted.reasons, looked=looked)
        known["rows"] = len(scored.table)
        with stage("reply"):
            reply = scored_reply(request_id, post, scored, wanted=format_, reasons=wanted.reasons > 0, now=services.clock())
    try:
        stored = _commit(services, scored, request_id, caller, (key, digest), reply)
    except SuppressionsChanged:
        scored, reply, stored = _decided_anew(services, post, scored, (request_id, caller, format_), wanted, (key, digest))
    if stored is not None:
        return _replay(services, campaign, stored, digest, format_)
    services.metrics.scored(campaign, len(scored.table), scored.refused)
    if scored.gate.codes is not None:
        known["excluded"] = scored.gate.counts()
        services.metrics.excluded(campaign, known["excluded"])
    return Response(reply, mimetype=format_)


def _commit(
    services: Services, scored: ScoredList, request_id: str, caller: str, key: tuple[str | None, str], reply: bytes
) -> StoredReply | None:
    """Commit a decided list and its reply under its key, which comes with the digest of the body. Raises what the log raises."""
    entry = scored.logged(request_id, services.declarations[scored.model.campaign.name], source="api", caller=caller)
    began = time.perf_counter()
    with stage("commit"):
        stored = services.log.append(entry, idempotency_key=key[0], body_sha256=key[1], reply=reply)
    services.metrics.committed(time.perf_counter() - began)
    return stored


def _decided_anew(
    services: Services, post: CheckedPost, scored: ScoredList, names: tuple[str, str, str], wanted: Wanted, key: tuple[str | None, str]
) -> tuple[ScoredList, bytes, StoredReply | None]:
    """Decide once more where somebody was suppressed between the look and the commit, and commit that.

    Raises SuppressionsChanged where that happens again and again.
    """
    (request_id, caller, format_), gate = names, services.gate.gate
    for left in reversed(range(COMMITS)):
        gate.refresh()
        looked = gate.look(scored.model.campaign, post.checked.table.ids)
        with services.turn:
            scored = decide_list(scored.model, post.checked, wanted.policy, scored.scores, top_reasons=wanted.reasons, looked=looked)
            reply = scored_reply(request_id, post, scored, wanted=format_, reasons=wanted.reasons > 0, now=services.clock())
        try:
            return scored, reply, _commit(services, scored, request_id, caller, key, reply)
        except SuppressionsChanged:
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


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
    """The very bytes of the first answer, under its request id; none that would give out somebody who was suppressed since."""
    if stored.body_sha256 != digest:
        raise IdempotencyMismatch("this Idempotency-Key was used before with another request; use a fresh key for each new request")
    if not stored.reply:
        raise Erased("a customer of this request was erased, and its reply with him; send the others with a fresh Idempotency-Key")
    _refuse_suppressed(services, campaign, stored.request_id)
    services.metrics.replayed(campaign)
    g.request_id = stored.request_id
    return Response(stored.reply, mimetype=format_, headers={"Idempotent-Replay": "true"})


def _refuse_suppressed(services: Services, campaign: str, request_id: str) -> None:
    """Raises SuppressedSince where a customer whom the stored reply says to contact may not be contacted by now."""
    suppressed = services.gate.gate.newest()
    if suppressed.is_empty:
        return
    try:
        logged = services.log.request(request_id)
    except NotFound as exc:
        raise Erased("the log holds this request no longer; send it with a fresh Idempotency-Key") from exc
    contacted = [name for name, contact in zip(logged.customer_ids, logged.contact.tolist(), strict=True) if contact]
    if contacted and suppressed.codes(campaign, customer_keys(contacted)) is not None:
        raise SuppressedSince(
            "a customer of this request was suppressed after it was answered, so that the reply is not given out again; send the list with "
            "a fresh Idempotency-Key"
        )
