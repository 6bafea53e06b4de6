"""Ids of predictions: the request's UUID, a dot, and the position of the prediction in the request, from 1."""

from __future__ import annotations

import re

from propensity.errors import NotFound

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_REQUEST_ID = re.compile(_UUID)
_PREDICTION_ID = re.compile(rf"({_UUID})\.([1-9][0-9]{{0,8}})")


def prediction_id(request_id: str, position: int) -> str:
    """The id of the prediction at ``position`` (the first is 1) of a request."""
    return f"{request_id}.{position}"


def parse_prediction_id(text: str) -> tuple[str, int]:
    """Split a prediction id into request id and position (from 1). Raises NotFound where it cannot be one."""
    match = _PREDICTION_ID.fullmatch(text)
    if match is None:
        raise NotFound("no prediction has this id; ids look like <request id>.<position>, as the reply to a list shows them")
    return match[1], int(match[2])


def parse_request_id(text: str) -> str:
    """The id itself, where it can be the id of a request (a UUID in lower case). Raises NotFound otherwise."""
    if _REQUEST_ID.fullmatch(text) is None:
        raise NotFound("no request has this id; request ids are UUIDs in lower case, as every reply shows them")
    return text
