"""Sign in with a key, and out again."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response, redirect, request

from api.pages import LISTS, MONITORING, SIGN_IN
from api.pages.layout import page, takes_html
from api.pages.session import TOKEN
from propensity.access import access
from propensity.errors import Malformed, Unauthorized, UnsupportedMedia

if TYPE_CHECKING:
    from api.services import Services

FORM = "application/x-www-form-urlencoded"
LARGEST_FORM_BYTES = 4_096
# A path of this service and its query: no host, no scheme, nothing that a browser reads as either.
_NEXT = re.compile(r"/[a-z][a-z0-9/-]*(\?[A-Za-z0-9=&%._-]*)?", re.ASCII)


def get_sign_in(services: Services) -> Response:
    """The form."""
    return page(services, "pages/sign_in.html", next=_next(request.args.get("next", "")), problem=None)


def post_sign_in(services: Services) -> Response:
    """Begin a session, and go on to the page that was wanted.

    Raises UnsupportedMedia, Malformed, RateLimited, StoreError, and Unauthorized where the caller takes no HTML; a person sees the form
    again.
    """
    sent = form(services)
    wanted = _next(sent.get("next", ""))
    try:
        caller = services.keys.caller(f"Bearer {sent.get('key', '').strip()}")
    except Unauthorized as exc:
        if not takes_html():
            raise
        return page(services, "pages/sign_in.html", status=401, next=wanted, problem=_told(exc))
    home = MONITORING if caller.role in access("GET", MONITORING).roles else LISTS
    reply: Response = redirect(wanted or home, HTTPStatus.SEE_OTHER)  # type: ignore[assignment]
    services.sessions.begin(reply, caller.key_id)
    return reply


def post_sign_out(services: Services) -> Response:
    """End the session, wherever it stands. Raises UnsupportedMedia and Malformed."""
    form(services)
    reply: Response = redirect(SIGN_IN, HTTPStatus.SEE_OTHER)  # type: ignore[assignment]
    services.sessions.end(reply)
    return reply


def form(services: Services, largest: int = LARGEST_FORM_BYTES) -> dict[str, str]:
    """The fields of a form that one of our pages sent. Raises UnsupportedMedia, Malformed."""
    if request.mimetype != FORM:
        raise UnsupportedMedia(f"a form is sent as {FORM}")
    if request.content_length is None or request.content_length > largest:
        raise Malformed(f"a form of these pages has at most {largest} bytes")
    sent = request.form.to_dict()
    services.sessions.check_form(sent.get(TOKEN, ""))
    return sent


def _next(wanted: str) -> str:
    return wanted if _NEXT.fullmatch(wanted) else ""


def _told(refused: Unauthorized) -> str:
    """Without the header's name: a person typed a key."""
    text = str(refused)
    return "That is not a key: it looks like prop_<8 hex digits>_<43 characters>." if "header" in text else f"{text[0].upper()}{text[1:]}."
