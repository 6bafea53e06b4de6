"""What a REST API's proxy event says: headers and body."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

from propensity.errors import Malformed, TooLarge


def headers_of(event: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    """Those of the headers that came, in whatever case, spelt as in ``names``. Raises Malformed for one that is not printable ASCII."""
    sent = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    found = {name: sent[name.lower()] for name in names if sent.get(name.lower())}
    for name, value in found.items():
        if not (value.isascii() and value.isprintable()):
            raise Malformed(f"the header {name} must be printable ASCII")
    return found


def body_of(event: Mapping[str, Any], limit_bytes: int, too_large: str) -> bytes:
    """The body as it was sent. Raises TooLarge with that message, Malformed where it is not the base64 that the event says."""
    sent = (event.get("body") or "").encode("utf-8", "surrogatepass")
    if len(sent) > limit_bytes:
        raise TooLarge(too_large)
    if not event.get("isBase64Encoded"):
        return sent
    try:
        return base64.b64decode(sent, validate=True)
    except binascii.Error as exc:
        raise Malformed("the body is marked as base64 but is not") from exc
