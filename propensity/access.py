"""Who may call the scoring service, and what each role may do on which route.

A key is ``prop_<8 hex digits: its id>_<43 url-safe characters: its secret>``. The id is public, the secret is shown once and kept
as its SHA-256. A fast hash is enough for it: slow, salted hashes protect passwords, which people choose from a space small enough to be
tried out. The secret is 256 bits from the operating system's generator. Whoever steals the hashes would have to try 2**255 of them on
average, and at that number no factor of a slow hash matters; at a request each, it would cost the service milliseconds.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from propensity.errors import DataError

NAME_LENGTH = 100
# A caller who was quiet may catch up with so many seconds' worth at once.
BURST_S = 2.0
_KEY = re.compile(r"prop_([0-9a-f]{8})_([A-Za-z0-9_-]{43})", re.ASCII)
_PARAMETER = re.compile(r"[<{][^<>{}]*[>}]")
_DAY_S = 86_400.0


class Role(StrEnum):
    """What a key is for: to post lists, to run the platform, or to look and change nothing."""

    MARKETING = "marketing"
    OPERATOR = "operator"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request. ``name`` is the owner: it stays the same when the key is rotated, and what he posted stays his."""

    key_id: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a route: anybody, or callers with one of these roles. ``page``: a signed-in person's cookie counts there as his key."""

    roles: frozenset[Role]
    public: bool = False
    page: bool = False


ANYBODY = Access(frozenset(Role), public=True)
EVERY_ROLE = Access(frozenset(Role))
SENDERS = Access(frozenset({Role.MARKETING, Role.OPERATOR}))
OPERATORS = Access(frozenset({Role.OPERATOR}))
OVERSEERS = Access(frozenset({Role.OPERATOR, Role.AUDITOR}))
OVERSEERS_PAGE = Access(OVERSEERS.roles, page=True)
EVERY_ROLE_PAGE = Access(EVERY_ROLE.roles, page=True)
SENDERS_PAGE = Access(SENDERS.roles, page=True)
OPERATORS_PAGE = Access(OPERATORS.roles, page=True)
NOBODY = Access(frozenset())

# The one table: the service enforces it, its description derives from it. A route that is not in it is closed to everybody.
# A marketing caller's predictions are his own: those of another caller are not there for him (api/records.py).
ROUTES: Mapping[tuple[str, str], Access] = MappingProxyType(
    {
        ("POST", "/v1/campaigns/{}/predictions"): SENDERS,
        ("POST", "/v1/campaigns/{}/outcomes"): SENDERS,
        ("GET", "/v1/campaigns/{}/outcomes"): EVERY_ROLE,
        ("GET", "/v1/campaigns"): EVERY_ROLE,
        ("GET", "/v1/campaigns/{}"): EVERY_ROLE,
        ("GET", "/v1/campaigns/{}/schema"): EVERY_ROLE,
        ("GET", "/v1/campaigns/{}/model"): EVERY_ROLE,
        ("GET", "/v1/campaigns/{}/models"): EVERY_ROLE,
        ("POST", "/v1/campaigns/{}/lists"): SENDERS,
        ("GET", "/v1/lists/{}"): EVERY_ROLE,
        ("GET", "/v1/lists/{}/result"): EVERY_ROLE,
        ("GET", "/v1/lists/{}/errors"): EVERY_ROLE,
        # Their signature says what they are good for.
        ("POST", "/v1/uploads/{}"): ANYBODY,
        ("PUT", "/v1/uploads/{}"): ANYBODY,
        ("GET", "/v1/downloads/{}"): ANYBODY,
        ("GET", "/v1/campaigns/{}/promotions"): OVERSEERS,
        ("POST", "/v1/campaigns/{}/promotions"): OPERATORS,
        ("POST", "/v1/campaigns/{}/rollbacks"): OPERATORS,
        ("POST", "/v1/campaigns/{}/approvals"): OPERATORS,
        ("GET", "/v1/predictions/{}"): EVERY_ROLE,
        ("GET", "/v1/campaigns/{}/lift"): EVERY_ROLE,
        # Whoever hears an objection records it; lifting one is a decision.
        ("POST", "/v1/suppressions"): SENDERS,
        ("DELETE", "/v1/suppressions"): OPERATORS,
        ("GET", "/v1/suppressions"): OVERSEERS,
        ("POST", "/v1/erasures"): OPERATORS,
        ("GET", "/v1/erasures/{}"): OVERSEERS,
        ("GET", "/v1/caller"): EVERY_ROLE,
        ("GET", "/v1/alerts"): OVERSEERS,
        ("GET", "/v1/alerts/{}"): OVERSEERS,
        ("POST", "/v1/alerts/{}/acknowledgements"): OPERATORS,
        ("GET", "/v1/flows"): OVERSEERS,
        ("GET", "/metrics"): OVERSEERS,
        ("GET", "/"): ANYBODY,
        ("GET", "/livez"): ANYBODY,
        ("GET", "/startupz"): ANYBODY,
        ("GET", "/readyz"): ANYBODY,
        ("GET", "/openapi.json"): ANYBODY,
        ("GET", "/docs"): ANYBODY,
        ("GET", "/monitoring"): OVERSEERS_PAGE,
        ("GET", "/lists"): EVERY_ROLE_PAGE,
        ("GET", "/lists/new"): SENDERS_PAGE,
        ("POST", "/lists/new"): SENDERS_PAGE,
        ("GET", "/lists/{}"): EVERY_ROLE_PAGE,
        ("POST", "/lists/{}"): SENDERS_PAGE,
        ("GET", "/lists/{}/state"): EVERY_ROLE_PAGE,
        ("GET", "/lists/{}/sheet"): EVERY_ROLE_PAGE,
        ("GET", "/lists/{}/refused"): EVERY_ROLE_PAGE,
        ("GET", "/lists/{}/excluded"): EVERY_ROLE_PAGE,
        ("GET", "/customer"): SENDERS_PAGE,
        ("POST", "/customer"): SENDERS_PAGE,
        ("GET", "/predictions/{}"): EVERY_ROLE_PAGE,
        ("GET", "/campaigns"): EVERY_ROLE_PAGE,
        ("GET", "/campaigns/{}"): EVERY_ROLE_PAGE,
        ("GET", "/campaigns/{}/report"): EVERY_ROLE_PAGE,
        ("GET", "/suppressions"): EVERY_ROLE_PAGE,
        ("POST", "/suppressions"): SENDERS_PAGE,
        ("GET", "/models"): OVERSEERS_PAGE,
        ("POST", "/models"): OPERATORS_PAGE,
        ("GET", "/administration"): OVERSEERS_PAGE,
        ("POST", "/administration"): OPERATORS_PAGE,
        ("GET", "/sign-in"): ANYBODY,
        ("POST", "/sign-in"): ANYBODY,
        ("POST", "/sign-out"): ANYBODY,
        ("GET", "/static/{}"): ANYBODY,
        ("GET", "/favicon.ico"): ANYBODY,
    }
)
_METHODS = {path: {method for method, known in ROUTES if known == path} for _, path in ROUTES}


def access(method: str, path: str) -> Access:
    """Who may use a route; `NOBODY` where the table has none such.

    Parameters
    ----------
    method : str
        HEAD is as GET. OPTIONS, which only tells the methods, is open to whoever may be open to any of them.
    path : str
        With parameters written ``{name}`` or ``<name>``; what they are called makes no difference.
    """
    template = _PARAMETER.sub("{}", path)
    if method == "OPTIONS":
        granted = [ROUTES[known, template] for known in _METHODS.get(template, ())]
        return ANYBODY if any(g.public for g in granted) else EVERY_ROLE if granted else NOBODY
    return ROUTES.get(("GET" if method == "HEAD" else method, template), NOBODY)


@dataclass(frozen=True)
class NewKey:
    """A key to be stored; Postgres sets the times. ``lifetime_s`` in seconds, None for ever; ``rate_per_s`` None for the service's own."""

    key_id: str
    name: str
    role: Role
    secret_sha256: bytes = field(repr=False)
    created_by: str
    rate_per_s: float | None = None
    lifetime_s: float | None = None


@dataclass(frozen=True)
class ApiKey:
    """A stored key. ``revoked_at`` is the earliest of its revocations and may lie ahead: a rotated key lives on for a while."""

    key_id: str
    name: str
    role: Role
    secret_sha256: bytes = field(repr=False)
    created_at: datetime
    created_by: str
    rate_per_s: float | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    reason: str | None = None

    @property
    def ends_at(self) -> datetime | None:
        """When it stops, or stopped, to be accepted; None for never."""
        return min((at for at in (self.expires_at, self.revoked_at) if at is not None), default=None)

    def accepted(self, at: datetime) -> bool:
        """Whether the key opens anything at that moment."""
        return self.ends_at is None or at < self.ends_at

    def holds(self, secret: str) -> bool:
        """Whether this is the key's secret; takes the same time whatever is wrong with it."""
        return hmac.compare_digest(sha256(secret), self.secret_sha256)


@dataclass(frozen=True)
class KnownKeys:
    """Every key, and the time by Postgres' clock at which it was so."""

    as_of: datetime
    keys: Sequence[ApiKey]


def sha256(secret: str) -> bytes:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode("ascii")).digest()


def parse_key(text: str) -> tuple[str, str] | None:
    """Id and secret of a key's text; None where it is none."""
    found = _KEY.fullmatch(text)
    return None if found is None else (found[1], found[2])


def new_key(name: str, role: Role, *, by: str, rate_per_s: float | None = None, lifetime_days: float | None = None) -> tuple[str, NewKey]:
    """A fresh key: its text, to be shown once and forgotten, and what is stored of it. Raises DataError with what is allowed."""
    if not 0 < len(name) <= NAME_LENGTH or not name.isprintable() or name != name.strip():
        raise DataError(f"the name of a key's owner must be 1 to {NAME_LENGTH} printable characters, without spaces around them")
    for what, value in (("the rate, in requests per second,", rate_per_s), ("the lifetime, in days,", lifetime_days)):
        if value is not None and not 0 < value <= 1e6:
            raise DataError(f"{what} must be a number above 0 and at most 1,000,000")
    key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    lifetime_s = None if lifetime_days is None else lifetime_days * _DAY_S
    return f"prop_{key_id}_{secret}", NewKey(key_id, name, role, sha256(secret), by, rate_per_s, lifetime_s)


def successor(old: ApiKey, *, by: str) -> tuple[str, NewKey]:
    """A fresh key for the same owner, role and rate, which lasts from now as long as ``old`` was made to last."""
    days = None if old.expires_at is None else (old.expires_at - old.created_at).total_seconds() / _DAY_S
    return new_key(old.name, old.role, by=by, rate_per_s=old.rate_per_s, lifetime_days=days)


class TokenBucket:
    """Allows ``rate_per_s`` requests a second on average and twice as many at once; shared by threads.

    Parameters
    ----------
    rate_per_s : float
        Requests per second, above 0.
    now : float
        The monotonic clock, in seconds; the bucket begins full.
    """

    def __init__(self, rate_per_s: float, now: float) -> None:
        self.rate_per_s = rate_per_s
        self._size = max(1.0, BURST_S * rate_per_s)
        self._left = self._size
        self._at = now
        self._lock = threading.Lock()

    def take(self, now: float) -> float:
        """0.0 where the request may go ahead; else the seconds after which one may, and nothing is taken."""
        with self._lock:
            if now > self._at:
                self._left = min(self._size, self._left + (now - self._at) * self.rate_per_s)
                self._at = now
            # Who waited as long as he was told must not fail by a rounding error.
            if self._left >= 1.0 - 1e-9:
                self._left -= 1.0
                return 0.0
            return (1.0 - self._left) / self.rate_per_s


def whole_seconds(wait_s: float) -> int:
    """A wait as the header Retry-After tells it: rounded up, at least 1."""
    return max(1, math.ceil(wait_s))
