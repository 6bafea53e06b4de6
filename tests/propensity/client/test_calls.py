"""The client against a service whose replies are written beforehand."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from propensity.campaign import POLICY_VALUES, Policy
from propensity.client import (
    Client,
    GaveUp,
    KeyReused,
    NoAnswer,
    NoRowUsable,
    NotAllowed,
    NotAuthenticated,
    NotSendable,
    NotThere,
    PolicyNeedsOneRequest,
    Refused,
    ServiceBroken,
    ServiceError,
    TooManyRequests,
    Unavailable,
)
from propensity.client.calls import LIST_RELATIVE
from propensity.decision import by_row
from tests.propensity.client.scripted import Scripted, echo, scored, serving

ROOT = Path(__file__).resolve().parents[3]
PROFIT = {"kind": "profit"}
Rows = list[dict[str, Any]]


def rows(n: int) -> Rows:
    return [{"id": at, "age": 40} for at in range(n)]


def problem(status: int, code: str, **more: Any) -> tuple[int, dict[str, str], Any]:
    return status, {"X-Request-Id": "r-9"}, {"status": status, "code": code, "detail": f"told: {code}", "request_id": "r-9", **more}


def slept(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the client would have waited; it does not."""
    waits: list[float] = []
    monkeypatch.setattr(client._transport, "sleep", waits.append)
    return waits


def test_a_long_list_is_split_and_its_rows_are_counted_over_the_whole() -> None:
    service = Scripted([echo, echo, echo])
    with serving(service) as (url, _), Client(url, "prop_key") as client:
        found = client.predict_rows("term-deposit", rows(11), policy=PROFIT, reasons=0, model="champion", chunk_rows=5)
    assert [p["row"] for p in found.predictions] == list(range(1, 12))
    assert [p["customer_id"] for p in found.predictions] == [f"c{at}" for at in range(1, 12)]
    assert [(r.request_id, r.first_row, r.rows, r.attempts) for r in found.requests] == [
        ("r-0", 1, 5, 1),
        ("r-5", 6, 5, 1),
        ("r-10", 11, 1, 1),
    ]
    by_rank = sorted(found.predictions, key=lambda p: p["rank"])
    assert [p["rank"] for p in by_rank] == list(range(1, 12))
    assert [p["score"] for p in by_rank] == sorted((p["score"] for p in found.predictions), reverse=True)
    sent = [json.loads(asked["body"]) for asked in service.asked]
    assert [len(body["customers"]) for body in sent] == [5, 5, 1]
    assert all((body["policy"], body["reasons"], body["model"]) == (PROFIT, 0, "champion") for body in sent)
    assert {asked["HTTP_AUTHORIZATION"] for asked in service.asked} == {"Bearer prop_key"}
    assert {asked["path"] for asked in service.asked} == {"/v1/campaigns/term-deposit/predictions"}
    assert len(set(service.keys)) == 3
    assert service.keys == [r.key for r in found.requests]


def test_two_calls_have_different_keys_and_a_named_call_always_the_same() -> None:
    service = Scripted([echo] * 6)
    with serving(service) as (url, _), Client(url) as client:
        for call_id in (None, None, "mine", "mine"):
            client.predict_rows("term-deposit", rows(1), policy=PROFIT, call_id=call_id)
    assert len(set(service.keys)) == 3
    assert service.keys[2:] == ["mine-0", "mine-0"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_refusal_for_now_is_waited_out_as_long_as_the_service_says(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    later = {"Retry-After": "2"}
    service = Scripted([(status, later, {"code": "busy"}), (status, later, b"not json"), echo])
    with serving(service) as (url, _), Client(url) as client:
        waits = slept(client, monkeypatch)
        found = client.predict_rows("term-deposit", rows(2), policy=PROFIT)
    assert found.requests[0].attempts == 3
    assert len(set(service.keys)) == 1
    assert all(2.0 <= wait < 3.0 for wait in waits)
    assert len(waits) == 2


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("0", 0, 1),
        ("86400", 30, 31),
        (format_datetime(datetime.now(UTC) + timedelta(days=2), usegmt=True), 30, 31),
        (format_datetime(datetime.now(UTC) - timedelta(days=2), usegmt=True), 0, 1),
        ("soon", 0, 0.3),
        ("-5", 0, 0.3),
        ("nan", 0, 0.3),
    ],
)
def test_any_retry_after_is_bounded(monkeypatch: pytest.MonkeyPatch, header: str, low: float, high: float) -> None:
    service = Scripted([(503, {"Retry-After": header}, {}), echo])
    with serving(service) as (url, _), Client(url) as client:
        waits = slept(client, monkeypatch)
        client.predict_rows("term-deposit", rows(1), policy=PROFIT)
    (wait,) = waits
    assert low <= wait <= high


def test_without_retry_after_the_waits_grow_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Scripted([(503, {}, {})] * 10 + [echo])
    with serving(service) as (url, _), Client(url) as client:
        waits = slept(client, monkeypatch)
        client.predict_rows("term-deposit", rows(1), policy=PROFIT)
    for attempt, wait in enumerate(waits):
        whole = min(0.25 * 2**attempt, 30)
        assert whole / 2 <= wait <= whole


def test_a_reply_lost_after_the_commit_is_asked_for_again_with_the_same_key() -> None:
    def cut(_environ: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        for channel in list(server.active_channels.values()):
            channel.socket.shutdown(socket.SHUT_RDWR)
        return 200, {}, scored(1)

    service = Scripted([cut, (200, {"Idempotent-Replay": "true"}, scored(1))])
    with serving(service) as (url, server), Client(url) as client:
        found = client.predict_rows("term-deposit", rows(1), policy=PROFIT)
    assert (found.requests[0].attempts, found.requests[0].replayed) == (2, True)
    assert service.keys[0] == service.keys[1]


def test_a_reply_that_ends_too_soon_is_not_taken_for_whole() -> None:
    service = Scripted([(200, {}, scored(1)), (200, {}, scored(1))])
    with serving(_Short(service)) as (url, _), Client(url) as client:
        found = client.predict_rows("term-deposit", rows(1), policy=PROFIT)
    assert found.requests[0].attempts == 2


class _Short:
    """Cuts the first reply in half."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self.app, self.first = app, True

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        (body,) = self.app(environ, start_response)
        half = body[: len(body) // 2] if self.first else body
        self.first = False
        return [half]


def test_a_slow_reply_is_given_up_and_asked_for_again() -> None:
    release = threading.Event()

    def hang(_environ: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        release.wait(20)
        return 200, {}, scored(1)

    service = Scripted([hang, (409, {}, {"code": "idempotency_in_flight", "detail": "wait"}), (200, {}, scored(1))])
    with serving(service) as (url, _), Client(url, timeout_s=0.2) as client:
        try:
            found = client.predict_rows("term-deposit", rows(1), policy=PROFIT)
        finally:
            release.set()
    assert found.requests[0].attempts == 3
    assert len(set(service.keys)) == 1


def test_a_reply_that_drips_does_not_outlast_the_deadline() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not stop.wait(0.05):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    try:
        with Client(f"http://127.0.0.1:{listening.getsockname()[1]}", deadline_s=0.6) as client, pytest.raises(NoAnswer, match="deadline"):
            client.campaigns()
    finally:
        stop.set()
        thread.join(5)
        listening.close()


def test_the_deadline_ends_a_call_with_the_last_reason_and_the_id_to_repeat_it_with() -> None:
    service = Scripted([(503, {"Retry-After": "5"}, {"code": "database_unavailable", "detail": "Postgres did not answer"})])
    with (
        serving(service) as (url, _),
        Client(url) as client,
        pytest.raises(Unavailable, match="Postgres did not answer; gave up") as refusal,
    ):
        client.predict_rows("term-deposit", rows(1), policy=PROFIT, deadline_s=1.0)
    assert (refusal.value.status, refusal.value.code) == (503, "database_unavailable")
    assert service.keys == [f"{refusal.value.call_id}-0"]
    service.replies = [(429, {"Retry-After": "5"}, {"code": "too_many_requests"})]
    with serving(service) as (url, _), Client(url) as client, pytest.raises(TooManyRequests):
        client.campaigns(deadline_s=1.0)


def test_nobody_there_is_told_at_the_deadline() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with (
            Client(f"http://127.0.0.1:{free.getsockname()[1]}", deadline_s=0.5) as client,
            pytest.raises(NoAnswer, match="did not answer") as told,
        ):
            client.campaigns()
    assert told.value.status is None
    assert told.value.attempts >= 2
    assert isinstance(told.value, GaveUp)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (problem(400, "malformed"), Refused),
        (problem(401, "unauthorized"), NotAuthenticated),
        (problem(403, "forbidden"), NotAllowed),
        (problem(404, "not_found"), NotThere),
        (problem(413, "too_large"), Refused),
        (problem(422, "idempotency_mismatch"), KeyReused),
        (
            problem(422, "rows_invalid", errors=[{"row": 1, "column": "age", "code": "missing", "message": "m"}], errors_total=7),
            NoRowUsable,
        ),
        (problem(500, "internal_error"), ServiceBroken),
        ((200, {}, b"<html>login"), ServiceBroken),
        ((302, {"Location": "https://elsewhere/"}, b""), ServiceBroken),
    ],
)
def test_each_refusal_has_its_kind_and_is_not_tried_again(reply: Any, kind: type[ServiceError]) -> None:
    service = Scripted([reply])
    with serving(service) as (url, _), Client(url) as client, pytest.raises(ServiceError) as refusal:
        client.predict_rows("term-deposit", rows(1), policy=PROFIT)
    assert type(refusal.value) is kind
    assert len(service.asked) == 1
    assert refusal.value.status == reply[0]
    if reply[2] and isinstance(reply[2], dict):
        assert (refusal.value.code, refusal.value.request_id) == (reply[2]["code"], "r-9")
        assert (len(refusal.value.errors), refusal.value.errors_total) == (1, 7) if kind is NoRowUsable else (0, 0)


def test_one_request_without_a_usable_row_does_not_sink_the_others() -> None:
    error = {"row": 2, "column": "age", "code": "missing", "message": "must be there"}
    service = Scripted([echo, problem(422, "rows_invalid", errors=[error], errors_total=1), echo])
    with serving(service) as (url, _), Client(url) as client:
        found = client.predict_rows("term-deposit", rows(9), policy=PROFIT, chunk_rows=3)
    assert [p["row"] for p in found.predictions] == [1, 2, 3, 7, 8, 9]
    assert found.errors == [{**error, "row": 5}]
    assert [(r.request_id, r.scored, r.refused) for r in found.requests] == [("r-0", 3, 0), (None, 0, 3), ("r-6", 3, 0)]
    service.replies = [problem(422, "rows_invalid", errors=[error], errors_total=1)] * 2
    with serving(service) as (url, _), Client(url) as client, pytest.raises(NoRowUsable, match="none of the 6 rows") as refusal:
        client.predict_rows("term-deposit", rows(6), policy=PROFIT, chunk_rows=3)
    assert [error["row"] for error in refusal.value.errors] == [2, 5]


def test_the_policies_that_compare_rows_are_those_of_the_core() -> None:
    assert set(LIST_RELATIVE) == {kind for kind in POLICY_VALUES if not by_row(Policy(kind))}


@pytest.mark.parametrize("kind", LIST_RELATIVE)
@pytest.mark.parametrize("own", [True, False], ids=["the campaign's", "asked for"])
def test_a_policy_that_compares_rows_is_never_split(kind: str, own: bool) -> None:
    policy = {"kind": kind, "value": 0.3}
    about: Any = (200, {}, {"name": "term-deposit", "policy": policy})
    service = Scripted([about, echo, about] if own else [echo])
    asked = None if own else policy
    with serving(service) as (url, _), Client(url) as client:
        assert len(client.predict_rows("term-deposit", rows(8), policy=asked, chunk_rows=5).requests) == 1
        with pytest.raises(PolicyNeedsOneRequest, match=kind):
            client.predict_rows("term-deposit", rows(10_001), policy=asked)
    assert [a["method"] for a in service.asked] == (["GET", "POST", "GET"] if own else ["POST"])


def test_a_short_list_does_not_ask_for_the_campaigns_policy() -> None:
    service = Scripted([echo])
    with serving(service) as (url, _), Client(url) as client:
        client.predict_rows("term-deposit", rows(5), chunk_rows=5)
    assert "policy" not in json.loads(service.asked[0]["body"])


def test_the_other_calls_ask_what_they_should() -> None:
    service = Scripted(
        [(200, {}, {"campaigns": [{"name": "a"}]}), (200, {}, {"name": "a"}), (200, {}, {"prediction_id": "p"}), (200, {}, {"counts": {}})]
    )
    with serving(service) as (url, _), Client(url + "/") as client:
        assert client.campaigns() == [{"name": "a"}]
        assert client.campaign("a/../b") == {"name": "a"}
        assert client.prediction("r-1") == {"prediction_id": "p"}
        assert client.outcomes("a", [{"prediction_id": "p", "label": True}]) == {"counts": {}}
    assert [(a["method"], a["path"]) for a in service.asked] == [
        ("GET", "/v1/campaigns"),
        ("GET", "/v1/campaigns/a/../b"),
        ("GET", "/v1/predictions/r-1"),
        ("POST", "/v1/campaigns/a/outcomes"),
    ]
    assert json.loads(service.asked[3]["body"]) == {"outcomes": [{"prediction_id": "p", "label": True}]}


def test_a_client_is_shared_by_threads_and_reuses_its_connections() -> None:
    service = Scripted([echo] * 80)
    results: list[int] = []
    with serving(service) as (url, _), Client(url) as client:

        def work() -> None:
            results.extend(len(client.predict_rows("term-deposit", rows(3), policy=PROFIT).predictions) for _ in range(10))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    ports = {asked["REMOTE_PORT"] for asked in service.asked}
    assert results == [3] * 80
    assert len(set(service.keys)) == 80
    assert len(ports) <= 8


@pytest.mark.parametrize("address", ["", "127.0.0.1:8700", "ftp://127.0.0.1", "http://", "http://user:word@host", "http://host/?a=1"])
def test_an_address_that_cannot_be_one_is_refused(address: str) -> None:
    with pytest.raises(NotSendable, match="address"):
        Client(address)


@pytest.mark.parametrize("key", ["", "prop_a\n", "prop a", "prop_é"])
def test_a_key_that_cannot_be_one_is_refused_and_no_key_is_shown(key: str) -> None:
    with pytest.raises(NotSendable, match="key") as refusal:
        Client("http://127.0.0.1:1", key)
    assert not key or key not in str(refusal.value)
    client = Client("http://127.0.0.1:1", "prop_secret")
    assert "prop_secret" not in repr(client) + repr(client._transport)


def test_the_client_stands_alone() -> None:
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('numpy', 'pandas', 'xgboost', 'flask', 'pydantic', 'msgspec', 'psycopg', 'boto3'):\n"
        "            raise ModuleNotFoundError(f'{name} is absent', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from propensity.client import Client\n"
        "print(sorted(name for name in sys.modules if name.startswith('propensity') and not name.startswith('propensity.client')))\n"
        "try:\n    Client('http://127.0.0.1:1').predict('a', [])\n"
        "except ModuleNotFoundError as exc:\n    print(exc)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    modules, refusal = done.stdout.splitlines()
    assert modules == "['propensity']"
    assert "predict_rows" in refusal


def test_time_does_not_run_out_between_requests_unnoticed() -> None:
    def slow(environ: dict[str, Any]) -> Any:
        time.sleep(0.3)
        return echo(environ)

    service = Scripted([slow] * 5)
    with serving(service) as (url, _), Client(url) as client, pytest.raises(NoAnswer):
        client.predict_rows("term-deposit", rows(5), policy=PROFIT, chunk_rows=1, deadline_s=0.8)
    assert len(service.asked) < 5
