"""A few requests to the scoring service, for the demo and for tests."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from typing import Any

from propensity.errors import DataError, StoreError


@dataclass(frozen=True)
class Api:
    """A scoring service and the key to call it with."""

    url: str
    key: str = field(repr=False)

    def call(self, path: str, body: object = None, *, timeout_s: float = 60.0) -> Any:
        """As the function `call`, for a path of this service."""
        return call(self.url + path, body, key=self.key, timeout_s=timeout_s)


def call(url: str, body: object = None, *, key: str | None = None, timeout_s: float = 60.0) -> Any:
    """GET, or POST where there is a body, and return the JSON reply; ``key`` says who asks.

    Raises DataError with the service's own sentence where it refuses, StoreError where it cannot serve or does not answer.
    """
    headers = {"Accept": "application/json"}
    data = None
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    if body is not None:
        data = json.dumps(body).encode()
        headers |= {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310 (our own address)
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as reply:  # noqa: S310
            return json.load(reply)
    except urllib.error.HTTPError as exc:
        kind = DataError if exc.code < 500 else StoreError
        raise kind(f"{url} answered {exc.code}: {_detail(exc.read())}") from exc
    except OSError as exc:
        raise StoreError(f"{url} does not answer: {exc}") from exc


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body).get("detail", ""))
    except ValueError:
        return ""
