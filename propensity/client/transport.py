"""One HTTP request, as often as it takes: retried where that is safe and may help, and never beyond a deadline."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import urllib3

from propensity.client.failures import GaveUp, NoAnswer, NotSendable, ServiceBroken, ServiceError, failure

# What another attempt may mend. 409 counts only for a key whose first attempt is still being worked on.
RETRIED = frozenset({429, 502, 503, 504})
IN_FLIGHT = "idempotency_in_flight"
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 30.0
PIECE_BYTES = 65_536


@dataclass(frozen=True)
class Reply:
    """A reply that is not an error.

    Attributes
    ----------
    body : the JSON value
    attempts : int
        1 where the first one succeeded.
    replayed : bool
        The service had answered this key before and gave the same reply again.
    """

    body: Any
    attempts: int
    replayed: bool


@dataclass
class Transport:
    """Connections to one service, shared by threads.

    Attributes
    ----------
    timeout_s : float
        For connecting, and for each wait for the next bytes of a reply.
    sleep, monotonic : the clock, for tests
    """

    base_url: str
    headers: Mapping[str, str] = field(repr=False)  # the key is among them
    timeout_s: float
    pool: urllib3.PoolManager
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = field(default=random.random)

    def call(self, method: str, path: str, *, deadline: float, body: bytes | None = None, key: str | None = None) -> Reply:
        """Send until there is an answer that counts.

        Parameters
        ----------
        deadline : float
            Monotonic seconds, after which no further attempt begins and no reply is waited for.
        key : str, optional
            Idempotency-Key, the same at every attempt: whatever became of an earlier one, the request takes effect once.

        Raises
        ------
        ServiceError
        """
        headers = {**self.headers, "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if key is not None:
            headers["Idempotency-Key"] = key
        attempt = 0
        while True:
            attempt += 1
            wait_s = None
            try:
                status, replied, text = self._once(method, path, headers, body, deadline)
            except (urllib3.exceptions.HTTPError, OSError) as exc:
                error: ServiceError = _no_answer(exc)
                error.attempts = attempt
                if isinstance(error, NotSendable):
                    raise error from exc
            else:
                if 200 <= status < 300:
                    return Reply(_parsed(text, status, replied), attempt, replied.get("Idempotent-Replay") == "true")
                error = failure(status, _problem(text), replied.get("X-Request-Id"))
                error.attempts = attempt
                if status not in RETRIED and error.code != IN_FLIGHT:
                    raise error
                wait_s = _retry_after_s(replied.get("Retry-After"))
            self._wait(error, attempt, wait_s, deadline)

    def _once(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, deadline: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        left = deadline - self.monotonic()
        if left <= 0:
            raise urllib3.exceptions.TimeoutError("the deadline passed")
        limit = urllib3.Timeout(connect=min(self.timeout_s, left), read=min(self.timeout_s, left))
        reply = self.pool.request(
            method, self.base_url + path, body=body, headers=headers, timeout=limit, retries=False, redirect=False, preload_content=False
        )
        try:
            pieces = []
            # What is there, not as much as was asked for: each wait for bytes has its limit, and a reply that drips meets the deadline.
            while piece := reply.read1(PIECE_BYTES, decode_content=True):
                pieces.append(piece)
                if self.monotonic() > deadline:
                    raise urllib3.exceptions.TimeoutError("the deadline passed while the reply came in")
        except BaseException:
            reply.close()
            raise
        reply.release_conn()
        return reply.status, reply.headers, b"".join(pieces)

    def _wait(self, error: ServiceError, attempt: int, asked_s: float | None, deadline: float) -> None:
        """Sleep before the next attempt. Raises the last attempt's error where the deadline leaves no time for one."""
        backoff_s = min(FIRST_WAIT_S * 2 ** min(attempt - 1, 10), LONGEST_WAIT_S)
        # Jitter only ever adds to what the service asked for, so that callers who were refused together do not come back together.
        wait_s = asked_s + self.jitter() * FIRST_WAIT_S if asked_s is not None else backoff_s * (0.5 + self.jitter() / 2)
        if self.monotonic() + wait_s >= deadline:
            error.detail += f"; gave up at the deadline, after {attempt} attempt{'s' * (attempt > 1)}"
            if isinstance(error, GaveUp):
                raise error
            given_up = GaveUp(error.detail, code=error.code, status=error.status, request_id=error.request_id)
            given_up.attempts = attempt
            raise given_up from error
        self.sleep(wait_s)


def _no_answer(error: Exception) -> ServiceError:
    if isinstance(
        error, urllib3.exceptions.LocationParseError | urllib3.exceptions.URLSchemeUnknown | urllib3.exceptions.LocationValueError
    ):
        return NotSendable("the service's address cannot be used; it looks like http://127.0.0.1:8700", code="bad_address")
    if isinstance(error, urllib3.exceptions.SSLError):
        return NotSendable(f"the service cannot be trusted: {error}", code="not_trusted")
    # urllib3's own text names host and port; bodies and headers are not in it.
    return NoAnswer(f"the service did not answer: {error}")


def _parsed(text: bytes, status: int, headers: Mapping[str, str]) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        detail = "the reply is not JSON: something else than the scoring service answered"
        raise ServiceBroken(detail, status=status, request_id=headers.get("X-Request-Id")) from exc


def _problem(text: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _retry_after_s(header: str | None) -> float | None:
    """Seconds that the service asks to wait, `LONGEST_WAIT_S` at most; None where it says nothing that can be read."""
    if header is None:
        return None
    try:
        seconds = float(header) if header.strip().isdigit() else (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT_S)
