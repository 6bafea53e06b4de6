"""Behind port 443 the functions speak TLS and nothing else."""

from __future__ import annotations

import importlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator

import pytest

exchange = importlib.import_module("lambda.exchange")
CLIENT_HELLO = 0x16


@pytest.fixture
def plain() -> Iterator[tuple[int, list[bytes]]]:
    """A server that knows nothing of TLS, and what it was sent."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                received.append(connection.recv(1024))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield server.getsockname()[1], received
        thread.join(timeout=5)


def test_a_server_without_tls_is_broken_and_learns_nothing(plain: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    port, received = plain
    monkeypatch.setattr(exchange, "TLS_PORT", port)
    asked = exchange.Outgoing("GET", "/v1/campaigns", {"Authorization": "Bearer secret"})
    with pytest.raises(ssl.SSLError) as broken:
        exchange.fetch("127.0.0.1", port, asked, time.monotonic() + 5)
    assert isinstance(broken.value, exchange.BROKEN)
    assert received[0][0] == CLIENT_HELLO
    assert b"secret" not in received[0]


def test_elsewhere_it_is_plain(plain: tuple[int, list[bytes]]) -> None:
    port, received = plain
    answer = exchange.fetch("127.0.0.1", port, exchange.Outgoing("GET", "/livez", {}), time.monotonic() + 5)
    assert answer.status == 200
    assert received[0].startswith(b"GET /livez ")
