"""Every code that an error reply may carry: its status, what it means, what to do. Codes are stable; texts may be bettered.

Codes of the platform come from the classes in `propensity.errors`; those of HTTP itself stand here, since the names that Python has for
statuses change from version to version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from propensity.errors import PropensityError


@dataclass(frozen=True)
class Code:
    """One code.

    Attributes
    ----------
    exit_code : int or None
        Of the command line; None for what only HTTP says.
    """

    code: str
    status: int
    exit_code: int | None
    meaning: str


@dataclass(frozen=True)
class Status:
    """An HTTP status as this service answers it where no error of the platform says more."""

    code: str
    title: str
    meaning: str


STATUSES: Mapping[int, Status] = {
    400: Status("bad_request", "Bad Request", "the request cannot be understood"),
    401: Status("unauthorized", "Unauthorized", "no key was sent, or one that is not known or no longer valid"),
    403: Status("forbidden", "Forbidden", "the key's role may not do this"),
    404: Status("not_found", "Not Found", "there is nothing at this address; /openapi.json lists what there is"),
    405: Status("method_not_allowed", "Method Not Allowed", "this address does not take this method; the Allow header says which it takes"),
    406: Status("not_acceptable", "Not Acceptable", "the reply cannot be had in a format that the Accept header names"),
    408: Status("request_timeout", "Request Timeout", "the request did not arrive in time"),
    409: Status("conflict", "Conflict", "the request collides with another one"),
    410: Status("gone", "Gone", "what was here was removed"),
    411: Status("length_required", "Length Required", "the request does not say how long its body is"),
    412: Status("precondition_failed", "Precondition Failed", "a condition in the request's headers does not hold"),
    413: Status("too_large", "Content Too Large", "the request is over a stated limit"),
    414: Status("uri_too_long", "URI Too Long", "the address is too long"),
    415: Status("unsupported_media_type", "Unsupported Media Type", "the body's format or encoding is not offered here"),
    416: Status("range_not_satisfiable", "Range Not Satisfiable", "the range asked for lies outside of the file"),
    417: Status("expectation_failed", "Expectation Failed", "what the Expect header asks for is not offered"),
    422: Status("unprocessable_content", "Unprocessable Content", "the request is readable, but cannot be worked on"),
    428: Status("precondition_required", "Precondition Required", "the request must carry a condition"),
    429: Status("rate_limited", "Too Many Requests", "this key sent more requests than it may; the Retry-After header says when to go on"),
    431: Status("header_too_large", "Request Header Fields Too Large", "the request's headers are too large"),
    500: Status("internal_error", "Internal Server Error", "something went wrong on our side; tell the operators the request id"),
    501: Status("not_implemented", "Not Implemented", "the server does not know what the request asks for"),
    502: Status("bad_gateway", "Bad Gateway", "a server in between got no sound answer"),
    503: Status(
        "service_unavailable", "Service Unavailable", "the service cannot answer just now; the Retry-After header says when to try again"
    ),
    504: Status("gateway_timeout", "Gateway Timeout", "a server in between got no answer in time"),
    505: Status("http_version_not_supported", "HTTP Version Not Supported", "the request's version of HTTP is not offered"),
}

# What a caller, or a person at the command line, does about it. A test holds that every code has its sentence.
REMEDIES: Mapping[str, str] = {
    "access_refused": "Use a key that may do this.",
    "bad_gateway": "Try again with the same `Idempotency-Key`; tell the operators where it stays.",
    "bad_request": "Mend the request as `detail` says.",
    "campaign_invalid": "Mend the campaign's file in `propensity/campaigns/` as the sentence says.",
    "checksum_mismatch": "Fetch the file again; where it changed on purpose, change the digest in the campaign's file.",
    "conflict": "Wait a moment and try again.",
    "data_invalid": "Mend the data as `detail` says.",
    "database_busy": "Try again after `Retry-After` seconds with the same `Idempotency-Key`: nothing was stored.",
    "database_unavailable": "Try again after `Retry-After` seconds with the same `Idempotency-Key`: nothing was stored.",
    "erased": "Nothing brings it back; send what is left with a fresh `Idempotency-Key`.",
    "error": "Tell the operators the request id.",
    "expectation_failed": "Leave the `Expect` header out.",
    "forbidden": "Use a key whose role may do this; the document says which under `x-roles`.",
    "gateway_timeout": "Try again with the same `Idempotency-Key`: if the first try went through, its reply comes again.",
    "gone": "Ask for the campaigns again and follow their links.",
    "header_too_large": "Send fewer or shorter headers.",
    "http_version_not_supported": "Speak HTTP/1.1.",
    "idempotency_in_flight": "Wait for the first request's reply, then send the same request again to get the same reply.",
    "idempotency_mismatch": "Use a fresh `Idempotency-Key` for each new request; the same one only to repeat the very same request.",
    "internal_error": "This is a bug: tell the operators the `request_id`.",
    "leak_suspected": "Look for a column that is known only afterwards and declare it as excluded.",
    "length_required": "Send `Content-Length`.",
    "malformed": "Mend the text at the place that `detail` names.",
    "method_not_allowed": "Use a method that the `Allow` header names.",
    "model_damaged": "Operators: promote the package again, or roll back; the last good model serves until then.",
    "model_loading": "Try again after `Retry-After` seconds: the model is being fetched and verified.",
    "model_unusable": "Operators: look at `/readyz`; promote another model, or roll back.",
    "no_live_model": "Operators: train and promote a model for this campaign. Callers: try later.",
    "not_acceptable": "Accept one of the formats that `detail` lists, or `*/*`.",
    "not_found": "Check the address and the id; `/v1/campaigns` lists the campaigns. Another caller's prediction is not found either.",
    "not_implemented": "Send the body with `Content-Length` and without an unusual `Transfer-Encoding`.",
    "nothing_to_decide": "Look at the history: `GET /v1/campaigns/<campaign>/promotions` says what is live and what waits.",
    "object_store_unavailable": "Try again after a while; operators look at object storage.",
    "overloaded": "Try again after `Retry-After` seconds with the same `Idempotency-Key`: nothing was scored.",
    "precondition_failed": "Ask again without `If-Match` and `If-Unmodified-Since`.",
    "precondition_required": "Send the condition that `detail` names.",
    "program_failed": "Read the end of the program's log that is quoted.",
    "promotion_conflict": "Look at who promoted what, and decide anew.",
    "quality_gate_failed": "Mend the rows that are named, or the gate in the campaign's file.",
    "range_not_satisfiable": "Ask for the whole file.",
    "rate_limited": "Wait `Retry-After` seconds; put more rows into each request.",
    "registry_unavailable": "Try again; scoring does not need MLflow.",
    "request_timeout": "Send the request again over a faster connection, or in parts.",
    "rows_invalid": "Mend the rows as `errors` says; each names its column and what is allowed.",
    "service_unavailable": "Try again after `Retry-After` seconds with the same `Idempotency-Key`.",
    "settings_invalid": "Set the variable that is named.",
    "source_missing": "Check the path or address that is named.",
    "store_unavailable": "Try again after `Retry-After` seconds with the same `Idempotency-Key`.",
    "suppressed_since": "Send the list again with a fresh `Idempotency-Key`: it is decided anew.",
    "suppressions_changed": "Try again after `Retry-After` seconds with the same `Idempotency-Key`: nothing was stored.",
    "too_large": "Send the list in parts, or score a file with `propensity score FILE`.",
    "unauthorized": "Send `Authorization: Bearer <key>` with a key that is valid.",
    "unprocessable_content": "Mend the request as `detail` says.",
    "unsupported_media_type": "Send one of the formats that `detail` lists, with its `Content-Type`.",
    "uri_too_long": "Put the options into the body.",
}

# What may be wrong with one row, as `errors` of a reply says it.
ROW_CODES: Mapping[str, str] = {
    "bad_id": "the id is missing, too long or holds characters that cannot be printed",
    "malformed": "the line cannot be read",
    "missing": "a value that the column must have was not sent",
    "not_a_flag": "the value is neither true nor false",
    "not_a_number": "the value is not a number",
    "not_a_time": "the value is not a time with its offset, nor a day",
    "not_a_whole_number": "the value must be a whole number",
    "not_an_object": "the row is not an object",
    "out_of_range": "the value lies outside of the range that is allowed",
    "unexpected_column": "the row holds a column that must not be sent",
    "unknown_category": "the value is not one of those declared",
    "wrong_cell_count": "the row has more or fewer cells than the header",
}


def every_code() -> dict[str, Code]:
    """Every code by name, sorted. A code of the platform wins over the like-named one of HTTP: its status is the same."""
    found = {said.code: Code(said.code, status, None, said.meaning[0].upper() + said.meaning[1:]) for status, said in STATUSES.items()}
    for kind in _kinds(PropensityError):
        if "code" in vars(kind):
            meaning = (kind.__doc__ or "").strip().splitlines()[0].rstrip(".")
            found[kind.code] = Code(kind.code, kind.status, kind.exit_code, meaning)
    return dict(sorted(found.items()))


def _kinds(kind: type[PropensityError]) -> Iterator[type[PropensityError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)
