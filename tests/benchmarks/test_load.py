"""The load generator against a small server: what it counts, and what it makes of errors."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks.load import Load, percentile, run

Answer = Callable[[BaseHTTPRequestHandler, int], None]
BODY = b"x" * 300_000


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    received: list[bytes]
    answer: Answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(body)
        self.server.answer(self, len(self.server.received))

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def whole(handler: BaseHTTPRequestHandler, _: int) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(BODY)))
    handler.end_headers()
    handler.wfile.write(BODY)


def in_chunks(handler: BaseHTTPRequestHandler, _: int) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for piece in (b"abc", BODY, b""):
        handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")


def every_third_refused(handler: BaseHTTPRequestHandler, number: int) -> None:
    handler.send_response(503 if number % 3 == 0 else 200)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def closing(handler: BaseHTTPRequestHandler, _: int) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "2")
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(b"ok")


def dropped(handler: BaseHTTPRequestHandler, number: int) -> None:
    if number % 2:
        every_third_refused(handler, 1)
    else:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!")
        handler.close_connection = True


def silent(_: BaseHTTPRequestHandler, number: int) -> None:
    time.sleep(5 if number > 1 else 0)


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], _Server]]:
    """Starts servers that answer so; stops them at the end."""
    started: list[_Server] = []

    def begin(answer: Answer) -> _Server:
        server = _Server(("127.0.0.1", 0), _Handler)
        server.received, server.answer = [], answer
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return server

    yield begin
    for server in started:
        server.shutdown()
        server.server_close()


def requests(n: int = 3, size: int = 200_000) -> list[bytes]:
    """Different requests; larger than a socket takes at once."""
    return [f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode() + bytes([65 + at]) * size for at in range(n)]


def load(server: _Server, *, connections: int = 1, seconds: float = 0.2, limit_s: float = 20.0, warm: int = 1) -> Load:
    return Load("127.0.0.1", server.server_address[1], (), connections, seconds, limit_s, warm)


@pytest.mark.parametrize("answer", [whole, in_chunks, closing])
@pytest.mark.parametrize("connections", [1, 5])
def test_every_request_is_sent_whole_and_counted_once(serve: Callable[[Answer], _Server], answer: Answer, connections: int) -> None:
    server = serve(answer)
    sent = requests()
    result = run(load(server, connections=connections), sent)
    assert result.errors == 0
    assert result.completed >= connections
    assert result.sent == result.completed + 1 == len(server.received)
    assert {len(body) for body in server.received} == {200_000}
    assert len(set(server.received)) == min(3, len(server.received))
    assert result.p50_ms is not None
    assert result.p99_ms is not None
    assert 0 < result.p50_ms <= result.p99_ms
    assert result.requests_per_s == pytest.approx(result.completed / result.seconds)


def test_a_refusal_is_an_error_and_no_throughput(serve: Callable[[Answer], _Server]) -> None:
    result = run(load(serve(every_third_refused), warm=0), requests(size=10))
    assert set(result.statuses) == {"200", "503"}
    assert result.errors == result.statuses["503"] > 0
    assert result.completed == result.statuses["200"]


def test_a_reply_cut_short_is_an_error_and_the_next_goes_on(serve: Callable[[Answer], _Server]) -> None:
    result = run(load(serve(dropped), warm=0), requests(size=10))
    assert result.completed > 1
    assert result.statuses["closed before the reply was complete"] == result.errors > 0


def test_what_is_not_answered_in_time_is_an_error(serve: Callable[[Answer], _Server]) -> None:
    result = run(load(serve(silent), connections=2, limit_s=0.3, warm=0), requests(size=10))
    assert result.completed == 0
    assert result.p50_ms is None
    assert result.errors >= 1
    assert "no reply in time" in result.statuses


def test_it_runs_as_a_process(serve: Callable[[Answer], _Server], tmp_path: Path) -> None:
    server = serve(whole)
    path = tmp_path / "request"
    path.write_bytes(requests(1, 10)[0])
    given = {**asdict(load(server)), "files": [str(path)]}
    done = subprocess.run([sys.executable, "-m", "benchmarks.load"], input=json.dumps(given), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["sent"] == len(server.received)


def test_nobody_listening_is_said(serve: Callable[[Answer], _Server]) -> None:
    server = serve(whole)
    gone = load(server)
    server.shutdown()
    server.server_close()
    with pytest.raises(ConnectionRefusedError):
        run(gone, requests())


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, None),
        ([3.0], 0.99, 3.0),
        ([2.0, 1.0], 0.5, 1.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 101)], 0.5, 50.0),
    ],
)
def test_a_percentile_is_a_value_that_was_seen(values: list[float], share: float, expected: float | None) -> None:
    assert percentile(values, share) == expected
