"""``lambda/front_door/handler.handle``: REST API -> this function -> scoring service."""

from __future__ import annotations

import http.client
import os
import time
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from propensity.errors import DataError, SettingsInvalid

from .environment import FrontDoorEnvironment, read_environment
from .logic import Answer, Json, Outgoing, outgoing, problem, reply

if TYPE_CHECKING:
    from socket import socket

    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.utilities.typing import LambdaContext

# Left of the function's own time to say that the answer took too long.
RESERVE_S = 1.0
_CHUNK_BYTES = 64 * 1024


def handle(event: dict[str, Any], context: LambdaContext) -> Json:
    """Answer one REST API proxy event.

    Whatever the scoring service answers is returned as it is. 413: too large for this way. 503: the service could not be
    reached or broke off. 504: no answer in time. 500: this function is not configured.
    """
    started = time.monotonic()
    request_id = event["requestContext"]["requestId"]
    made = _answer(event, request_id, started + context.get_remaining_time_in_millis() / 1000 - RESERVE_S)
    # The template of the address and sizes only: the address itself, bodies and headers may hold what is a customer's.
    _logger().info(
        "request",
        request_id=request_id,
        method=event["httpMethod"],
        resource=event.get("resource"),
        status=made["statusCode"],
        ms=round(1000 * (time.monotonic() - started), 1),
        reply_chars=len(made["body"]),
    )
    return made


def _answer(event: dict[str, Any], request_id: str, latest: float) -> Json:
    try:
        environment = read_environment(os.environ)
        request = outgoing(event, request_id)
    except SettingsInvalid as exc:
        _logger().error(str(exc), request_id=request_id)
        detail = "something went wrong on our side; tell the operators the request id"
        return problem(500, "internal_error", detail, request_id=request_id)
    except DataError as exc:
        return problem(exc.status, exc.code, str(exc), request_id=request_id)
    return _forward(environment, request, request_id, latest)


def _forward(environment: FrontDoorEnvironment, request: Outgoing, request_id: str, latest: float) -> Json:
    key = request.headers.get("Idempotency-Key")
    again = (
        "" if key is None else "; it may have been carried out: send it again with the Idempotency-Key of this reply to learn its result"
    )
    failed = partial(problem, request_id=request_id, idempotency_key=key)
    try:
        return reply(_fetch(environment, request, min(latest, time.monotonic() + environment.timeout_s)), key)
    except TimeoutError:
        return failed(504, "scoring_timeout", f"the scoring service did not answer in time{again}")
    except (OSError, http.client.HTTPException) as exc:
        _logger().warning("the scoring service cannot be reached", request_id=request_id, error=type(exc).__name__)
        return failed(503, "scoring_unavailable", f"the scoring service cannot be reached at the moment{again}")
    except DataError as exc:
        return failed(exc.status, exc.code, str(exc))


def _fetch(environment: FrontDoorEnvironment, request: Outgoing, deadline: float) -> Answer:
    """Send and read it all by ``deadline`` (``time.monotonic``). Raises TimeoutError, OSError, HTTPException.

    One connection a request: a function sleeps between requests, and a connection that it kept would often be dead by then.
    """
    connection = http.client.HTTPConnection(environment.host, environment.port, timeout=_left_s(deadline))
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


@cache
def _logger() -> Logger:
    # Made when first used: powertools reads the environment as it makes one.
    from aws_lambda_powertools import Logger

    return Logger(service="front-door")
