"""POST predictions: read, check, score, commit, reply. In that order: what a caller received is in the log."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from flask import Response, g, request

from api.bodies import read_body
from api.replies import JSON, encode, errors_json
from api.rows import CheckedPost, check_post, shown
from api.services import Services
from propensity.campaign import Campaign, Policy
from propensity.decision import as_json, parse_policy
from propensity.errors import IdempotencyMismatch, Malformed
from propensity.ports import StoredReply
from propensity.prediction_id import prediction_id
from propensity.scoring import ScoredList, score_list

OPTIONS = frozenset({"policy", "reasons"})
DEFAULT_REASONS, MAX_REASONS = 3, 10
MAX_KEY = 200
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Wanted:
    """Policy and number of reasons that a request asks for."""

    policy: Policy
    reasons: int


class _Id(msgspec.Struct):
    request_id: str


def post_predictions(services: Services, campaign: str) -> Response:
    """Score one customer or a list."""
    declared = services.campaign(campaign)
    body = request.get_data(cache=False)
    key = idempotency_key()
    digest = body_digest(campaign, request.mimetype, request.query_string, body)
    if key is not None:
        stored = services.log.stored_reply(campaign, key)
        if stored is not None:
            return _replay(stored, digest)
    posted = read_body(request.mimetype, body, "customers", OPTIONS)
    wanted = wanted_of(declared, {**_from_query(), **posted.options})
    live = services.models.live(campaign).model
    post = check_post(declared, posted)
    scored = score_list(live, post.checked, wanted.policy, top_reasons=wanted.reasons)
    g.rows = len(scored.table)
    reply = encode(reply_json(g.request_id, post, scored))
    entry = scored.logged(g.request_id, services.declarations[campaign], source="api")
    stored = services.log.append(entry, idempotency_key=key, body_sha256=digest, reply=reply)
    return Response(reply, mimetype=JSON) if stored is None else _replay(stored, digest)


def idempotency_key() -> str | None:
    """The key that the caller sent. Raises Malformed for one that is too long or not printable."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
        raise Malformed(f"the header Idempotency-Key must be 1 to {MAX_KEY} printable ASCII characters")
    return key


def body_digest(campaign: str, mimetype: str, query: bytes, body: bytes) -> str:
    """SHA-256 of everything that decides the answer to a request, hexadecimal."""
    head = b"\0".join((campaign.encode(), mimetype.encode(), query))
    return hashlib.sha256(hashlib.sha256(head).digest() + body).hexdigest()


def wanted_of(campaign: Campaign, options: Mapping[str, Any]) -> Wanted:
    """Policy and reasons from what was sent beside the rows. Raises Malformed with what is allowed."""
    reasons = options.get("reasons", DEFAULT_REASONS)
    if type(reasons) is not int or not 0 <= reasons <= MAX_REASONS:
        raise Malformed(f"reasons must be a whole number from 0 to {MAX_REASONS}")
    return Wanted(parse_policy(options.get("policy"), campaign.policy), reasons)


def _from_query() -> dict[str, Any]:
    """``?policy=top_share&value=0.3&reasons=0``: the options of bodies that have no place for them."""
    options: dict[str, Any] = {}
    unknown = set(request.args) - {"policy", "value", "reasons"}
    if unknown:
        raise Malformed("the address takes the parameters policy, value and reasons, and no others")
    try:
        if "policy" in request.args:
            options["policy"] = {"kind": request.args["policy"]}
            if "value" in request.args:
                options["policy"]["value"] = float(request.args["value"])
        elif "value" in request.args:
            raise Malformed("the parameter value belongs to a policy: name one")
        if "reasons" in request.args:
            options["reasons"] = int(request.args["reasons"])
    except ValueError as exc:
        raise Malformed("the parameters value and reasons must be numbers") from exc
    return options


def reply_json(request_id: str, post: CheckedPost, scored: ScoredList) -> dict[str, Any]:
    """The reply to a scored list; predictions in the order sent."""
    contact = scored.decision.contact
    profit = math.fsum(scored.decision.expected_profit[contact].tolist())
    return {
        "request_id": request_id,
        "campaign": scored.model.campaign.name,
        "model": {"version": scored.model.version, "digest": scored.model.digest},
        "policy": as_json(scored.policy),
        "counts": {
            "received": scored.received,
            "scored": len(scored.table),
            "refused": scored.refused,
            "contact": int(contact.sum()),
        },
        "expected_profit": {
            "amount": str(Decimal(profit).quantize(CENT)),
            "currency": scored.model.campaign.economics.currency,
        },
        "ignored_columns": shown(post.ignored),
        "predictions": _predictions(request_id, scored),
        **errors_json(scored.issues),
    }


def _predictions(request_id: str, scored: ScoredList) -> list[dict[str, Any]]:
    decision = scored.decision
    return [
        {
            "row": row,
            "customer_id": customer,
            "prediction_id": prediction_id(request_id, position),
            "score": score,
            "decision": "contact" if contact else "leave",
            "band": band,
            "rank": rank,
            "expected_profit": profit,
            "reasons": [
                {"feature": r.feature, "value": r.value, "effect": r.effect, "direction": r.direction, "text": r.text} for r in reasons
            ],
        }
        for position, (row, customer, score, contact, band, rank, profit, reasons) in enumerate(
            zip(
                scored.table.rows.tolist(),
                scored.table.ids,
                scored.scores.tolist(),
                decision.contact.tolist(),
                scored.bands,
                decision.rank.tolist(),
                decision.expected_profit.tolist(),
                scored.reasons,
                strict=True,
            ),
            start=1,
        )
    ]


def _replay(stored: StoredReply, digest: str) -> Response:
    """The very bytes of the first answer, under its request id."""
    if stored.body_sha256 != digest:
        raise IdempotencyMismatch("this Idempotency-Key was used before with another request; use a fresh key for each new request")
    g.request_id = msgspec.json.decode(stored.reply, type=_Id).request_id
    return Response(stored.reply, mimetype=JSON, headers={"Idempotent-Replay": "true"})
