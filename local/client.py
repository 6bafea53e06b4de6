"""A few requests to the scoring service, for the demo and for tests."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from typing import Any

from propensity.errors import DataError, StoreError


def call(url: str, body: object = None, *, timeout_s: float = 60.0) -> Any:
    """GET, or POST where there is a body, and return the JSON reply.

    Raises DataError with the service's own sentence where it refuses, StoreError where it cannot serve or does not answer.
    """
    headers = {"Accept": "application/json"}
    data = None
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
