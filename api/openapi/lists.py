"""Lists of any size in the document."""

from __future__ import annotations

from api.openapi.operation import operation
from api.openapi.parts import (
    COUNT,
    FLAG,
    JSON,
    PARQUET,
    POSITION,
    TEXT,
    TIME,
    Json,
    array,
    nullable,
    one_of_texts,
    open_codes,
    record,
    ref,
    said,
)
from api.openapi.responses import done
from propensity.list_service import LONGEST_KEY
from propensity.list_state import FORMATS, ListState
from propensity.sheet_formats import SHEETS

_TAG = "Scoring"
_ID = {
    "name": "list",
    "in": "path",
    "required": True,
    "description": "a list's id, as the reply to its creation shows it",
    "schema": {"type": "string", "pattern": r"^[a-z][a-z0-9-]{0,99}\.[0-9a-f]{32}$"},
}
_TOKEN = {"name": "token", "in": "path", "required": True, "description": "from the address that was given out", "schema": TEXT}
_BINARY: Json = {"type": "string", "contentMediaType": "application/octet-stream"}
_MULTIPART = "multipart/form-data"
XLSX = SHEETS["xlsx"][0]


def list_paths(names: list[str]) -> Json:
    """The paths of lists and of the addresses that are given out for them."""
    return {
        "/v1/campaigns/{campaign}/lists": {"post": _create(names)},
        "/v1/lists/{list}": {"get": _status()},
        "/v1/lists/{list}/result": {"get": _way("result", "listResult", "Fetch a call sheet", "The way to the customers, best first.")},
        "/v1/lists/{list}/errors": {"get": _way("errors", "listErrors", "Fetch what was refused", "The way to the refused rows.")},
        "/v1/uploads/{token}": {"post": _upload(), "put": _part()},
        "/v1/downloads/{token}": {"get": _download()},
    }


def list_schemas() -> Json:
    """What the replies hold."""
    part = record({"number": POSITION, "size_bytes": COUNT, "url": TEXT})
    upload = record(
        {
            "expires_at": said("until when the addresses are good; asking again gives fresh ones", TIME),
            "limit_bytes": said("the largest upload that is taken", COUNT),
            "kind": one_of_texts("form", "parts"),
            "method": said("by which the file, or each part, is sent", one_of_texts("POST", "PUT")),
            "url": said("kind form: where the form with the file goes, in the field `file`, behind `fields`", TEXT),
            "fields": {"type": "object", "additionalProperties": TEXT},
            "parts": said("kind parts: each part and where it goes", array(part)),
            "complete": said(
                "kind parts: the request that puts them together",
                record({"method": TEXT, "url": TEXT, "headers": {"type": "object", "additionalProperties": TEXT}}),
            ),
        },
        optional=("url", "fields", "parts", "complete"),
    )
    counted = ("received", "scored", "refused_rows", "contact", "excluded_rows", "held_out")
    counts = record(dict.fromkeys(counted, COUNT), optional=counted[4:])
    return {
        "List": record(
            {
                "list_id": TEXT,
                "campaign": TEXT,
                "state": open_codes(ListState),
                "format": one_of_texts(*FORMATS),
                "created_at": TIME,
                "upload_until": TIME,
                "links": record({"self": TEXT, "result": TEXT, "errors": TEXT}),
                "upload": said("where the customers go, while they are awaited", upload),
                "finished_at": TIME,
                "counts": counts,
                "model_digest": nullable(TEXT),
                "request_id": nullable(TEXT),
                "failure": record({"code": TEXT, "detail": TEXT}),
            },
            optional=("upload", "finished_at", "counts", "model_digest", "request_id", "failure"),
            description="How far a list is.",
        ),
        "Taken": record({"size_bytes": COUNT}, description="What was taken."),
        "Way": record({"url": said("good for minutes, without a key", TEXT)}, description="Where to go on."),
    }


def _create(names: list[str]) -> Json:
    body = {
        "type": "object",
        "properties": {
            "format": said("of the file; csv where none is named", one_of_texts(*FORMATS)),
            "size_bytes": said("of the file, where it is known; needed for an upload in parts", POSITION),
            "parts": said("whether the upload comes in parts, for large files", FLAG),
        },
        "additionalProperties": False,
    }
    chosen = {"name": "campaign", "in": "path", "required": True, "description": "a campaign's name", "schema": {"enum": names}}
    key = {"name": "Idempotency-Key", "in": "header", "required": False, "description": "the same key gives the same list"}
    return operation(
        ("POST", "/v1/campaigns/{campaign}/lists"),
        "createList",
        _TAG,
        "Create a list of any size",
        "The reply says where the file goes; it is scored by itself once it is there, and goes on after a crash, every row once.",
        {"201": done("Created, or there already", {JSON: {"schema": ref("List")}}, "Location", "Idempotent-Replay")},
        (400, 404, 413, 422, 503),
        parameters=[chosen, {**key, "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY}}],
        requestBody={"required": False, "content": {JSON: {"schema": body, "example": {"format": "csv"}}}},
    )


def _status() -> Json:
    reply = {"200": done("How far it is", {JSON: {"schema": ref("List")}})}
    told = "How far it is, and what became of it. A marketing caller sees his own lists alone."
    return operation(("GET", "/v1/lists/{list}"), "getList", _TAG, "Look at a list", told, reply, (404, 503), parameters=[_ID])


def _way(what: str, operation_id: str, summary: str, told: str) -> Json:
    kinds = {"name": "format", "in": "query", "required": False, "description": "csv where none is named", "schema": one_of_texts(*SHEETS)}
    return operation(
        ("GET", f"/v1/lists/{{list}}/{what}"),
        operation_id,
        _TAG,
        summary,
        told,
        {"303": done("Where the file is", {JSON: {"schema": ref("Way")}}, "Location")},
        (400, 404, 409, 410, 503),
        parameters=[_ID, *([kinds] if what == "result" else [])],
    )


def _upload() -> Json:
    form = {"type": "object", "properties": {"file": _BINARY}, "required": ["file"]}
    return operation(
        ("POST", "/v1/uploads/{token}"),
        "uploadList",
        _TAG,
        "Send a list's file",
        "To the address that was given out, which says what is taken. Without a file: puts the parts together.",
        {"200": done("Taken", {JSON: {"schema": ref("Taken")}})},
        (400, 403, 404, 413, 422, 503),
        parameters=[_TOKEN],
        requestBody={"required": False, "content": {_MULTIPART: {"schema": form}}},
    )


def _part() -> Json:
    return operation(
        ("PUT", "/v1/uploads/{token}"),
        "uploadPart",
        _TAG,
        "Send a part of a list's file",
        "Sent again, it replaces itself.",
        {"200": done("Taken", {JSON: {"schema": ref("Taken")}})},
        (403, 413, 422, 503),
        parameters=[_TOKEN],
        requestBody={"required": True, "content": {"application/octet-stream": {"schema": _BINARY}}},
    )


def _download() -> Json:
    files: Json = {"text/csv": {"schema": TEXT}, XLSX: {"schema": _BINARY}, PARQUET: {"schema": _BINARY}}
    return operation(
        ("GET", "/v1/downloads/{token}"),
        "downloadList",
        _TAG,
        "Fetch a list's file",
        "From the address that was given out.",
        {"200": done("The file", files)},
        (403, 404, 503),
        parameters=[_TOKEN],
    )
