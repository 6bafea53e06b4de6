"""POST and DELETE suppressions: whom nobody, or one campaign, may contact. GET them, for administration."""

from __future__ import annotations

from typing import Any, Literal

from flask import Response, g, request

from api.objects import customers_of, read_object, text_of
from api.replies import json_reply
from api.services import Services
from propensity.contact_policy import SUPPRESSED
from propensity.errors import Malformed
from propensity.gate_ports import Suppression

MEMBERS = ("customer_id", "customer_ids", "campaign", "reason", "note")
LIFTED = "lifted"
DEFAULT_LIMIT, MOST_LISTED = 100, 1_000


def post_suppressions(services: Services) -> Response:
    """Suppress customers, all or none. Whoever asks for predictions after the reply does not get them to contact."""
    sent = read_object(MEMBERS)
    reason = sent.get("reason")
    if reason not in SUPPRESSED:
        raise Malformed(f"reason must be one of {', '.join(SUPPRESSED)}")
    return _append(services, sent, "add", reason)


def delete_suppressions(services: Services) -> Response:
    """Lift suppressions: those of every campaign, or of the one that is named. Both stay in the record."""
    sent = read_object(tuple(member for member in MEMBERS if member != "reason"))
    return _append(services, sent, "lift", LIFTED)


def get_suppressions(services: Services) -> Response:
    """Suppressions that hold, the newest first; ``before`` goes on behind the last one of the page before."""
    if set(request.args) - {"campaign", "limit", "before"}:
        raise Malformed("only campaign, limit and before can be asked for")
    campaign = request.args.get("campaign")
    if campaign is not None:
        services.campaign(campaign)
    limit = _number("limit", DEFAULT_LIMIT, MOST_LISTED)
    before = _number("before", None, 2**62)
    found = services.gate.suppressions.listed(customer_id=None, campaign=campaign, limit=limit or DEFAULT_LIMIT, before=before)
    following = found[-1].id if limit is not None and len(found) == limit else None
    return json_reply({"suppressions": [as_json(row) for row in found], "before": following})


def as_json(row: Suppression) -> dict[str, Any]:
    """One entry, as replies show it."""
    return {
        "id": row.id,
        "customer_id": row.customer_id,
        "campaign": row.campaign,
        "reason": row.reason,
        "note": row.note,
        "by": row.actor,
        "since": row.created_at.isoformat(),
    }


def _append(services: Services, sent: dict[str, Any], action: Literal["add", "lift"], reason: str) -> Response:
    names = customers_of(sent)
    campaign = sent.get("campaign")
    if campaign is not None and not (isinstance(campaign, str) and campaign in services.campaigns):
        raise Malformed(f"campaign must be one of {', '.join(services.campaigns)}, or be left out for all of them")
    note = text_of(sent, "note", needed=False)
    g.rows = len(names)
    newest = services.gate.suppressions.add(names, campaign=campaign, action=action, reason=reason, note=note, actor=g.caller.name)
    # This process need not find out by itself; others do with their next request.
    services.gate.gate.refresh()
    return json_reply({"request_id": g.request_id, "action": action, "customers": len(names), "campaign": campaign, "newest": newest})


def _number(name: str, default: int | None, most: int) -> int | None:
    asked = request.args.getlist(name)
    if not asked:
        return default
    if len(asked) > 1 or not asked[0].isascii() or not asked[0].isdigit() or not 1 <= int(asked[0][:20]) <= most:
        raise Malformed(f"{name} must be a whole number from 1 to {most:,}")
    return int(asked[0])
