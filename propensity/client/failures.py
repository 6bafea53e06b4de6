"""What can go wrong with a call to the scoring service.

::

    ServiceError
    ├── NotSendable              the input cannot be sent: nothing was; says row and column, never the value
    │   └── PolicyNeedsOneRequest  a policy that compares the rows of one list, for a list that must be split
    ├── Refused                  the service refused it, and would again (4xx)
    │   ├── NotAuthenticated     401: no key, or one that is not known
    │   ├── NotAllowed           403: the key's role may not do this
    │   ├── NotThere             404: no such campaign, prediction or address
    │   ├── KeyReused            409 or 422: the idempotency key belongs to another request
    │   └── NoRowUsable          422: every row is wrong; ``errors`` says why
    ├── ServiceBroken            500, or a reply that is none of the service's: a bug, tell its operators the request id
    └── GaveUp                   tried as often as the deadline allowed; trying later may help
        ├── TooManyRequests      429 until the deadline
        ├── Unavailable          503, 502 or 504 until the deadline
        └── NoAnswer             no connection, or no reply in time
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class ServiceError(Exception):
    """Root of what this client raises.

    Attributes
    ----------
    code : str
        Stable, for machines: the service's own ``code``, or one of this client's.
    status : int or None
        HTTP status; None where there was no reply.
    detail : str
        A sentence that says what happened and what is allowed.
    request_id : str or None
        What the service's operators find the request by.
    errors : sequence of mappings
        Row by row: ``row``, ``column``, ``code``, ``message``. The service lists the first thousand.
    errors_total : int
        How many there are in all.
    attempts : int
        How often the request was sent.
    call_id : str or None
        Of a call for predictions: repeat it with this id, and what was answered already is answered the same way.
    """

    default_code = "service_error"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        errors: Sequence[Mapping[str, Any]] = (),
        errors_total: int | None = None,
    ) -> None:
        self.detail = detail
        self.code = code or self.default_code
        self.status = status
        self.request_id = request_id
        self.errors = tuple(errors)
        self.errors_total = len(self.errors) if errors_total is None else errors_total
        self.attempts = 1
        self.call_id: str | None = None
        super().__init__(detail)

    def __str__(self) -> str:
        where = [f"HTTP {self.status}" if self.status else None, self.code, f"request {self.request_id}" if self.request_id else None]
        return f"{self.detail} ({', '.join(part for part in where if part)})"


class NotSendable(ServiceError, ValueError):
    """The input holds what the service could not be asked about."""

    default_code = "not_sendable"


class PolicyNeedsOneRequest(NotSendable):
    """The policy compares the rows of one list with each other, and the list does not fit into one request."""

    default_code = "policy_needs_one_request"


class Refused(ServiceError):
    """The service refused the request, and would refuse it again."""

    default_code = "refused"


class NotAuthenticated(Refused):
    """No key, or one that the service does not know."""


class NotAllowed(Refused):
    """The key's role may not do this."""


class NotThere(Refused):
    """There is no such campaign, prediction or address, or it is another caller's."""


class KeyReused(Refused):
    """The idempotency key was used for another request: the ``call_id`` belongs to other rows."""


class NoRowUsable(Refused):
    """Not one row could be used."""


class ServiceBroken(ServiceError):
    """The service failed, or what answered is not the service."""

    default_code = "service_broken"


class GaveUp(ServiceError):
    """The deadline passed, or the attempts were used up."""

    default_code = "gave_up"


class TooManyRequests(GaveUp):
    """The key's rate was used up for too long."""


class Unavailable(GaveUp):
    """The service could not serve for too long."""


class NoAnswer(GaveUp):
    """No connection could be made, it broke, or no reply came in time."""

    default_code = "no_answer"


def failure(status: int, problem: Mapping[str, Any], request_id: str | None) -> ServiceError:
    """The error that a reply stands for. ``problem`` is its body, empty where that is not problem+json."""
    code = str(problem.get("code") or f"http_{status}")
    detail = str(problem.get("detail") or f"the service answered HTTP {status}")
    return _kind(status, code)(
        detail,
        code=code,
        status=status,
        request_id=str(problem["request_id"]) if problem.get("request_id") else request_id,
        errors=problem.get("errors") or (),
        errors_total=problem.get("errors_total"),
    )


def _kind(status: int, code: str) -> type[ServiceError]:
    by_code = {"idempotency_mismatch": KeyReused, "idempotency_in_flight": KeyReused, "rows_invalid": NoRowUsable}
    by_status = {401: NotAuthenticated, 403: NotAllowed, 404: NotThere, 429: TooManyRequests}
    if status in (502, 503, 504):
        return Unavailable
    if code in by_code:
        return by_code[code]
    return by_status.get(status, Refused if 400 <= status < 500 else ServiceBroken)
