"""Whom nobody may contact: objections are recorded by whoever hears them, lifted by operators, and seen by who oversees."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Response, g

from api import suppressions
from api.pages import texts
from api.pages.asking import ask
from api.pages.layout import page
from api.pages.sign_in import form
from propensity.access import SENDERS, Role, access
from propensity.contact_policy import SUPPRESSED
from propensity.errors import DataError, Forbidden, Malformed, RowsInvalid

if TYPE_CHECKING:
    from api.services import Services

ADDRESS = "/v1/suppressions"
FORM_BYTES = 512 * 1024
SHOWN = 100


def get_suppressions(services: Services) -> Response:
    """The page."""
    return _page(services, "", None)


def post_suppressions(services: Services) -> Response:
    """Record or lift. Raises UnsupportedMedia, Malformed, Forbidden, StoreError; what cannot be used a person sees above the form."""
    sent = form(services, FORM_BYTES)
    method = {"add": "POST", "lift": "DELETE"}.get(sent.get("do", ""))
    if method is None:
        raise Malformed("what is to be done must be add or lift")
    if g.caller.role not in access(method, ADDRESS).roles:
        raise Forbidden("a key of another role may do this; to lift a suppression takes an operator's")
    body: dict[str, Any] = {"customer_ids": [line.strip() for line in sent.get("customers", "").splitlines() if line.strip()]}
    body |= {name: sent[name].strip() for name in ("campaign", "note") if sent.get(name, "").strip()}
    view = suppressions.delete_suppressions
    if method == "POST":
        body["reason"], view = sent.get("reason", ""), suppressions.post_suppressions
    try:
        done = ask(view, method, ADDRESS, body, services)
    except DataError as exc:
        told = "; ".join(f"{issue}" for issue in exc.issues[:5]) if isinstance(exc, RowsInvalid) else str(exc)
        return _page(services, "", f"{told[0].upper()}{told[1:].rstrip('.')}.")
    words = texts.suppressions.done_add if method == "POST" else texts.suppressions.done_lift
    return _page(services, words.format(n=done["customers"]), None)


def _page(services: Services, done: str, problem: str | None) -> Response:
    oversees = g.caller.role in access("GET", ADDRESS).roles
    rows = services.gate.suppressions.listed(customer_id=None, campaign=None, limit=SHOWN, before=None) if oversees else []
    return page(
        services,
        "pages/suppressions.html",
        status=HTTPStatus.OK if problem is None else HTTPStatus.UNPROCESSABLE_ENTITY,
        campaigns=services.campaigns,
        reasons=SUPPRESSED,
        rows=rows,
        oversees=oversees,
        may_add=g.caller.role in SENDERS.roles,
        may_lift=g.caller.role == Role.OPERATOR,
        done=done,
        problem=problem,
    )
