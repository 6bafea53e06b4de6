"""The function with a real scoring service's stand-in behind it and a mocked S3."""

from __future__ import annotations

import base64
import importlib
import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import requests
from moto import mock_aws

from propensity.adapters.object_store import S3Store
from propensity.list_state import CLAIM, ERRORS, FINISHED, MANIFEST, RESULT, UPLOAD, Finished, Manifest, failed, parse_list_id
from tests.proxy_events import Context, code
from tests.proxy_events import event as proxy_event

LISTS = "/v1/campaigns/term-deposit/lists"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PEOPLE = {
    "Bearer crm": {"key_id": "00000001", "name": "crm", "role": "marketing"},
    "Bearer other": {"key_id": "00000002", "name": "other", "role": "marketing"},
    "Bearer ops": {"key_id": "00000003", "name": "ops", "role": "operator"},
    "Bearer audit": {"key_id": "00000004", "name": "audit", "role": "auditor"},
}


@pytest.fixture
def lists() -> ModuleType:
    return importlib.import_module("lambda.lists.handler")


@pytest.fixture
def log(lists: ModuleType, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    written = io.StringIO()
    lists.logger(lists.SERVICE)
    (handler,) = logging.getLogger(lists.SERVICE).handlers
    monkeypatch.setattr(handler, "stream", written)
    return written


@pytest.fixture
def scoring(upstream: Any) -> Any:
    """A scoring service that knows four keys."""

    def who(asked: BaseHTTPRequestHandler) -> None:
        known = PEOPLE.get(asked.headers.get("Authorization", ""))
        if known is None:
            body = {"type": "urn:propensity:problem:unauthorized", "status": 401, "code": "unauthorized", "request_id": "of-the-service"}
            headers = (("Content-Type", "application/problem+json"), ("WWW-Authenticate", "Bearer"), ("X-Request-Id", "of-the-service"))
            upstream.send(asked, 401, json.dumps(body).encode(), *headers)
        else:
            upstream.send(asked, 200, json.dumps(known).encode(), ("Content-Type", "application/json"))

    upstream.answer = who
    return upstream


@pytest.fixture
def store(lists: ModuleType, log: io.StringIO, scoring: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("PROPENSITY_STORE_URL", "s3://lake/some/prefix")
    for name, value in (("UPLOAD_LIMIT_BYTES", 2 * 1024**3), ("UPLOAD_EXPIRY_S", 3600), ("DOWNLOAD_EXPIRY_S", 300)):
        monkeypatch.setenv(f"PROPENSITY_{name}", str(value))
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        lists._store.cache_clear()
        lists._signer.cache_clear()
        yield S3Store("lake", "some/prefix", client)


def event(method: str, path: str, body: Any = None, *, key: str | None = "Bearer crm", **headers: str) -> dict[str, Any]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()} | ({"Authorization": key} if key else {})
    return proxy_event(method, path, None if body is None else json.dumps(body), headers=sent, resource="/v1/lists/{id}")


def created(lists: ModuleType, body: Any = None, **more: Any) -> dict[str, Any]:
    reply = lists.handle(event("POST", LISTS, body, **more), Context())
    assert reply["statusCode"] == 201, reply["body"]
    told: dict[str, Any] = json.loads(reply["body"])
    return told


def asked(lists: ModuleType, path: str, key: str = "Bearer crm") -> dict[str, Any]:
    reply: dict[str, Any] = lists.handle(event("GET", path, key=key), Context())
    return reply


def test_a_list_is_created_with_a_form_that_says_size_and_expiry(lists: ModuleType, store: S3Store) -> None:
    before = datetime.now(UTC)
    told = created(lists)
    upload, list_id = told["upload"], parse_list_id(told["list_id"])
    assert (told["state"], told["format"], told["campaign"]) == ("awaiting_upload", "csv", "term-deposit")
    assert upload["url"] == "https://lake.s3.eu-central-1.amazonaws.com/"
    assert upload["fields"]["key"] == f"some/prefix/{list_id.key(UPLOAD)}"
    policy = json.loads(base64.b64decode(upload["fields"]["policy"]))
    assert ["content-length-range", 1, 2 * 1024**3] in policy["conditions"]
    assert {"bucket": "lake"} in policy["conditions"]
    expires = datetime.fromisoformat(policy["expiration"])
    assert timedelta(minutes=59) < expires - before <= timedelta(minutes=61)
    assert upload["fields"]["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    manifest = Manifest.from_bytes(store.get(list_id.key(MANIFEST)))
    assert (manifest.owner, manifest.limit_bytes) == ("crm", 2 * 1024**3)
    assert json.loads(asked(lists, told["links"]["self"])["body"])["state"] == "awaiting_upload"


def test_an_announced_size_is_the_only_one_that_the_form_takes(lists: ModuleType, store: S3Store) -> None:
    policy = json.loads(base64.b64decode(created(lists, {"format": "parquet", "size_bytes": 77})["upload"]["fields"]["policy"]))
    assert ["content-length-range", 77, 77] in policy["conditions"]


def test_a_list_in_parts_can_be_uploaded_and_its_parts_have_signed_sizes(lists: ModuleType, store: S3Store) -> None:
    size = 5 * 1024 * 1024 + 20 * 1024 * 1024
    told = created(lists, {"size_bytes": size, "parts": True})
    parts = told["upload"]["parts"]
    assert [part["size_bytes"] for part in parts] == [16 * 1024 * 1024, size - 16 * 1024 * 1024]
    tags = []
    for part in parts:
        assert "content-length" in parse_qs(urlsplit(part["url"]).query)["X-Amz-SignedHeaders"][0]
        tags.append(requests.put(part["url"], data=b"x" * part["size_bytes"], timeout=30).headers["ETag"])
    listed = "".join(f"<Part><PartNumber>{at}</PartNumber><ETag>{tag}</ETag></Part>" for at, tag in enumerate(tags, 1))
    last = told["upload"]["complete"]
    complete = last["url"]
    assert "if-none-match" in parse_qs(urlsplit(complete).query)["X-Amz-SignedHeaders"][0]
    body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>"
    assert requests.post(complete, data=body, headers=last["headers"], timeout=30).status_code == 200
    assert len(store.get(parse_list_id(told["list_id"]).key(UPLOAD))) == size
    assert json.loads(asked(lists, told["links"]["self"])["body"])["state"] == "uploaded"


def test_trying_again_is_the_same_list_and_upload(lists: ModuleType, store: S3Store) -> None:
    sent = {"size_bytes": 100_000_000, "parts": True}
    first = created(lists, sent, Idempotency_Key="mine")
    reply = lists.handle(event("POST", LISTS, sent, Idempotency_Key="mine"), Context())
    again = json.loads(reply["body"])
    assert reply["multiValueHeaders"]["Idempotent-Replay"] == ["true"]
    assert reply["multiValueHeaders"]["Idempotency-Key"] == ["mine"]
    assert (again["list_id"], again["upload_until"]) == (first["list_id"], first["upload_until"])
    of = [parse_qs(urlsplit(told["upload"]["parts"][0]["url"]).query)["uploadId"] for told in (first, again)]
    assert of[0] == of[1]
    assert created(lists, sent, Idempotency_Key="mine", key="Bearer other")["list_id"] != first["list_id"]
    assert len(list(store.keys("lists/"))) == 2


def test_a_key_that_comes_again_with_another_request_is_refused(lists: ModuleType, store: S3Store) -> None:
    created(lists, {"format": "csv"}, Idempotency_Key="mine")
    reply = lists.handle(event("POST", LISTS, {"format": "parquet"}, Idempotency_Key="mine"), Context())
    assert (reply["statusCode"], code(reply)) == (422, "idempotency_mismatch")


def test_once_it_is_uploaded_trying_again_gives_no_address(lists: ModuleType, store: S3Store) -> None:
    told = created(lists, Idempotency_Key="mine")
    store.put(parse_list_id(told["list_id"]).key(UPLOAD), b"a;b")
    again = created(lists, Idempotency_Key="mine")
    assert again["state"] == "uploaded"
    assert "upload" not in again


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"format": "xlsx"}, 400, "malformed"),
        ({"format": ["csv"]}, 400, "malformed"),
        ({"size_bytes": 0}, 400, "malformed"),
        ({"size_bytes": True}, 400, "malformed"),
        ({"size_bytes": 1.5}, 400, "malformed"),
        ({"parts": "yes"}, 400, "malformed"),
        ({"parts": True}, 400, "malformed"),
        ({"customers": []}, 400, "malformed"),
        ([], 400, "malformed"),
        ({"size_bytes": 3 * 1024**3}, 413, "too_large"),
        ({"size_bytes": 3 * 1024**3, "parts": True}, 413, "too_large"),
    ],
)
def test_what_cannot_be_created_is_refused_before_anything_is_written(
    lists: ModuleType, store: S3Store, body: Any, status: int, said: str
) -> None:
    reply = lists.handle(event("POST", LISTS, body), Context())
    assert (reply["statusCode"], code(reply)) == (status, said)
    assert list(store.keys("")) == []


@pytest.mark.parametrize("text", ["{", '{"format": "csv", "format": "csv"}', "[" * 60_000, "\ud800", '"' + "x" * 70_000 + '"'])
def test_a_body_that_is_no_json_is_refused(lists: ModuleType, store: S3Store, text: str) -> None:
    reply = lists.handle({**event("POST", LISTS), "body": text}, Context())
    assert code(reply) in ("malformed", "too_large")


def test_a_body_in_base64_is_read(lists: ModuleType, store: S3Store) -> None:
    body = base64.b64encode(b'{"format": "parquet"}').decode()
    reply = lists.handle({**event("POST", LISTS), "body": body, "isBase64Encoded": True}, Context())
    assert json.loads(reply["body"])["format"] == "parquet"


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("POST", "/v1/campaigns/no-such/lists", 404, "not_found"),
        ("GET", "/v1/lists/no-such-id", 404, "not_found"),
        ("GET", f"/v1/lists/term-deposit.{'0' * 32}", 404, "not_found"),
        ("GET", f"/v1/lists/term-deposit.{'0' * 32}/result", 404, "not_found"),
        ("GET", "/v1/lists/..%2F..%2Fsnapshots", 404, "not_found"),
        ("GET", "/v1/lists", 404, "not_found"),
        ("GET", LISTS, 405, "method_not_allowed"),
        ("DELETE", f"/v1/lists/term-deposit.{'0' * 32}", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_there_is_a_problem(lists: ModuleType, store: S3Store, method: str, path: str, status: int, said: str) -> None:
    reply = lists.handle(event(method, path), Context())
    assert (reply["statusCode"], code(reply)) == (status, said)
    assert ("Allow" in reply["multiValueHeaders"]) is (status == 405)


def test_the_result_and_the_refused_rows_of_a_list_that_is_done(lists: ModuleType, store: S3Store) -> None:
    list_id = parse_list_id(created(lists)["list_id"])
    store.put(list_id.key(RESULT), b"rank,customer_id\r\n")
    store.put(list_id.key(ERRORS), b"row,column\r\n")
    counts = {"received": 3, "scored": 2, "refused_rows": 1, "contact": 1}
    store.put(list_id.key(FINISHED), Finished(state="done", finished_at=NOW, counts=counts).to_bytes())
    told = json.loads(asked(lists, f"/v1/lists/{list_id}")["body"])
    assert (told["state"], told["counts"]) == ("done", counts)
    for what, data in (("result", b"rank,customer_id\r\n"), ("errors", b"row,column\r\n")):
        reply = asked(lists, told["links"][what])
        (url,) = reply["multiValueHeaders"]["Location"]
        assert (reply["statusCode"], json.loads(reply["body"])) == (303, {"url": url})
        query = parse_qs(urlsplit(url).query)
        assert query["X-Amz-Expires"] == ["300"]
        assert query["response-content-disposition"][0].startswith("attachment")
        assert requests.get(url, timeout=30).content == data


@pytest.mark.parametrize("what", ["result", "errors"])
def test_before_it_is_done_there_is_nothing_to_download(lists: ModuleType, store: S3Store, what: str) -> None:
    list_id = parse_list_id(created(lists)["list_id"])
    path = f"/v1/lists/{list_id}/{what}"
    reply = asked(lists, path)
    assert (reply["statusCode"], code(reply)) == (409, "conflict")
    store.put(list_id.key(CLAIM), b"{}")
    reply = asked(lists, path)
    assert (code(reply), int(reply["multiValueHeaders"]["Retry-After"][0]) > 0) == ("conflict", True)
    store.put(list_id.key(FINISHED), failed("malformed", "the file is empty", NOW).to_bytes())
    assert (asked(lists, path)["statusCode"], code(asked(lists, path))) == (404, "not_found")


def test_a_list_that_was_not_uploaded_in_time_is_gone(lists: ModuleType, store: S3Store) -> None:
    list_id = parse_list_id(created(lists)["list_id"])
    old = json.loads(store.get(list_id.key(MANIFEST))) | {"upload_until": NOW.isoformat()}
    store.put(list_id.key(MANIFEST), json.dumps(old).encode())
    reply = asked(lists, f"/v1/lists/{list_id}/result")
    assert (reply["statusCode"], code(reply)) == (410, "gone")
    assert json.loads(asked(lists, f"/v1/lists/{list_id}")["body"])["state"] == "expired"


def test_a_list_is_its_owners_and_another_marketing_caller_cannot_tell_that_it_is_there(lists: ModuleType, store: S3Store) -> None:
    list_id = parse_list_id(created(lists)["list_id"])
    store.put(list_id.key(FINISHED), Finished(state="done", finished_at=NOW).to_bytes())
    for path in ("", "/result", "/errors"):
        address = f"/v1/lists/{list_id}{path}"
        theirs = asked(lists, address, "Bearer other")
        missing = asked(lists, f"/v1/lists/term-deposit.{'0' * 32}{path}", "Bearer other")
        assert (theirs["statusCode"], theirs["body"]) == (404, missing["body"])
        assert [asked(lists, address, key)["statusCode"] < 400 for key in ("Bearer ops", "Bearer audit")] == [True, True]


def test_an_auditor_creates_nothing(lists: ModuleType, store: S3Store) -> None:
    reply = lists.handle(event("POST", LISTS, key="Bearer audit"), Context())
    assert (reply["statusCode"], code(reply)) == (403, "forbidden")
    assert list(store.keys("")) == []


@pytest.mark.parametrize("key", [None, "Bearer unknown", "crm"])
def test_without_a_key_that_the_service_knows_its_refusal_is_passed_on(lists: ModuleType, store: S3Store, key: str | None) -> None:
    reply = lists.handle(event("POST", LISTS, key=key), Context())
    assert (reply["statusCode"], json.loads(reply["body"])["code"]) == (401, "unauthorized")
    assert reply["multiValueHeaders"]["WWW-Authenticate"] == ["Bearer"]
    assert reply["multiValueHeaders"]["Content-Type"] == ["application/problem+json"]


def test_no_other_header_says_who_calls(lists: ModuleType, store: S3Store, scoring: Any) -> None:
    lying = {"X_Caller": "ops", "x_api_key": "ops", "X_Amzn_Oidc_Identity": "ops", "Cookie": "name=ops", "X_Forwarded_User": "ops"}
    told = created(lists, **lying)
    _, path, sent, _ = scoring.asked[-1]
    assert path == "/v1/caller"
    assert set(sent) <= {"Host", "Accept-Encoding", "Accept", "Authorization", "X-Request-Id"}
    assert Manifest.from_bytes(store.get(parse_list_id(told["list_id"]).key(MANIFEST))).owner == "crm"


def test_a_service_that_refuses_for_a_while_says_when_to_try_again(lists: ModuleType, store: S3Store, upstream: Any) -> None:
    headers = (("Content-Type", "application/problem+json"), ("Retry-After", "7"), ("Server", "secret"))
    upstream.answers(429, b'{"code": "rate_limited", "status": 429}', *headers)
    reply = lists.handle(event("POST", LISTS), Context())
    assert (reply["statusCode"], reply["multiValueHeaders"]["Retry-After"]) == (429, ["7"])
    assert "Server" not in reply["multiValueHeaders"]


@pytest.mark.parametrize(("status", "body"), [(200, b"{}"), (200, b"not JSON"), (200, b'{"key_id": "1", "name": "n", "role": "king"}')])
def test_an_unsound_answer_lets_nobody_in(lists: ModuleType, store: S3Store, upstream: Any, status: int, body: bytes) -> None:
    upstream.answers(status, body)
    reply = lists.handle(event("POST", LISTS), Context())
    assert (reply["statusCode"], code(reply)) == (502, "bad_gateway")


@pytest.mark.parametrize("status", [404, 500, 302])
def test_any_other_answer_lets_nobody_in(lists: ModuleType, store: S3Store, upstream: Any, status: int) -> None:
    upstream.answers(status, json.dumps(PEOPLE["Bearer crm"]).encode())
    reply = lists.handle(event("POST", LISTS), Context())
    assert (reply["statusCode"], code(reply)) == (502, "bad_gateway")


def test_no_answer_in_time_lets_nobody_in(lists: ModuleType, store: S3Store, upstream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROPENSITY_SCORING_TIMEOUT_S", "0.3")
    upstream.answer = lambda _: upstream.over.wait(20)
    reply = lists.handle(event("POST", LISTS), Context())
    assert (reply["statusCode"], code(reply)) == (504, "gateway_timeout")
    monkeypatch.setenv("PROPENSITY_SCORING_URL", "http://127.0.0.1:1")
    reply = lists.handle(event("POST", LISTS), Context())
    assert (reply["statusCode"], code(reply)) == (503, "service_unavailable")


def test_a_store_that_is_not_there_is_503_and_not_named(
    lists: ModuleType, store: S3Store, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    monkeypatch.setenv("PROPENSITY_STORE_URL", "s3://secret-bucket")
    for asking in (event("POST", LISTS), event("GET", f"/v1/lists/term-deposit.{'0' * 32}")):
        reply = lists.handle(asking, Context())
        assert (reply["statusCode"], code(reply)) == (503, "object_store_unavailable")
        assert "secret-bucket" not in reply["body"]
        assert reply["multiValueHeaders"]["Retry-After"]
    assert "secret-bucket" in log.getvalue()


def test_a_missing_variable_and_what_nobody_foresaw_are_problems(
    lists: ModuleType, store: S3Store, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("canary-text")

    monkeypatch.setattr(lists, "parse_new_list", broken)
    reply = lists.handle(event("POST", LISTS), Context())
    assert (reply["statusCode"], code(reply)) == (500, "internal_error")
    monkeypatch.delenv("PROPENSITY_UPLOAD_LIMIT_BYTES")
    reply = lists.handle(event("POST", LISTS), Context())
    assert (reply["statusCode"], code(reply)) == (500, "internal_error")
    assert "PROPENSITY_UPLOAD_LIMIT_BYTES" in log.getvalue()
    assert "canary-text" not in log.getvalue() + reply["body"]


@pytest.mark.parametrize("key", ["schlüssel", "x" * 201])
def test_a_key_that_cannot_be_kept_is_refused(lists: ModuleType, store: S3Store, key: str) -> None:
    reply = lists.handle(event("POST", LISTS, Idempotency_Key=key), Context())
    assert (reply["statusCode"], code(reply)) == (400, "malformed")


def test_the_log_names_the_list_and_no_key_or_address(lists: ModuleType, store: S3Store, log: io.StringIO) -> None:
    told = created(lists, Idempotency_Key="canary-key", X_Request_Id="canary-id")
    list_id = parse_list_id(told["list_id"])
    store.put(list_id.key(FINISHED), Finished(state="done", finished_at=NOW).to_bytes())
    asked(lists, told["links"]["result"])
    asked(lists, "/v1/lists/canary-path")
    written = log.getvalue()
    assert "canary" not in written
    assert "Bearer" not in written
    assert "X-Amz" not in written
    assert told["list_id"] in written
