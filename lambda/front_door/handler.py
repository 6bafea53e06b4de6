"""``lambda/front_door/handler.handle``: REST API -> this function -> scoring service."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from propensity.errors import DataError

from ..edge import logger, prepare, rest
from ..exchange import BROKEN, fetch
from ..replies import Json, problem, problem_of
from .environment import read_environment
from .logic import outgoing, reply

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SERVICE = "front-door"
# Left of the function's own time to say that the answer took too long.
RESERVE_S = 1.0


def handle(event: dict[str, Any], context: LambdaContext) -> Json:
    """Answer one REST API proxy event.

    Whatever the scoring service answers is returned as it is. 413: too large for this way. 503: the service could not be
    reached or broke off. 504: no answer in time. 500: this function is not configured, or fails.
    """
    latest = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - RESERVE_S
    return rest(logger(SERVICE), event, lambda request_id: _answer(event, request_id, latest))


def _answer(event: dict[str, Any], request_id: str, latest: float) -> Json:
    environment = read_environment(os.environ)
    request = outgoing(event, request_id)
    key = request.headers.get("Idempotency-Key")
    again = (
        "" if key is None else "; it may have been carried out: send it again with the Idempotency-Key of this reply to learn its result"
    )
    failed = partial(problem, request_id=request_id, idempotency_key=key)
    deadline = min(latest, time.monotonic() + environment.timeout_s)
    try:
        return reply(fetch(environment.host, environment.port, request, deadline), key)
    except TimeoutError:
        return failed(504, "gateway_timeout", f"the scoring service did not answer in time{again}")
    except BROKEN as exc:
        logger(SERVICE).warning("the scoring service cannot be reached", request_id=request_id, error=type(exc).__name__)
        return failed(503, "service_unavailable", f"the scoring service cannot be reached at the moment{again}")
    except DataError as exc:
        return problem_of(exc, request_id=request_id, idempotency_key=key)


prepare(lambda: logger(SERVICE))
