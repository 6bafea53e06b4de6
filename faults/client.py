"""One request at a time to the scoring service; every request of the experiments carries its key through here."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from faults.access import headers as key_headers

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Reply:
    """Status, headers in lower case, body, and how long it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    took_s: float

    def json(self) -> Any:
        """The body as JSON, None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Client:
    """A kept connection to the service. Not for several threads at once."""

    def __init__(self, port: int, key: str, *, timeout_s: float = 30.0) -> None:
        self._key = key
        self._connection = http.client.HTTPConnection(HOST, port, timeout=timeout_s)

    def call(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        """Send and read all. Raises OSError or http.client.HTTPException where no reply came; the next call connects anew."""
        started = time.monotonic()
        try:
            self._connection.request(method, path, body, {**key_headers(self._key), **(headers or {})})
            reply = self._connection.getresponse()
            found = reply.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        return Reply(reply.status, {k.lower(): v for k, v in reply.headers.items()}, found, time.monotonic() - started)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        """GET."""
        return self.call("GET", path, None, headers)

    def post_json(self, path: str, value: object, headers: Mapping[str, str] | None = None) -> Reply:
        """POST a value as JSON."""
        return self.call("POST", path, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def move(self, port: int) -> None:
        """Make the next connection to another port; one that is open stays."""
        self._connection.port = port

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
