"""Bodies made to break things: each is the sender's error, none is ours."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from api.strict_json import parse_json
from propensity.errors import Malformed
from tests.api.conftest import World
from tests.fakes import FakePredictionLog

ROW = {"id": "c1"}
MALFORMED: list[bytes] = [
    b"",
    b" ",
    b"null",
    b"7",
    b'"x"',
    b"true",
    b"[",
    b"[1,]",
    b"[1] x",
    b"{'id':1}",
    b"[NaN]",
    b"[Infinity]",
    b"[-Infinity]",
    b"[1e999]",
    b"[01]",
    b"\xef\xbb\xbf[]",
    b"\xff\xfe[\x00]\x00",
    b'["\xff"]',
    b'["\\ud800"]',
    b'["\\ud800 x"]',
    b'["\xed\xa0\x80"]',
    b"[" * 19_000,
    b"[" * 19_000 + b"]" * 19_000,
    b'{"a":' * 19_000 + b"1" + b"}" * 19_000,
    b"[" + b"9" * 5_000 + b"]",
    b'{"id":1,"id":2}',
    b'[{"id":1,"id" :2}]',
    b'[{"id":1,"i\\u0064":2}]',
    b'{"customers":[{"id":1}],"customers":[{"id":2}]}',
    b'[{"id":{"a":1,"a":2}}]',
    b'[{"id":[{"a":1,"a":2}]}]',
    b'{"customers":{}}',
    b'{"customers":[{"id":1}],"surprise":1}',
    b'{"customers":[{"id":1}],"reasons":true}',
    b'{"customers":[{"id":1}],"reasons":-1}',
    b'{"customers":[{"id":1}],"reasons":1.5}',
    b'{"customers":[{"id":1}],"policy":"profit"}',
    b'{"customers":[{"id":1}],"policy":{"kind":"top_share"}}',
    b'{"customers":[{"id":1}],"policy":{"kind":"top_share","value":2}}',
    b'{"customers":[{"id":1}],"policy":{"kind":["profit"]}}',
    b'{"customers":[{"id":1}],"policy":{"kind":{}}}',
    b'{"customers":[{"id":1}],"policy":{"kind":"budget","value":' + b"9" * 400 + b"}}",
]
VALUES: list[Any] = [True, False, "1", "1_000", "", [], {}, [1], {"a": 1}, "\x00", 10**400, -(10**30), 1e308, None, "NaN", 2**63, "ａ"]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[" + b"{}," * 3_000_000 + b"{}]",
        b"[" + b"1," * 4_000_000 + b"1]",
        b"{" + b",".join(b'"a%d":1' % at for at in range(500_000)) + b"}",
        b'{"columns":{' + b",".join(b'"a%d":[]' % at for at in range(500_000)) + b"}}",
        b'{"columns":{"age":[' + b"1," * 4_000_000 + b"1]}}",
    ],
    ids=range(8),
)
def test_bodies_that_would_unfold_beyond_all_measure_are_refused_before_they_do(world: World, body: bytes) -> None:
    tracemalloc.start()
    try:
        reply = world.client.post("/v1/campaigns/term-deposit/predictions", data=body, content_type="application/json")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (reply.status_code, reply.json["code"]) == (413, "too_large")
    assert most - len(body) < 15_000_000
    assert not world.log.entries


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_bodies_are_refused(world: World, body: bytes) -> None:
    reply = world.client.post("/v1/campaigns/term-deposit/predictions", data=body, content_type="application/json")
    assert reply.status_code == 400, reply.text
    assert reply.content_type == "application/problem+json"
    assert reply.json["code"] == "malformed"
    assert not world.log.entries


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
@pytest.mark.parametrize("column", ["age", "euribor3m", "job"])
def test_values_of_the_wrong_kind_are_refused_row_by_row(world: World, rows: list[dict[str, Any]], column: str, value: object) -> None:
    body = json.dumps([rows[0], {**rows[1], column: value}])
    reply = world.client.post("/v1/campaigns/term-deposit/predictions", data=body, content_type="application/json")
    assert reply.status_code == 200, reply.text
    assert [(e["row"], e["column"]) for e in reply.json["errors"]] == [(2, column)]
    json.loads(reply.data, parse_constant=pytest.fail)


@pytest.mark.parametrize("name", ["\x00", "", "\u202e", "𝔸", "__proto__", "a" * 5_000])
def test_strange_column_names_are_ignored(world: World, rows: list[dict[str, Any]], name: str) -> None:
    reply = world.predict({**rows[0], name: [{"deep": {"er": 1}}]})
    assert reply.status_code == 200
    assert reply.json["ignored_columns"][0]["column"] == name[:100]


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"b":{"c":[1,2,{"d":1}]}}',
        b'{"a":"x\\":","b":1}',
        b'{"a":":","b":"\\\\","c":" :"}',
        b'[{"a":1},{"a":1}]',
        b'{"a" : 1 , "b"\n:\t2}',
        b'{"a":' + b"[" * 50 + b"]" * 50 + b"}",
        b"[0.1,-0.0,1e-400,123456789012345678901234567890]",
    ],
)
def test_sound_json_reads_as_python_reads_it(text: bytes) -> None:
    assert parse_json(text) == json.loads(text)


@pytest.mark.parametrize("text", [b'{"a":1,"b":":","a":2}', b'{"x":{"a":1,"a":2}}', b'[[{"a":1,"a":1}]]', b'{"a":1,"a"\t\n :1}'])
def test_a_key_twice_is_found_wherever_it_hides(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_json(text)


@pytest.mark.parametrize(
    "path", ["/v1/campaigns/%00/predictions", "/v1/campaigns/%ff", "/v1/predictions/%ed%a0%80", "/v1/campaigns/..%2f..%2fetc", "/%00"]
)
def test_strange_addresses(world: World, path: str) -> None:
    for method in ("GET", "POST", "DELETE", "BREW"):
        reply = world.client.open(path, method=method)
        assert reply.status_code in (404, 405, 415)
        assert reply.content_type == "application/problem+json"


def test_an_unexpected_error_says_nothing_of_the_inside(world: World, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("secret-value")

    monkeypatch.setattr(FakePredictionLog, "append", fail)
    reply = world.predict(rows)
    assert (reply.status_code, reply.json["code"]) == (500, "internal_error")
    assert "secret-value" not in reply.text
