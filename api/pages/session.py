"""Sessions: whose key was typed in at the sign-in page, kept by the browser in a cookie that this service signs.

The cookie holds a key's id and times, never the key. Each request looks the key up among those that are known, so that a session ends
with its key, at once where that is revoked. It is good for an hour, which use prolongs, and for ten hours at most. The signature needs
a secret: with one of the process' own, which is the default, a restart signs everybody out; several processes need the same one
(``PROPENSITY_SESSION_SECRET``).

The cookie is ``Secure``, ``HttpOnly`` and ``SameSite=Strict``, and opens pages alone, never ``/v1``. Every form carries a token made
from another such cookie, so that no other site can send it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Response, request

from propensity.errors import Malformed, SettingsInvalid, Unauthorized

COOKIE, FORM_COOKIE = "__Host-propensity", "__Host-propensity-form"
IDLE_S, LONGEST_S = 3_600, 36_000
SHORTEST_SECRET = 32
TOKEN = "form_token"  # noqa: S105 - the name of a field
_VALUE = re.compile(r"([0-9a-f]{8})\.(\d{1,12})\.(\d{1,12})\.([A-Za-z0-9_-]{43})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Session:
    """A key's id, when it was typed in, and until when the session is good; in whole seconds since 1970."""

    key_id: str
    begun: int
    ends: int


def utc_now() -> datetime:
    """The present time, in UTC."""
    return datetime.now(UTC)


class Sessions:
    """Makes and reads the cookies.

    Parameters
    ----------
    secret : str
        At least 32 characters, the same in every process that serves; empty for one of this process' own.
    """

    def __init__(self, secret: str = "", clock: Callable[[], datetime] = utc_now) -> None:
        if secret and len(secret) < SHORTEST_SECRET:
            raise SettingsInvalid(f"PROPENSITY_SESSION_SECRET must have at least {SHORTEST_SECRET} characters, or be left out")
        self._secret = secret.encode() or secrets.token_bytes(32)
        self._clock = clock

    def current(self) -> Session:
        """The session of this request. Raises Unauthorized where there is none that is good."""
        found = _VALUE.fullmatch(request.cookies.get(COOKIE, ""))
        if found is None:
            raise Unauthorized("this page asks you to sign in; programs send the header Authorization: Bearer KEY")
        session = Session(found[1], int(found[2]), int(found[3]))
        if not hmac.compare_digest(self._signature(session), found[4]) or not session.begun <= self._now() < session.ends:
            raise Unauthorized("this session is over; sign in again")
        return session

    def begin(self, reply: Response, key_id: str) -> None:
        """Let the browser keep a new session."""
        now = self._now()
        self._keep(reply, Session(key_id, now, now + IDLE_S))

    def prolong(self, reply: Response, session: Session) -> None:
        """Give a session that is used another hour, ten in all."""
        ends = min(self._now() + IDLE_S, session.begun + LONGEST_S)
        if ends - session.ends > IDLE_S // 12:
            self._keep(reply, Session(session.key_id, session.begun, ends))

    def end(self, reply: Response) -> None:
        """Let the browser forget it."""
        _set(reply, COOKIE, "", 0)

    def form_token(self, reply_cookies: dict[str, str]) -> str:
        """The token of a form on the page that is being made; where the browser holds no cookie to bind it to, ``reply_cookies`` gains
        one.
        """
        bound = request.cookies.get(FORM_COOKIE) or reply_cookies.setdefault(FORM_COOKIE, secrets.token_urlsafe(24))
        return self._mac(f"form|{bound}")

    def check_form(self, token: str) -> None:
        """Raises Malformed where the form was not made for this browser, or another site sent it."""
        bound = request.cookies.get(FORM_COOKIE, "")
        elsewhere = request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")
        if elsewhere or not bound or not hmac.compare_digest(self._mac(f"form|{bound}").encode(), token.encode()):
            raise Malformed("this form is no longer good: open its page again and send it from there")

    def _keep(self, reply: Response, session: Session) -> None:
        value = f"{session.key_id}.{session.begun}.{session.ends}.{self._signature(session)}"
        _set(reply, COOKIE, value, session.ends - self._now())

    def _signature(self, session: Session) -> str:
        return self._mac(f"session|{session.key_id}|{session.begun}|{session.ends}")

    def _mac(self, text: str) -> str:
        made = hmac.new(self._secret, text.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(made).decode().rstrip("=")

    def _now(self) -> int:
        return int(self._clock().timestamp())


def keep_form_cookies(reply: Response, cookies: dict[str, str]) -> None:
    """Send the cookies that forms of the page are bound to."""
    for name, value in cookies.items():
        _set(reply, name, value, LONGEST_S)


def _set(reply: Response, name: str, value: str, seconds: int) -> None:
    reply.set_cookie(name, value, max_age=seconds, secure=True, httponly=True, samesite="Strict", path="/")
