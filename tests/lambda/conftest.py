"""A real HTTP service behind the functions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Answering = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Upstream:
    """A scoring service that answers as the test says and remembers what it was asked."""

    port: int = 0
    answer: Answering | None = None
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def answers(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.answer = lambda asked: self.send(asked, status, body, *headers)

    @staticmethod
    def send(asked: BaseHTTPRequestHandler, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        asked.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            asked.send_header(name, value)
        asked.end_headers()
        asked.wfile.write(body)


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    service = Upstream()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            service.asked.append((self.command, self.path, dict(self.headers), body))
            assert service.answer is not None
            service.answer(self)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.port = server.server_address[1]
    monkeypatch.setenv("PROPENSITY_SCORING_URL", f"http://127.0.0.1:{service.port}")
    monkeypatch.setenv("PROPENSITY_SCORING_TIMEOUT_S", "20")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield service
    service.over.set()
    server.shutdown()
    thread.join()
    server.server_close()
