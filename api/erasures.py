"""POST erasures: make what is kept of one customer unreadable. GET one: its receipt."""

from __future__ import annotations

from typing import Any

from flask import Response, g

from api.objects import customers_of, read_object, text_of
from api.replies import json_reply
from api.services import Services
from propensity.erasure import LEFT
from propensity.errors import NotFound
from propensity.gate_ports import Erased
from propensity.prediction_id import parse_request_id

MEMBERS = ("customer_id", "reason")
# Other requests have the other threads; a log that takes longer is for the command.
DEADLINE_S = 20.0
UNKNOWN = "no erasure has this id"


def post_erasures(services: Services) -> Response:
    """Erase a customer, by the id as it was sent. 202 where the log was not looked through to its end: the command does that."""
    sent = read_object(MEMBERS)
    (name,) = customers_of(sent)
    reason = text_of(sent, "reason", needed=True)
    assert reason is not None, "it is needed"
    done = services.gate.erasures.erase(g.request_id, name, actor=g.caller.name, reason=reason, deadline_s=DEADLINE_S)
    return json_reply(as_json(done), 200 if done.complete else 202)


def get_erasure(services: Services, wanted: str) -> Response:
    """What an erasure did."""
    try:
        found = services.gate.erasures.receipt(parse_request_id(wanted))
    except NotFound as exc:
        raise NotFound(UNKNOWN) from exc
    if found is None:
        raise NotFound(UNKNOWN)
    return json_reply(as_json(found))


def as_json(done: Erased) -> dict[str, Any]:
    """A receipt, as replies show it."""
    return {
        "erasure_id": done.erasure_id,
        "complete": done.complete,
        "at": None if done.created_at is None else done.created_at.isoformat(),
        "erased": {
            "requests": done.requests,
            "predictions": done.predictions,
            "replies": done.replies,
            "outcomes": done.outcomes,
            "suppressions": done.suppressions,
            "contacts": done.contacts,
        },
        "left": [{"what": what, "why": why} for what, why in LEFT],
    }
