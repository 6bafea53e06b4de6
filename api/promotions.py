"""Who or what put which model live: the history, and what an operator decides about it.

A decision is a row in the ledger and nothing else: this process and every other take the model within their reload interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, g, request

from api import media
from api.bodies import read_request
from api.replies import json_reply
from api.services import Services
from api.strict_json import parse_json
from propensity.decisions import State, approve, promote_known, reject, roll_back
from propensity.errors import DataError, Malformed, UnsupportedMedia
from propensity.ports import Promotion
from propensity.promotion import live_in, parse_choice

MOST_DECISIONS = 200
DECISIONS = 50
LARGEST_SEQUENCE = 2**31 - 1
# What each decision may be sent, and of which type; `reason` belongs to all of them.
PROMOTE: Mapping[str, type] = {"model": str, "reason": str, "override": bool}
ROLL_BACK: Mapping[str, type] = {"reason": str, "live": str}
APPROVE: Mapping[str, type] = {"approve": bool, "reason": str, "sequence": int}
_NAMES = {str: "a text", bool: "true or false", int: "a whole number"}


def list_promotions(services: Services, campaign: str) -> Response:
    """Decisions, the newest first, a page at a time; what waits for approval; what is live."""
    services.campaign(campaign)
    limit, before = _page()
    rows = services.models.ledger.page(campaign, before, limit)
    state = State(campaign, services.models.history(campaign))
    more = len(rows) == limit and rows[-1].sequence > 1
    return json_reply(
        {
            "campaign": campaign,
            "live": None if state.live is None else shown(state.live),
            "waiting": [{**shown(row), "fits": state.fits(row)} for row in state.waiting()],
            "promotions": [shown(row) for row in rows],
            "next": f"/v1/campaigns/{campaign}/promotions?limit={limit}&before={rows[-1].sequence}" if more else None,
        }
    )


def post_promotion(services: Services, campaign: str) -> Response:
    """Put a model live that stands in the history."""
    services.campaign(campaign)
    sent = _sent(PROMOTE, needed=("model", "reason"))
    wanted, override = parse_choice(sent["model"]), sent.get("override", False)
    check = _check(services, campaign)
    ledger = services.models.ledger
    row = promote_known(ledger, campaign, wanted, g.caller.name, sent["reason"], check=check, override=override)
    return _decided(services, campaign, row)


def post_rollback(services: Services, campaign: str) -> Response:
    """Put the model back that was live before."""
    services.campaign(campaign)
    sent = _sent(ROLL_BACK, needed=("reason",))
    if "live" in sent and len(parse_choice(sent["live"])) < 12:
        raise Malformed("live must be the version or the digest of the model that is to go")
    check = _check(services, campaign)
    row = roll_back(services.models.ledger, campaign, g.caller.name, sent["reason"], check=check, expected=sent.get("live"))
    return _decided(services, campaign, row)


def post_approval(services: Services, campaign: str) -> Response:
    """Approve or reject the model that waits."""
    services.campaign(campaign)
    sent = _sent(APPROVE, needed=("approve", "reason"))
    ledger, who, reason, sequence = services.models.ledger, g.caller.name, sent["reason"], sent.get("sequence")
    if sent["approve"]:
        row = approve(ledger, campaign, who, reason, check=_check(services, campaign), sequence=sequence)
    else:
        row = reject(ledger, campaign, who, reason, sequence=sequence)
    return _decided(services, campaign, row)


def shown(row: Promotion) -> dict[str, Any]:
    """A decision as a reply holds it."""
    return {
        "sequence": row.sequence,
        "action": row.action,
        "step": row.step or None,
        "model": {"version": row.model_version, "digest": row.model_digest},
        "replaces": row.replaces,
        "reasons": row.reasons,
        "evidence": row.evidence,
        "decided_by": row.actor,
        "decided_at": None if row.created_at is None else row.created_at.isoformat(),
    }


def _decided(services: Services, campaign: str, row: Promotion | None) -> Response:
    """``row`` is None where all was so already."""
    stands = row or live_in(services.models.ledger.history(campaign))
    return json_reply({"campaign": campaign, "changed": row is not None, "decision": None if stands is None else shown(stands)})


def _check(services: Services, campaign: str) -> Callable[[str], object]:
    declared = services.campaign(campaign)
    return lambda digest: services.models.verify(declared, digest)


def _sent(known: Mapping[str, type], needed: tuple[str, ...]) -> dict[str, Any]:
    """The body, an object with these members alone. Raises UnsupportedMedia, Malformed, DataError."""
    if request.mimetype != media.JSON:
        raise UnsupportedMedia(f"a decision is sent with the header Content-Type: {media.JSON}")
    sent = parse_json(read_request(request))
    if not isinstance(sent, dict) or set(sent) - set(known):
        raise Malformed(f"the body must be an object that holds {', '.join(known)} and nothing else")
    missing = [name for name in needed if name not in sent]
    if missing:
        raise DataError(f"the body must hold {', '.join(missing)}")
    for name, value in sent.items():
        if type(value) is not known[name]:
            raise Malformed(f"{name} must be {_NAMES[known[name]]}")
    if not 1 <= sent.get("sequence", 1) <= LARGEST_SEQUENCE:
        raise Malformed("sequence must be the number of a decision")
    return sent


def _page() -> tuple[int, int | None]:
    if set(request.args) - {"limit", "before"}:
        raise Malformed("the address takes the parameters limit and before, and no others")
    limit, before = _whole("limit", MOST_DECISIONS), _whole("before", LARGEST_SEQUENCE)
    return limit or DECISIONS, before


def _whole(name: str, most: int) -> int | None:
    text = request.args.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= most):
        raise Malformed(f"{name} must be a whole number from 1 to {most}")
    return int(text)
