"""Who is calling, and whether he may: the keys in memory, and the hook that asks for one before any route's own code runs.

Identity comes from the header Authorization; on pages, where that is missing, from the cookie of a session that began with a key. What a
proxy or a caller writes into any other header says nothing here.
"""

from __future__ import annotations

import logging
import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from flask import g, request

from api.pages.session import Sessions
from propensity.access import Access, ApiKey, Caller, TokenBucket, access, parse_key, whole_seconds
from propensity.errors import Forbidden, PropensityError, RateLimited, StoreError, Unauthorized
from propensity.ports import ApiKeyStore

logger = logging.getLogger("propensity.api.auth")
_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)
_granted: Callable[[str, str], Access] = cache(access)


@dataclass(frozen=True, slots=True)
class _Known:
    """A key ready for use. ``ends_at`` is on this process' monotonic clock, in seconds."""

    key: ApiKey
    caller: Caller
    ends_at: float
    bucket: TokenBucket


class ApiKeys:
    """The keys as they were when Postgres last told them.

    A daemon thread asks every ``reload_s`` seconds, so that no request pays for it and none fails where Postgres does not answer:
    the last known keys stay. Ends are Postgres' times carried on by the monotonic clock: a key also ends during an outage, and at its
    time where this machine's wall clock is wrong.
    """

    def __init__(
        self, store: ApiKeyStore, *, rate_per_s: float, reload_s: float = 1.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._rate_per_s = rate_per_s
        self._reload_s = reload_s
        self._monotonic = monotonic
        self._known: Mapping[str, _Known] | None = None
        self._problem: str | None = "the keys were not read yet"
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look, at once and then every ``reload_s`` seconds. Does not wait for the first look."""
        self._thread = threading.Thread(target=self._watch, name="api-keys", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; returns when it has ended or after a few seconds."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    @property
    def loaded(self) -> bool:
        """Whether the keys were read once."""
        return self._known is not None

    @property
    def problem(self) -> str | None:
        """Why the keys may not be the newest; None where all is well."""
        return self._problem

    @property
    def store(self) -> ApiKeyStore:
        """Where keys are recorded."""
        return self._store

    def caller(self, header: str | None) -> Caller:
        """Who sent this header Authorization; takes one request from his key's bucket.

        Raises
        ------
        Unauthorized
            No key, or one that is unknown, expired or revoked. An unknown id and a wrong secret are told alike.
        RateLimited
            The bucket is empty.
        StoreError
            The keys could not be read since the process began.
        """
        key_id, secret = _sent(header)
        if self._known is None:
            raise StoreError("the keys could not be read yet, so that nobody can be let in; try again shortly")
        known = self._known.get(key_id)
        if known is None or not known.key.holds(secret):
            raise Unauthorized("this key is not known; a new one is known within a few seconds of being made")
        return self._taken(known)

    def signed_in(self, key_id: str) -> Caller:
        """Whose session this is, which began with that key; takes one request from its bucket. Raises as `caller`."""
        if self._known is None:
            raise StoreError("the keys could not be read yet, so that nobody can be let in; try again shortly")
        known = self._known.get(key_id)
        if known is None:
            raise Unauthorized("the key of this session is no longer known; sign in again")
        return self._taken(known)

    def _taken(self, known: _Known) -> Caller:
        now = self._monotonic()
        if now >= known.ends_at:
            raise Unauthorized(_ended(known.key))
        wait_s = known.bucket.take(now)
        if wait_s > 0.0:
            again = whole_seconds(wait_s)
            raise RateLimited(f"this key is good for {known.bucket.rate_per_s:g} requests a second; try again in {again} s", again)
        return known.caller

    def refresh(self) -> None:
        """Look once. Where Postgres does not answer, what was known stays, and `problem` says so."""
        before = self._monotonic()
        try:
            told = self._store.known()
        except PropensityError as exc:
            self._report(str(exc))
            return
        known: dict[str, _Known] = {}
        for key in told.keys:
            # Counted from before the question: at most so much too early, never too late.
            ends_at = math.inf if key.ends_at is None else before + (key.ends_at - told.as_of).total_seconds()
            known[key.key_id] = _Known(key, Caller(key.key_id, key.name, key.role), ends_at, self._bucket(key, before))
        self._known = MappingProxyType(known)
        self._report(None)

    def _bucket(self, key: ApiKey, now: float) -> TokenBucket:
        """The key's own bucket, kept from one look to the next."""
        rate = self._rate_per_s if key.rate_per_s is None else key.rate_per_s
        found = None if self._known is None else self._known.get(key.key_id)
        return found.bucket if found is not None and found.bucket.rate_per_s == rate else TokenBucket(rate, now)

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self.refresh()
            except Exception:
                # The edge of this thread: were it to end, no revocation would ever reach this process again.
                logger.exception("reading the keys failed")
                self._problem = "the last look at the keys failed unexpectedly; see the log"
            self._stop.wait(self._reload_s)

    def _report(self, problem: str | None) -> None:
        if problem is not None and problem != self._problem:
            logger.warning(problem, extra={"fields": {"event": "reload_problem", "about": "api_keys"}})
        self._problem = problem


def authorise(keys: ApiKeys, sessions: Sessions) -> None:
    """Let a request go on to its route, with ``g.caller`` set, or raise.

    ``g.caller`` is None on a public route, and where there is no route: an unknown address is 404 for everybody, since the
    addresses are no secret. Raises Forbidden, and what `ApiKeys.caller` and `Sessions.current` raise.
    """
    if request.url_rule is None:
        return
    granted = _granted(request.method, request.url_rule.rule)
    if granted.public:
        return
    sent = request.environ.get("HTTP_AUTHORIZATION")
    if granted.page and sent is None:
        g.session = session = sessions.current()
        g.caller = caller = keys.signed_in(session.key_id)
    else:
        g.caller = caller = keys.caller(sent)
    if caller.role not in granted.roles:
        allowed = ", ".join(sorted(granted.roles)) or "none"
        raise Forbidden(f"the role {caller.role} may not do this; a key with one of these roles may: {allowed}")


def _sent(header: str | None) -> tuple[str, str]:
    """Id and secret that came. The refusal never repeats them: a mistyped key is nearly a key."""
    if header is None:
        raise Unauthorized("this address asks for a key: send the header Authorization: Bearer KEY")
    found = _BEARER.fullmatch(header)
    parsed = None if found is None else parse_key(found[1])
    if parsed is None:
        raise Unauthorized("the header Authorization must be Bearer and a key, which looks like prop_<8 hex digits>_<43 characters>")
    return parsed


def _ended(key: ApiKey) -> str:
    """Told only to whoever has the secret."""
    how = "was revoked" if key.ends_at == key.revoked_at else "expired"
    return f"this key {how} at {key.ends_at:%Y-%m-%d %H:%M:%S} UTC; ask for another"
