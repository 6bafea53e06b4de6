"""The server on real sockets: it ends without losing a request, and refuses what it must."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from api import channel
from api.server import Server
from propensity.errors import SettingsInvalid
from tests.api.processes import fetch, port_of, process, refused, wait_for


@contextmanager
def serving(app: Callable[..., Any], *, threads: int = 2, drain_s: float = 20.0) -> Iterator[tuple[Server, int, list[bool]]]:
    """A server in a thread: it, its port, and what `run` returned once it has ended."""
    server = Server(app, "127.0.0.1", 0, threads, threading.Event(), drain_s=drain_s)
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(server.run()))
    thread.start()
    try:
        yield server, int(server.address.rpartition(":")[2]), results
    finally:
        server.stop()
        thread.join(30)
        assert not thread.is_alive()


class Gate:
    """A WSGI application whose requests wait until they are let through."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        self.entered.release()
        assert self.open.wait(20)
        body = b"x" * int(environ.get("HTTP_X_SIZE", "2"))
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]


def hello(_environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


def get(port: int, size: int = 2) -> tuple[int, str | None, int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/", headers={"X-Size": str(size)})
    reply = connection.getresponse()
    found = (reply.status, reply.headers["Connection"], len(reply.read()))
    connection.close()
    return found


def test_the_end_waits_for_requests_running_and_queued() -> None:
    gate, replies = Gate(), []
    with serving(gate, threads=2) as (server, port, results):
        askers = [threading.Thread(target=lambda: replies.append(get(port, 300_000))) for _ in range(12)]
        for asker in askers:
            asker.start()
        assert gate.entered.acquire(timeout=20)
        assert gate.entered.acquire(timeout=20)
        wait_for(lambda: len(server._server.active_channels) == 12)
        server.stop()
        wait_for(lambda: refused(port))
        gate.open.set()
        for asker in askers:
            asker.join(20)
    assert replies == [(200, "close", 300_000)] * 12
    assert results == [True]


def test_the_end_answers_what_the_kernel_accepted_before_it() -> None:
    server = Server(hello, "127.0.0.1", 0, 2, threading.Event())
    port = int(server.address.rpartition(":")[2])
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=20) for _ in range(20)]
    for connection in connections:
        connection.request("GET", "/")
    server.stop()
    assert server.run()
    assert [connection.getresponse().read() for connection in connections] == [b"ok"] * 20
    for connection in connections:
        connection.close()


def test_an_idle_connection_is_heard_once_more_and_does_not_hold_up_the_end() -> None:
    with serving(hello) as (server, port, results):
        idle, busy = (http.client.HTTPConnection("127.0.0.1", port, timeout=20) for _ in range(2))
        for connection in (idle, busy):
            connection.request("GET", "/")
            connection.getresponse().read()
        server.stop()
        busy.request("GET", "/")
        reply = busy.getresponse()
        assert (reply.status, reply.headers["Connection"]) == (200, "close")
        reply.read()
        wait_for(lambda: bool(results))
        assert results == [True]
        idle.close()
        busy.close()


def test_a_request_that_does_not_end_is_cut_off_at_the_limit_and_told() -> None:
    gate = Gate()
    with serving(gate, drain_s=0.3) as (server, port, results):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/")
        assert gate.entered.acquire(timeout=20)
        server.stop()
        wait_for(lambda: bool(results))
        gate.open.set()
        connection.close()
    assert results == [False]


def test_a_used_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsInvalid, match=str(port)):
            Server(hello, "127.0.0.1", port, 1, threading.Event())


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(SettingsInvalid):
        Server(hello, host, 0, 1, threading.Event())


@pytest.mark.parametrize("size_bytes", [11 * 2**20, 40 * 2**20])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_gets_its_reply(size_bytes: int, chunked: bool) -> None:
    with serving(hello) as (_, port, _results):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        piece = b"x" * 2**16
        body = (piece for _ in range(size_bytes // len(piece)))
        headers = {} if chunked else {"Content-Length": str(size_bytes)}
        connection.request("POST", "/", body=body, headers=headers, encode_chunked=chunked)
        reply = connection.getresponse()
        problem = json.loads(reply.read())
        assert (reply.status, reply.headers["Content-Type"], problem["code"]) == (413, "application/problem+json", "too_large")
        assert reply.headers["X-Request-Id"] == problem["request_id"]
        connection.close()


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nHost x\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"])
def test_what_is_not_http_is_a_problem_too(sent: bytes) -> None:
    with serving(hello) as (_, port, _results), socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(sent)
        reply = http.client.HTTPResponse(connection)
        reply.begin()
        assert (reply.status, json.loads(reply.read())["code"]) == (400, "malformed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_serves_without_its_database_and_ends_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with process(tmp_path) as child:
        port = port_of(child)
        assert fetch(port, "/livez")[0] == 200
        status, told = fetch(port, "/readyz")
        assert (status, told["checks"]["database"]["ok"]) == (503, False)
        child.send_signal(number)
        assert child.wait(30) == 0
    lines = [json.loads(line) for line in (tmp_path / "stderr.txt").read_text().splitlines()]
    assert [line["route"] for line in lines if line.get("event") == "request"] == ["/livez", "/readyz"]


def test_the_process_says_in_one_sentence_why_it_cannot_start(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with process(tmp_path, PROPENSITY_API_PORT=port) as child:
            assert child.wait(60) not in (0, 1)
    (line,) = (tmp_path / "stderr.txt").read_text().splitlines()
    assert port in line
    with process(tmp_path, PROPENSITY_DATABASE_URL="") as child:
        assert child.wait(60) not in (0, 1)
    assert "PROPENSITY_DATABASE_URL" in (tmp_path / "stderr.txt").read_text()


def begin(askers: list[threading.Thread], server: Server, gate: Gate, *, working: int) -> None:
    """Start them: so many are worked on, and only then the others come and wait. One that a thread is about to take counts as waiting."""
    for asker in askers[:working]:
        asker.start()
    assert all(gate.entered.acquire(timeout=20) for _ in range(working))
    for asker in askers[working:]:
        asker.start()
    wait_for(lambda: server.waiting == len(askers) - working)


def post(port: int, body: bytes = b"x" * 100) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", "/", body)
    reply = connection.getresponse()
    found = (reply.status, dict(reply.headers), reply.read())
    connection.close()
    return found


@pytest.mark.parametrize("path", channel.AT_ONCE)
def test_what_would_wait_too_long_is_refused_at_once_and_a_balancer_never_waits(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(channel, "MOST_WAITING", 3)
    gate, replies = Gate(), []
    codes: list[str] = []
    with serving(gate, threads=2) as (server, port, _):
        server.admission.refused = codes.append
        askers = [threading.Thread(target=lambda: replies.append(post(port)[0])) for _ in range(5)]
        begin(askers, server, gate, working=2)
        status, headers, body = post(port)
        assert (status, json.loads(body)["code"], codes) == (503, "overloaded", ["overloaded"])
        assert int(headers["Retry-After"]) > 0
        assert headers.get("Connection") != "close"
        alive = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        threading.Timer(0.3, gate.open.set).start()
        alive.request("GET", path)
        assert alive.getresponse().read() == b"xx"
        alive.close()
        for asker in askers:
            asker.join(20)
    assert replies == [200] * 5


def test_the_bodies_that_wait_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "MOST_WAITING_BYTES", 250)
    gate = Gate()
    with serving(gate, threads=1) as (server, port, _):
        askers = [threading.Thread(target=post, args=(port,)) for _ in range(3)]
        begin(askers, server, gate, working=1)
        assert post(port)[0] == 503
        gate.open.set()
        for asker in askers:
            asker.join(20)


def test_unfinished_bodies_share_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "MOST_UNFINISHED_BYTES", 50_000)
    with serving(hello) as (server, port, _):
        slow = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(3)]
        for at, connection in enumerate(slow):
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30000\r\n\r\n" + b"x" * 20_000)
            if at < 2:
                wait_for(lambda at=at: server.admission.unfinished_bytes == 20_000 * (at + 1))  # type: ignore[misc]
        assert slow[2].recv(4096).startswith(b"HTTP/1.1 503")
        slow[0].sendall(b"x" * 10_000)
        assert slow[0].recv(4096).startswith(b"HTTP/1.1 200")
        for connection in slow:
            connection.close()
        wait_for(lambda: server.admission.unfinished_bytes == 0)
        assert post(port)[0] == 200
