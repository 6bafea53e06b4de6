"""One HTTP exchange inside the network, over by a deadline whatever the other side does."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .variables import TLS_PORT

if TYPE_CHECKING:
    from socket import socket

_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One HTTP request. ``target`` is path and query, percent-encoded."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered. ``headers`` may repeat a name."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of that name, in whatever case; None where there is none."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)


# What may go wrong besides TimeoutError, which is an OSError and so is caught before these.
BROKEN = (OSError, http.client.HTTPException)


def fetch(host: str, port: int, request: Outgoing, deadline: float) -> Answer:
    """Send and read it all by ``deadline`` (``time.monotonic``). Raises TimeoutError, OSError, HTTPException.

    One connection a request: a function sleeps between requests, and a connection that it kept would often be dead by then.
    """
    kind = http.client.HTTPSConnection if port == TLS_PORT else http.client.HTTPConnection
    connection = kind(host, port, timeout=_left_s(deadline))
    try:
        connection.connect()
        connected = connection.sock
        connection.request(request.method, request.target, request.body or None, dict(request.headers))
        connected.settimeout(_left_s(deadline))
        response = connection.getresponse()
        return Answer(response.status, tuple(response.getheaders()), _read(response, connected, deadline))
    finally:
        connection.close()


def _read(response: http.client.HTTPResponse, connected: socket, deadline: float) -> bytes:
    chunks = []
    while not response.isclosed():
        # A socket's timeout counts from byte to byte: a service that drips would hold the function for ever.
        connected.settimeout(_left_s(deadline))
        chunk = response.read1(_CHUNK_BYTES)
        if not chunk:
            break
        chunks.append(chunk)
    if response.length:  # read1 itself does not mind an answer that ends early
        raise http.client.IncompleteRead(b"", response.length)
    return b"".join(chunks)


def _left_s(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s
