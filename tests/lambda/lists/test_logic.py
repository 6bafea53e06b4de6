from __future__ import annotations

import importlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.errors import Malformed

logic = importlib.import_module("lambda.lists.logic")


@given(st.text(max_size=100))
def test_any_address_is_one_of_ours_or_a_problem(path: str) -> None:
    found = logic.asked("GET", path, "id")
    assert isinstance(found, logic.Asked) or found["statusCode"] in (404, 405)


def test_without_a_key_the_request_id_is_the_key() -> None:
    assert [logic.key_of(None, "id"), logic.key_of("mine", "id")] == ["id", "mine"]
    with pytest.raises(Malformed):
        logic.key_of("x" * 201, "id")
