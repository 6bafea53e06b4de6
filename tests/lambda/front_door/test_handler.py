from __future__ import annotations

import base64
import gzip
import io
import json
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from types import ModuleType
from typing import Any

import pytest

from tests.proxy_events import PATH, Context, code, event

MIB = 1024 * 1024
JSON = ("Content-Type", "application/json")


def drip(upstream: Any) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer that comes byte by byte, and would end well after five seconds."""

    def send(asked: BaseHTTPRequestHandler) -> None:
        asked.send_response(200)
        asked.send_header("Content-Length", "100")
        asked.end_headers()
        for _ in range(100):
            if upstream.over.wait(0.05):
                return
            try:
                asked.wfile.write(b" ")
            except OSError:
                return

    return send


def test_request_and_answer_pass_unchanged(front_door: ModuleType, upstream: Any, log: io.StringIO) -> None:
    upstream.answers(422, '{"name": "Zoë"}'.encode(), JSON, ("X-Twice", "1"), ("X-Twice", "2"))
    reply = front_door.handle(event(body='[{"age": 40, "city": "Köln"}]'), Context())
    ((method, target, _, body),) = upstream.asked
    assert (method, target, body.decode()) == ("POST", PATH, '[{"age": 40, "city": "Köln"}]')
    assert (reply["statusCode"], reply["body"], reply["isBase64Encoded"]) == (422, '{"name": "Zoë"}', False)
    assert reply["multiValueHeaders"]["X-Twice"] == ["1", "2"]
    assert not {"Content-Length", "Connection", "Server", "Date"} & set(reply["multiValueHeaders"])
    json.dumps(reply)


def test_address_reaches_the_service_as_it_was_sent(front_door: ModuleType, upstream: Any, log: io.StringIO) -> None:
    upstream.answers(200, b"{}", JSON)
    query = {"policy": ["top_share"], "value": ["0.3"], "note": ["a&b c", "é"]}
    front_door.handle(event("GET", "/v1/predictions/a%2Fb c\r\nd", None, multiValueQueryStringParameters=query), Context())
    ((_, target, _, body),) = upstream.asked
    assert target == "/v1/predictions/a%2Fb%20c%0D%0Ad?policy=top_share&value=0.3&note=a%26b+c&note=%C3%A9"
    assert body == b""


def test_only_named_headers_are_passed_on(front_door: ModuleType, upstream: Any, log: io.StringIO) -> None:
    upstream.answers(200, b"{}", JSON)
    wanted = {"accept": "text/csv", "CONTENT-TYPE": "text/csv", "idempotency-key": "k1", "x-request-id": "r1", "authorization": "Bearer k"}
    claimed = {"X-Api-Key": "x", "X-Forwarded-For": "10.0.0.1", "X-User": "root", "Cookie": "x", "Host": "x"}
    front_door.handle(event(headers={**wanted, **claimed}), Context())
    ((_, _, headers, _),) = upstream.asked
    passed = {"Accept": "text/csv", "Authorization": "Bearer k", "Content-Type": "text/csv", "Idempotency-Key": "k1", "X-Request-Id": "r1"}
    assert passed.items() <= headers.items()
    assert not set(claimed) - {"Host"} & set(headers)
    assert headers["Host"] == f"127.0.0.1:{upstream.port}"


def test_a_post_always_carries_an_idempotency_key_and_says_which(front_door: ModuleType, upstream: Any, log: io.StringIO) -> None:
    upstream.answers(200, b"{}", JSON)
    replies = [front_door.handle(event(), Context()), front_door.handle(event("GET", body=None), Context())]
    assert [headers.get("Idempotency-Key") for _, _, headers, _ in upstream.asked] == ["from-api-gateway", None]
    assert [reply["multiValueHeaders"].get("Idempotency-Key") for reply in replies] == [["from-api-gateway"], None]


def test_base64_in_and_out_keeps_every_byte(front_door: ModuleType, upstream: Any, log: io.StringIO) -> None:
    every = bytes(range(256))
    upstream.answers(200, every[::-1], ("Content-Type", "application/octet-stream"))
    reply = front_door.handle(event(body=base64.b64encode(every).decode(), isBase64Encoded=True), Context())
    assert upstream.asked[0][3] == every
    assert reply["isBase64Encoded"] is True
    assert base64.b64decode(reply["body"]) == every[::-1]


@pytest.mark.parametrize("headers", [(("Content-Type", "text/csv; charset=utf-16"),), (JSON, ("Content-Encoding", "gzip"))])
def test_what_is_not_utf_8_text_is_returned_as_bytes(front_door: ModuleType, upstream: Any, log: io.StringIO, headers: Any) -> None:
    upstream.answers(200, b"\xff\xfea\x00", *headers)
    reply = front_door.handle(event(), Context())
    assert base64.b64decode(reply["body"]) == b"\xff\xfea\x00"
    assert reply["isBase64Encoded"] is True


@pytest.mark.parametrize("sent", [{"body": "*", "isBase64Encoded": True}, {"headers": {"Idempotency-Key": "schlüssel"}}])
def test_what_cannot_be_passed_on_is_refused_before_it_is(front_door: ModuleType, upstream: Any, log: io.StringIO, sent: Any) -> None:
    reply = front_door.handle(event(**sent), Context())
    assert (reply["statusCode"], code(reply)) == (400, "malformed")
    assert upstream.asked == []


def test_a_body_over_the_limit_is_refused_with_the_way_out(front_door: ModuleType, upstream: Any, log: io.StringIO) -> None:
    upstream.answers(200, b"{}", JSON)
    reply = front_door.handle(event(body=" " * (6 * MIB + 1)), Context())
    assert (reply["statusCode"], code(reply)) == (413, "too_large")
    assert "POST /v1/campaigns/{campaign}/lists" in reply["body"]
    assert upstream.asked == []
    assert front_door.handle(event(body=" " * (6 * MIB)), Context())["statusCode"] == 200


def test_an_answer_that_lambda_could_not_return_is_a_problem_too(front_door: ModuleType, upstream: Any, log: io.StringIO) -> None:
    upstream.answers(200, b'"' * (3 * MIB), JSON)  # as JSON text in the reply every quote takes two characters
    reply = front_door.handle(event(), Context())
    assert (reply["statusCode"], code(reply)) == (413, "too_large")
    assert "/lists" in reply["body"]


def test_no_answer_in_time_is_504_and_says_how_to_ask_again(
    front_door: ModuleType, upstream: Any, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPENSITY_SCORING_TIMEOUT_S", "0.3")
    upstream.answer = lambda _: upstream.over.wait(20)
    reply = front_door.handle(event(headers={"Idempotency-Key": "mine"}), Context())
    assert (reply["statusCode"], code(reply)) == (504, "gateway_timeout")
    assert reply["multiValueHeaders"]["Idempotency-Key"] == ["mine"]


def test_a_dripping_answer_is_not_waited_for(
    front_door: ModuleType, upstream: Any, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPENSITY_SCORING_TIMEOUT_S", "0.5")
    upstream.answer = drip(upstream)
    assert front_door.handle(event(), Context())["statusCode"] == 504


def test_the_function_answers_before_its_own_time_is_up(front_door: ModuleType, upstream: Any, log: io.StringIO) -> None:
    upstream.answer = drip(upstream)
    assert front_door.handle(event(), Context(left_ms=1_500))["statusCode"] == 504


def test_a_service_that_is_not_there_is_503_with_retry_after(
    front_door: ModuleType, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:  # bound but not listening: refuses, and nobody else can take the port
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PROPENSITY_SCORING_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("PROPENSITY_SCORING_TIMEOUT_S", "20")
        reply = front_door.handle(event(), Context())
    assert (reply["statusCode"], code(reply)) == (503, "service_unavailable")
    assert int(reply["multiValueHeaders"]["Retry-After"][0]) > 0


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", b"nonsense\r\n\r\n"])
def test_an_answer_that_breaks_off_is_never_passed_on(front_door: ModuleType, upstream: Any, log: io.StringIO, sent: bytes) -> None:
    upstream.answer = lambda asked: asked.wfile.write(sent)
    reply = front_door.handle(event(), Context())
    assert (reply["statusCode"], code(reply)) == (503, "service_unavailable")


def test_an_answer_in_chunks_arrives_whole(front_door: ModuleType, upstream: Any, log: io.StringIO) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n"
    upstream.answer = lambda asked: asked.wfile.write(head + b"4\r\na;b\n\r\n4\r\n1;2\n\r\n0\r\n\r\n")
    reply = front_door.handle(event(), Context())
    assert (reply["statusCode"], reply["body"]) == (200, "a;b\n1;2\n")


@pytest.mark.parametrize("name", ["PROPENSITY_SCORING_URL", "PROPENSITY_SCORING_TIMEOUT_S"])
def test_a_missing_variable_is_named_in_the_log_but_not_to_the_caller(
    front_door: ModuleType, upstream: Any, log: io.StringIO, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)
    reply = front_door.handle(event(), Context())
    assert (reply["statusCode"], code(reply)) == (500, "internal_error")
    assert name in log.getvalue()
    assert name not in reply["body"]


def test_the_log_says_what_happened_and_nothing_of_a_customer(front_door: ModuleType, upstream: Any, log: io.StringIO) -> None:
    upstream.answers(200, b'["canary-answer"]', JSON)
    sent = {"X-Request-Id": "canary-header", "Idempotency-Key": "canary-key", "Authorization": "Bearer canary-secret"}
    front_door.handle(event(path="/v1/canary-path", body='["canary-body"]', headers=sent), Context())
    upstream.answer = lambda asked: asked.wfile.write(b"canary-line\r\n\r\n")
    front_door.handle(event(path="/v1/canary-path", body='["canary-body"]', headers=sent), Context())
    assert "canary" not in log.getvalue()
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    requests = [(line["request_id"], line["status"]) for line in lines if line["message"] == "request"]
    assert requests == [("from-api-gateway", 200), ("from-api-gateway", 503)]


def test_gzip_and_its_headers_come_through_both_ways(front_door: ModuleType, upstream: Any, log: io.StringIO) -> None:
    sent, answered = gzip.compress(b'{"a": 1}'), gzip.compress(b'{"b": 2}')
    upstream.answers(200, answered, JSON, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
    headers = {"content-type": "application/json", "content-encoding": "gzip", "accept-encoding": "gzip"}
    reply = front_door.handle(event(body=base64.b64encode(sent).decode(), isBase64Encoded=True, headers=headers), Context())
    _, _, received, body = upstream.asked[0]
    assert (received["Content-Encoding"], received["Accept-Encoding"], body) == ("gzip", "gzip", sent)
    assert reply["multiValueHeaders"]["Content-Encoding"] == ["gzip"]
    assert base64.b64decode(reply["body"]) == answered


def test_a_body_that_was_unpacked_on_its_way_is_not_called_packed(front_door: ModuleType, upstream: Any, log: io.StringIO) -> None:
    upstream.answers(200, b"{}", JSON)
    front_door.handle(event(body='{"a": 1}', headers={"content-encoding": "gzip"}), Context())
    assert "Content-Encoding" not in upstream.asked[0][2]
    assert upstream.asked[0][3] == b'{"a": 1}'


@pytest.mark.parametrize("kind", ["application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"])
def test_arrow_and_parquet_come_through_both_ways(front_door: ModuleType, upstream: Any, log: io.StringIO, kind: str) -> None:
    table = b"\xff\xff\xff\xff" + bytes(range(256))
    upstream.answers(200, table, ("Content-Type", kind))
    headers = {"Content-Type": kind, "Accept": kind}
    reply = front_door.handle(event(body=base64.b64encode(table).decode(), isBase64Encoded=True, headers=headers), Context())
    assert upstream.asked[0][3] == table
    assert (reply["isBase64Encoded"], base64.b64decode(reply["body"])) == (True, table)


def test_what_nobody_foresaw_is_a_problem_and_its_text_is_not_logged(
    front_door: ModuleType, upstream: Any, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("canary-text")

    monkeypatch.setattr(front_door, "outgoing", broken)
    reply = front_door.handle(event(), Context())
    assert (reply["statusCode"], code(reply)) == (500, "internal_error")
    assert "RuntimeError" in log.getvalue()
    assert "canary-text" not in log.getvalue() + reply["body"]


def test_the_log_names_the_request_as_the_service_does(front_door: ModuleType, upstream: Any, log: io.StringIO) -> None:
    upstream.answers(200, b"{}", JSON, ("X-Request-Id", "of-the-service"))
    front_door.handle(event(), Context())
    line = json.loads(log.getvalue().splitlines()[-1])
    assert (line["request_id"], line["answered_as"]) == ("from-api-gateway", "of-the-service")
