"""The service's JSON reader against Python's own, on documents that hypothesis writes and damages."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.strict_json import parse_json
from propensity.errors import Malformed

LIMIT = settings(max_examples=300, deadline=None)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5), max_leaves=30
)
ROWS = st.lists(st.dictionaries(TEXTS, SCALARS, max_size=6), max_size=20)
DOCUMENTS = VALUES | ROWS
PADDING = st.text(" \t\r\n", max_size=4)


def same(one: Any, other: Any) -> bool:
    """Equal, and of equal types: 1, 1.0 and true are three values."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other and (not isinstance(one, float) or math.copysign(1, one) == math.copysign(1, other)))


def refused_or_as_python_reads_it(data: bytes) -> None:
    """The reader may refuse more than Python does; what it reads, Python reads too, and the same. Nothing but a refusal is raised."""
    try:
        value = parse_json(data)
    except Malformed:
        return
    assert same(value, json.loads(data))


@LIMIT
@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 1]), PADDING, PADDING)
def test_sound_documents_read_as_python_reads_them(value: Any, ascii_only: bool, indent: int | None, before: str, after: str) -> None:
    text = before + json.dumps(value, ensure_ascii=ascii_only, indent=indent, allow_nan=False) + after
    assert same(parse_json(text.encode()), value)


@LIMIT
@given(DOCUMENTS, st.data())
def test_damaged_documents_are_refused_or_read_as_python_reads_them(value: Any, data: st.DataObject) -> None:
    text = bytearray(json.dumps(value, ensure_ascii=data.draw(st.booleans())).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        piece = data.draw(
            st.binary(max_size=3) | st.sampled_from([b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"e9", b"-", b"NaN", b"0"])
        )
        text[at : at + data.draw(st.integers(0, 3))] = piece
    refused_or_as_python_reads_it(bytes(text))


@LIMIT
@given(st.binary(max_size=200))
@example(b"[" * 200)
@example(b'{"a":' * 40)
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    refused_or_as_python_reads_it(data)


@LIMIT
@given(st.dictionaries(TEXTS, SCALARS, min_size=1, max_size=6), st.data())
def test_a_key_twice_is_refused_wherever_it_stands(row: dict[str, Any], data: st.DataObject) -> None:
    again = data.draw(st.sampled_from(sorted(row)))
    members = [f"{json.dumps(name, ensure_ascii=data.draw(st.booleans()))}:{json.dumps(value)}" for name, value in row.items()]
    members.insert(data.draw(st.integers(0, len(members))), f"{json.dumps(again)}{data.draw(PADDING)}:{data.draw(PADDING)}{json.dumps(1)}")
    text = "{" + ",".join(members) + "}"
    wrapped = data.draw(st.sampled_from(["%s", "[%s]", '{"customers":[%s]}', '{"x":{"y":%s}}', "[[%s]]"])).replace("%s", text)
    with pytest.raises(Malformed):
        parse_json(wrapped.encode())


@LIMIT
@given(DOCUMENTS, st.sampled_from(["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "01", "1.", ".5", "+1", "0x1", "'a'", "undefined"]))
def test_what_is_no_number_in_json_is_refused(value: Any, bad: str) -> None:
    with pytest.raises(Malformed):
        parse_json(f"[{json.dumps(value)},{bad}]".encode())


@LIMIT
@given(TEXTS, st.integers(0xD800, 0xDFFF))
def test_a_lone_surrogate_is_refused(text: str, surrogate: int) -> None:
    head = json.dumps(text)[:-1]
    with pytest.raises(Malformed):
        parse_json(f'{head} \\u{surrogate:04x} "'.encode())
