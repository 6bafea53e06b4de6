"""Replies. Floats are written with the digits that read back to the same bits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from flask import Response

from api import media
from propensity.errors import RowIssue

MAX_ERRORS = 1_000
_ENCODER = msgspec.json.Encoder()


def encode(value: object) -> bytes:
    """Compact JSON bytes."""
    return _ENCODER.encode(value)


def json_reply(value: object, status: int = 200, mimetype: str = media.JSON) -> Response:
    """A reply with ``value`` as its body."""
    return Response(encode(value), status=status, mimetype=mimetype)


def errors_json(issues: Sequence[RowIssue], most: int = MAX_ERRORS) -> dict[str, Any]:
    """The first ``most`` issues and how many there are in all."""
    return {"errors": list(_issues(issues[:most])), "errors_total": len(issues)}


def _issues(issues: Iterable[RowIssue]) -> Iterable[dict[str, Any]]:
    return ({"row": i.row, "column": i.column, "code": i.code, "message": i.message} for i in issues)
