"""OpenAPI 3.1, derived from the campaign declarations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from api.bodies import MAX_ROWS
from api.row_schema import DIALECT, example_row, row_schema
from propensity.campaign import Campaign, PolicyKind
from propensity.errors import PropensityError
from propensity.schema import ID_LENGTH
from propensity.version import VERSION

Json = dict[str, Any]
_NUMBER: Json = {"type": "number"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_TEXT: Json = {"type": "string"}
_MODEL: Json = {
    "type": "object",
    "required": ["version", "digest"],
    "properties": {"version": {"type": "string", "pattern": "^[0-9a-f]{12}$"}, "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
}


def openapi(campaigns: Mapping[str, Campaign]) -> Json:
    """The document that ``/openapi.json`` serves."""
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": DIALECT,
        "info": {
            "title": "Propensity scoring",
            "version": VERSION,
            "description": "Post customers, get back whom to contact, why, and what it is worth. "
            "A reply is committed to the log before it is sent.",
        },
        "paths": _paths(campaigns),
        "components": {
            "schemas": {
                **{f"Row-{name}": _embedded(row_schema(campaign)) for name, campaign in campaigns.items()},
                "Policy": _policy(),
                "ScoredList": _scored_list(),
                "Outcome": _outcome(),
                "RowIssue": _row_issue(),
                "Problem": _problem(),
            },
            "responses": {"Problem": {"description": "What went wrong and what to do", "content": _problem_content()}},
        },
    }


def _paths(campaigns: Mapping[str, Campaign]) -> Json:
    paths: Json = {}
    for name, campaign in campaigns.items():
        paths[f"/v1/campaigns/{name}/predictions"] = {"post": _post_predictions(name, campaign)}
        paths[f"/v1/campaigns/{name}/outcomes"] = {"post": _post_outcomes(name, campaign)}
    chosen = {"name": "campaign", "in": "path", "required": True, "schema": {"enum": list(campaigns)}}
    wanted = {"name": "id", "in": "path", "required": True, "schema": _TEXT, "description": "a prediction_id of a reply"}
    return {
        **paths,
        "/v1/campaigns": {"get": _get("listCampaigns", "Every campaign and its live model")},
        "/v1/campaigns/{campaign}": {"get": _get("getCampaign", "What can be posted, economics, live model", [chosen], (404,))},
        "/v1/campaigns/{campaign}/schema": {
            "get": _get("getRowSchema", "JSON Schema of a row", [chosen], (404,), "application/schema+json")
        },
        "/v1/campaigns/{campaign}/model": {"get": _get("getModel", "The live model's manifest", [chosen], (404, 503))},
        "/v1/predictions/{id}": {"get": _get("getPrediction", "Record, explanation and lineage of a prediction", [wanted], (404, 503))},
        "/livez": {"get": _get("livez", "The process answers")},
        "/readyz": {"get": _get("readyz", "Ready to score", also={"503": {"description": "Not ready; says why", "content": _any_json()}})},
    }


def _post_predictions(name: str, campaign: Campaign) -> Json:
    row = {"$ref": f"#/components/schemas/Row-{name}"}
    wrapped: Json = {
        "type": "object",
        "required": ["customers"],
        "additionalProperties": False,
        "properties": {
            "customers": {"type": "array", "items": row, "minItems": 1, "maxItems": MAX_ROWS},
            "policy": {"$ref": "#/components/schemas/Policy"},
            "reasons": {"type": "integer", "minimum": 0, "maximum": 10, "default": 3},
        },
    }
    example = {"customers": [example_row(campaign)], "policy": {"kind": "top_share", "value": 0.3}, "reasons": 3}
    content = {
        "application/json": {
            "schema": {"anyOf": [wrapped, wrapped["properties"]["customers"], row]},
            "examples": {"list": {"value": example}, "one": {"value": example_row(campaign)}},
        },
        "application/x-ndjson": {"schema": _TEXT},
        "text/csv": {"schema": _TEXT},
    }
    return {
        "operationId": f"predict-{name}",
        "summary": campaign.title,
        "description": "Rows that cannot be used are named under errors; the others are scored. "
        "Two rows of one customer get a prediction each.",
        "parameters": [_idempotency_key(), *_query_options()],
        "requestBody": {"required": True, "content": content},
        "responses": _responses(
            {"description": "Scored and logged", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ScoredList"}}}},
            (400, 404, 409, 413, 415, 422, 503),
        ),
    }


def _post_outcomes(name: str, campaign: Campaign) -> Json:
    items = {"type": "array", "items": {"$ref": "#/components/schemas/Outcome"}, "minItems": 1, "maxItems": MAX_ROWS}
    wrapped = {"type": "object", "required": ["outcomes"], "properties": {"outcomes": items}, "additionalProperties": False}
    example = {"outcomes": [{"customer_id": "customer-1", "label": campaign.label.positive, "observed_at": "2026-01-31T09:30:00Z"}]}
    one = {"$ref": "#/components/schemas/Outcome"}
    return {
        "operationId": f"outcomes-{name}",
        "summary": f"What happened later: {campaign.label.meaning or campaign.label.column}",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"anyOf": [wrapped, items, one]}, "example": example},
                "application/x-ndjson": {"schema": _TEXT},
                "text/csv": {"schema": _TEXT},
            },
        },
        "responses": _responses({"description": "Counted by what became of them", "content": _any_json()}, (400, 404, 413, 415, 422, 503)),
    }


def _get(
    name: str,
    summary: str,
    parameters: list[Json] | None = None,
    errors: tuple[int, ...] = (),
    mimetype: str = "application/json",
    also: Json | None = None,
) -> Json:
    done = {"description": summary, "content": {mimetype: {"schema": {"type": "object"}}}}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": parameters or [],
        "responses": {**_responses(done, errors), **(also or {})},
    }


def _responses(done: Json, errors: tuple[int, ...]) -> Json:
    return {"200": done, **{str(status): {"$ref": "#/components/responses/Problem"} for status in errors}}


def _idempotency_key() -> Json:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "the same key with the same request gives the same reply and logs it once",
        "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    }


def _query_options() -> list[Json]:
    """Options for bodies that have no place for them."""
    schemas: dict[str, Json] = {
        "policy": {"enum": list(get_args(PolicyKind))},
        "value": _NUMBER,
        "reasons": {"type": "integer", "minimum": 0, "maximum": 10},
    }
    return [{"name": name, "in": "query", "schema": schema} for name, schema in schemas.items()]


def _policy() -> Json:
    return {
        "type": "object",
        "description": "profit: everyone worth it; top_share: the best share, 0 to 1; budget: as many as the money pays for; "
        "threshold: a score of at least value",
        "required": ["kind"],
        "properties": {"kind": {"enum": list(get_args(PolicyKind))}, "value": {"type": "number", "minimum": 0}},
        "additionalProperties": False,
    }


def _scored_list() -> Json:
    reason = {
        "feature": _TEXT,
        "value": {"type": ["string", "number", "null"]},
        "effect": _NUMBER,
        "direction": {"enum": ["raises", "lowers"]},
        "text": _TEXT,
    }
    prediction = {
        "row": {"type": "integer", "minimum": 1},
        "customer_id": {"type": "string", "maxLength": ID_LENGTH},
        "prediction_id": _TEXT,
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "decision": {"enum": ["contact", "leave"]},
        "band": {"enum": ["high", "medium", "low"]},
        "rank": {"type": "integer", "minimum": 1},
        "expected_profit": _NUMBER,
        "reasons": {"type": "array", "items": _object(reason)},
    }
    return _object(
        {
            "request_id": _TEXT,
            "campaign": _TEXT,
            "model": _MODEL,
            "policy": {"$ref": "#/components/schemas/Policy"},
            "counts": _object(dict.fromkeys(("received", "scored", "refused", "contact"), _COUNT)),
            "expected_profit": _object({"amount": {"type": "string", "pattern": r"^-?\d+\.\d{2}$"}, "currency": _TEXT}),
            "ignored_columns": {"type": "array", "items": _object({"column": _TEXT, "reason": _TEXT})},
            "predictions": {"type": "array", "items": _object(prediction)},
            "errors": {"type": "array", "items": {"$ref": "#/components/schemas/RowIssue"}},
            "errors_total": _COUNT,
        }
    )


def _outcome() -> Json:
    return {
        "type": "object",
        "description": "names either a prediction or a customer",
        "required": ["label"],
        "properties": {
            "prediction_id": _TEXT,
            "customer_id": {"type": ["string", "number"]},
            "label": {"type": ["boolean", "string"]},
            "observed_at": {"type": ["string", "null"], "format": "date-time"},
        },
        "additionalProperties": False,
    }


def _row_issue() -> Json:
    return _object({"row": {"type": "integer", "minimum": 1}, "column": {"type": ["string", "null"]}, "code": _TEXT, "message": _TEXT})


def _problem() -> Json:
    whole = _object(
        {"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "code": {"enum": _codes()}, "detail": _TEXT, "request_id": _TEXT}
    )
    whole["properties"]["errors"] = {"type": "array", "items": {"$ref": "#/components/schemas/RowIssue"}}
    whole["properties"]["errors_total"] = _COUNT
    return whole


def _codes() -> list[str]:
    """Every code that an error of the platform can carry, and those of HTTP itself."""
    found = {"internal_error", "bad_request", "not_found", "method_not_allowed"}
    waiting: list[type[PropensityError]] = [PropensityError]
    while waiting:
        kind = waiting.pop()
        found.add(kind.code)
        waiting += kind.__subclasses__()
    return sorted(found)


def _object(properties: Json) -> Json:
    return {"type": "object", "required": list(properties), "properties": properties}


def _embedded(schema: Json) -> Json:
    return {key: value for key, value in schema.items() if key != "$schema"}


def _any_json() -> Json:
    return {"application/json": {"schema": {"type": "object"}}}


def _problem_content() -> Json:
    return {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
