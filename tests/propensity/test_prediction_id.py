from __future__ import annotations

import uuid

import pytest

from propensity.errors import NotFound
from propensity.prediction_id import parse_prediction_id, parse_request_id, prediction_id

REQUEST = str(uuid.UUID(int=7))


def test_an_id_is_read_back() -> None:
    assert parse_prediction_id(prediction_id(REQUEST, 12)) == (REQUEST, 12)
    assert parse_request_id(REQUEST) == REQUEST


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        REQUEST,
        f"{REQUEST}.",
        f"{REQUEST}.0",
        f"{REQUEST}.-1",
        f"{REQUEST}.1.1",
        f"{REQUEST}.1\n",
        f"{REQUEST}.9999999999",
        f"{REQUEST}.\u0661",
    ],
)
def test_nonsense_is_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        parse_prediction_id(text)


@pytest.mark.parametrize("text", ["", "x", "{" + REQUEST + "}", REQUEST.upper().replace("0", "A"), REQUEST + "\n"])
def test_nonsense_is_no_request(text: str) -> None:
    with pytest.raises(NotFound):
        parse_request_id(text)
