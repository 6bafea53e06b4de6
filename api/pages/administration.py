"""Administration: keys are made and revoked, and customers forgotten, by an operator who shows his own key once more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response, g, request

from api import erasures
from api.pages import texts
from api.pages.asking import ask
from api.pages.layout import page
from api.pages.sign_in import form
from propensity.access import ApiKey, Role, new_key, parse_key
from propensity.errors import AccessError, DataError, Forbidden, Malformed, RowsInvalid

if TYPE_CHECKING:
    from api.services import Services


@dataclass(frozen=True)
class Done:
    """What was done just now: in words, and the text of a new key, which is shown this once."""

    told: str
    key: str = ""


def get_administration(services: Services) -> Response:
    """The page."""
    return _page(services, None, None)


def post_administration(services: Services) -> Response:
    """Make or revoke a key, forget a customer. Raises UnsupportedMedia, Malformed, StoreError; what cannot be done is told on the page."""
    sent = form(services)
    try:
        done = _do(services, sent)
    except (DataError, AccessError) as exc:
        if isinstance(exc, Malformed):
            raise
        told = "; ".join(map(str, exc.issues[:5])) if isinstance(exc, RowsInvalid) else str(exc)
        return _page(services, None, f"{told[0].upper()}{told[1:].rstrip('.')}.")
    services.keys.refresh()
    return _page(services, done, None)


def _do(services: Services, sent: Mapping[str, str]) -> Done:
    own = sent.get("own", "").strip()
    found = parse_key(own)
    # Another operator's key would do for the database; here it must be that of the person who is signed in.
    if found is None or found[0] != g.caller.key_id:
        raise Forbidden("that is not the key that you signed in with")
    match sent.get("do"):
        case "make":
            role = next((role for role in Role if role == sent.get("role")), None)
            if role is None:
                raise Malformed(f"the role must be one of {', '.join(Role)}")
            text, new = new_key(sent.get("name", "").strip(), role, by=g.caller.name, lifetime_days=_days(sent.get("days", "")))
            services.keys.store.add_by(own, new)
            return Done(texts.administration.done_made.format(name=new.name), text)
        case "revoke":
            reason = sent.get("reason", "").strip()
            if not reason or len(reason) > 500:
                raise DataError("a reason is needed, of at most 500 characters")
            key = services.keys.store.revoke_by(own, sent.get("key_id", ""), reason=reason)
            return Done(texts.administration.done_revoked.format(id=key.key_id))
        case "erase":
            body = {"customer_id": sent.get("customer", "").strip(), "reason": sent.get("reason", "").strip()}
            done = ask(erasures.post_erasures, "POST", "/v1/erasures", body, services)
            words = texts.erasures.done if done["complete"] else texts.erasures.going_on
            return Done(words.format(id=done["erasure_id"], **done["erased"]))
        case _:
            raise Malformed("what is to be done must be make, revoke or erase")


def _days(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError as exc:
        raise DataError("the lifetime, in days, must be a number above 0") from exc


def _page(services: Services, done: Done | None, problem: str | None) -> Response:
    known = services.keys.store.known()
    keys = sorted(known.keys, key=lambda key: key.created_at, reverse=True)
    return page(
        services,
        "pages/administration.html",
        status=HTTPStatus.OK if problem is None else HTTPStatus.UNPROCESSABLE_ENTITY,
        keys=[(key, _state(key, known.as_of)) for key in keys],
        living=[key for key in keys if key.accepted(known.as_of) and key.key_id != g.caller.key_id],
        roles=list(Role),
        done=done,
        problem=problem,
        sent=request.form if problem else {},
        may_change=g.caller.role == Role.OPERATOR,
    )


def _state(key: ApiKey, as_of: datetime) -> str:
    if key.accepted(as_of):
        return "good"
    return "revoked" if key.ends_at == key.revoked_at else "expired"
