"""The outermost edge of each function: what it logs, and what becomes of what nobody foresaw."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from propensity.errors import PropensityError

from .replies import INTERNAL, Json, problem, problem_of

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger


@cache
def logger(service: str) -> Logger:
    """The function's logger. Made when first used: powertools reads the environment as it makes one."""
    from aws_lambda_powertools import Logger

    return Logger(service=service)


def prepare(make: Callable[[], object]) -> None:
    """While Lambda initialises the function, which it does with more CPU than a small function has later, make what requests will need.

    Nowhere else anything happens: importing a handler does nothing. What is missing is told by the first request, in its own form.
    """
    if "AWS_LAMBDA_INITIALIZATION_TYPE" in os.environ:
        with suppress(PropensityError):
            make()


def rest(log: Logger, event: dict[str, Any], answer: Callable[[str], Json]) -> Json:
    """Answer a REST API proxy event by ``answer(request_id)``; whatever that raises becomes a problem.

    One line is logged: the template of the address and sizes only. The address itself, bodies and headers may hold what is a customer's.
    """
    started = time.monotonic()
    request_id = event["requestContext"]["requestId"]
    try:
        made = answer(request_id)
    except PropensityError as exc:
        level = log.error if exc.status == INTERNAL[0] else log.warning if exc.status > INTERNAL[0] else log.info
        level(str(exc), request_id=request_id, code=exc.code)
        made = problem_of(exc, request_id=request_id)
    except Exception as exc:  # noqa: BLE001 - the outermost edge
        unexpected(log, exc, request_id=request_id)
        made = problem(*INTERNAL, request_id=request_id)
    log.info(
        "request",
        request_id=request_id,
        # Of whoever answered: where that is the scoring service, its log has this id, too.
        answered_as=made["multiValueHeaders"].get("X-Request-Id", [None])[0],
        method=event.get("httpMethod"),
        resource=event.get("resource"),
        status=made["statusCode"],
        ms=round(1000 * (time.monotonic() - started), 1),
        reply_chars=len(made["body"]),
    )
    return made


def unexpected(log: Logger, exc: BaseException, **known: Any) -> None:
    """Log what nobody foresaw: its kind and place alone, since its text may quote a header or a body."""
    at = exc.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    place = "" if at is None else f"{os.path.basename(at.tb_frame.f_code.co_filename)}:{at.tb_lineno}"
    log.error("unexpected error", error=type(exc).__name__, at=place, **known)
