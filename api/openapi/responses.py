"""Replies: headers, and each refusal with the codes that it may carry."""

from __future__ import annotations

from collections.abc import Iterable

from api.codes import STATUSES, every_code
from api.openapi.parts import COUNT, HTML, PROBLEM, TEXT, UUID_PATTERN, Json, array, open_codes, record, ref, said

# Refusals that say when to come back.
WITH_RETRY = (429, 503)
REFUSALS = (400, 401, 403, 404, 406, 409, 410, 413, 415, 422, 429, 503)


def headers() -> Json:
    """Every header of a reply that means something to a caller."""
    return {
        "X-Request-Id": _header(
            "The request's id, as the logs name it. A replayed reply carries the first request's.", TEXT, required=True
        ),
        "Retry-After": _header("Whole seconds to wait before the next try.", {"type": "integer", "minimum": 1}, required=True),
        "Idempotent-Replay": _header("`true` where this is the stored reply to an earlier request with the same key.", {"const": "true"}),
        "WWW-Authenticate": _header("How to send a key.", TEXT),
        "Location": _header("Where to go on.", TEXT, required=True),
    }


def _header(description: str, schema: Json, *, required: bool = False) -> Json:
    return {"description": description, "schema": schema, **({"required": True} if required else {})}


def header(*names: str) -> Json:
    """References to headers by name."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def done(description: str, content: Json, *more_headers: str) -> Json:
    """A reply that is no refusal."""
    return {"description": description, "headers": header("X-Request-Id", *more_headers), "content": content}


def refusals(statuses: Iterable[int]) -> Json:
    """References to the refusals with these statuses."""
    return {str(status): {"$ref": f"#/components/responses/{name_of(status)}"} for status in sorted(statuses)}


def as_pages(replies: Json) -> Json:
    """The replies of an address that answers a browser with pages: a refusal is one where the caller takes HTML."""
    told = {status: _refusal(int(status)) if "$ref" in reply else reply for status, reply in replies.items()}
    return {status: {**reply, "content": {**reply["content"], HTML: {"schema": TEXT}}} for status, reply in told.items()}


def name_of(status: int) -> str:
    """A refusal's name in the document, as in ``NotFound``."""
    return STATUSES[status].title.replace(" ", "")


def problem_responses() -> Json:
    """The refusals themselves."""
    return {name_of(status): _refusal(status) for status in REFUSALS}


def _refusal(status: int) -> Json:
    codes = [found for found in every_code().values() if found.status == status]
    lines = "\n".join(f"- `{found.code}`: {found.meaning}" for found in codes)
    more = ("Retry-After",) if status in WITH_RETRY else ("WWW-Authenticate",) if status == 401 else ()
    return {
        "description": f"{STATUSES[status].title}. The code is one of\n\n{lines}",
        "headers": header("X-Request-Id", *more),
        "content": {PROBLEM: {"schema": ref("Problem"), "example": _example(status)}},
    }


def _example(status: int) -> Json:
    code = {400: "malformed", 409: "idempotency_in_flight", 422: "rows_invalid", 503: "database_unavailable"}.get(status)
    code = code or STATUSES[status].code
    example: Json = {
        "type": f"urn:propensity:problem:{code}",
        "title": STATUSES[status].title,
        "status": status,
        "code": code,
        "detail": every_code()[code].meaning,
        "request_id": "3f1c2a52-0c3e-4a57-9c5b-6a1f0b7f5d11",
    }
    if code == "rows_invalid":
        issue = {"row": 1, "column": "age", "code": "out_of_range", "message": "must be a number from 17 to 98 (years)"}
        return {**example, "detail": "none of the 1 rows can be used; errors says why, row by row", "errors": [issue], "errors_total": 1}
    return example


def problem_schema() -> Json:
    """The body of every refusal (RFC 9457)."""
    return record(
        {
            "type": said("`urn:propensity:problem:` and the code", {"type": "string", "pattern": "^urn:propensity:problem:"}),
            "title": said("The status in words", TEXT),
            "status": said("The status of the reply", {"type": "integer", "minimum": 400, "maximum": 599}),
            "code": said("For machines. Stable; new ones may be added.", open_codes(every_code())),
            "detail": said("What happened, and what is allowed", TEXT),
            "request_id": {"type": "string", "pattern": f"^{UUID_PATTERN}$"},
            "errors": said("What is wrong row by row, the first thousand", array(ref("RowIssue"))),
            "errors_total": said("How many there are in all", COUNT),
        },
        optional=("errors", "errors_total"),
        description="What went wrong and what to do.",
    )
