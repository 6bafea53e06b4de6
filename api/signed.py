"""Addresses of this service by which somebody without a key may upload or download one object, within a time and a size.

What S3's presigned addresses are on AWS. An address is a JSON object and its HMAC, both in base64 for addresses; it says what may be done
to which object, until when. The secret is that of the sessions: with one of the process' own, a restart ends all addresses, and whoever
creates a list again under the same key is given fresh ones.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from propensity.errors import Forbidden

UPLOADS, DOWNLOADS = "/v1/uploads/", "/v1/downloads/"
FORM, PART, COMPLETE, DOWNLOAD = "form", "part", "complete", "download"
_LONGEST = 1_000


@dataclass(frozen=True, slots=True)
class Allowed:
    """What an address allows.

    Attributes
    ----------
    key : str
        The object.
    smallest, largest : int
        Bytes that an upload may have.
    part : int
        Number of a part, from 1; of the last one, how many there are; 0 where the upload has none.
    name : str
        What a browser saves a download as.
    """

    what: str
    key: str
    until: int
    smallest: int = 0
    largest: int = 0
    part: int = 0
    upload: str = ""
    name: str = ""


class LocalSigner:
    """`propensity.list_service.Signer` for addresses of this service, relative to its own.

    Parameters
    ----------
    clock : callable
        Seconds since 1970.
    """

    def __init__(self, secret: str, clock: Callable[[], float]) -> None:
        self._secret = hashlib.sha256(b"addresses\0" + (secret.encode() or secrets.token_bytes(32))).digest()
        self._clock = clock

    def form(self, key: str, *, smallest: int, largest: int, expires_s: int) -> dict[str, Any]:
        """Address of a form with one file, and no more fields: ``{"url", "fields"}``."""
        return {"url": UPLOADS + self._sign(Allowed(FORM, key, self._until(expires_s), smallest, largest)), "fields": {}}

    def begin_parts(self, key: str) -> str:  # noqa: ARG002 - the port's
        """The id of an upload in parts."""
        return secrets.token_hex(16)

    def part(self, key: str, upload_id: str, number: int, size_bytes: int, *, expires_s: int) -> str:
        """Address for the PUT of one part of exactly that size."""
        until = self._until(expires_s)
        return UPLOADS + self._sign(Allowed(PART, key, until, size_bytes, size_bytes, part=number, upload=upload_id))

    def complete(self, key: str, upload_id: str, *, expires_s: int) -> str:
        """Address for the POST that puts the parts together, which changes nothing where the object is there already."""
        return UPLOADS + self._sign(Allowed(COMPLETE, key, self._until(expires_s), upload=upload_id))

    def download(self, key: str, *, name: str, media_type: str, expires_s: int) -> str:  # noqa: ARG002 - the name says it
        """Address from which a browser saves the object under that name."""
        return DOWNLOADS + self._sign(Allowed(DOWNLOAD, key, self._until(expires_s), name=name))

    def read(self, token: str, *whats: str) -> Allowed:
        """What an address allows. Raises Forbidden where it was made up or is over, or is not for any of ``whats``."""
        body, _, mac = token.partition(".")
        if len(token) > _LONGEST or not hmac.compare_digest(self._mac(body).encode(), mac.encode()):
            raise Forbidden("this address was not made by this service, or by one that has restarted since; ask for another")
        try:
            allowed = Allowed(**json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))
        except (binascii.Error, ValueError, TypeError) as exc:
            raise Forbidden("this address was not made by this version of the service; ask for another") from exc
        if allowed.what not in whats:
            raise Forbidden("this address is for something else: each says its method")
        if self._clock() >= allowed.until:
            raise Forbidden("this address has expired; ask for another")
        return allowed

    def _until(self, expires_s: int) -> int:
        return int(self._clock()) + expires_s

    def _sign(self, allowed: Allowed) -> str:
        said = {name: value for name in allowed.__slots__ if (value := getattr(allowed, name))}
        body = base64.urlsafe_b64encode(json.dumps(said, separators=(",", ":")).encode()).decode().rstrip("=")
        return f"{body}.{self._mac(body)}"

    def _mac(self, body: str) -> str:
        return base64.urlsafe_b64encode(hmac.new(self._secret, body.encode(), hashlib.sha256).digest()).decode().rstrip("=")
