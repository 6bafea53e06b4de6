"""The document as a whole."""

from __future__ import annotations

from collections.abc import Mapping

from api.openapi.parts import TEXT, Json, mapping, record
from api.openapi.paths import TAGS, paths
from api.openapi.requests import columns_schema_of, customers_schema, outcome_schema, parameters
from api.openapi.responses import headers, problem_responses
from api.openapi.roles import ROLES
from api.openapi.schemas import schemas
from api.row_schema import DIALECT, columns_schema, row_schema
from propensity.campaign import Campaign

# Of the contract, not of the software. A breaking change needs a new major number: `make docs` refuses it otherwise.
CONTRACT_VERSION = "2.0.0"
DESCRIPTION = f"""Post customers, get back whom to contact, why, and what it is worth. A reply is committed to the log before it is sent.

Send `Authorization: Bearer <key>`. A key has one of the roles {", ".join(ROLES)}; `x-roles` says at each operation which may call it.

Every refusal is `application/problem+json` with a stable `code`. What is no operation of this document is refused likewise: an unknown
address (404), a method that an address does not take (405), headers that are too large (431).

Within one major version nothing that is accepted will be refused, and nothing that is promised in a reply will be missing. Replies may
gain members, and lists of codes marked `x-open` may gain codes: be ready for both."""


def openapi(campaigns: Mapping[str, Campaign]) -> Json:
    """The document that ``/openapi.json`` serves."""
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": DIALECT,
        "info": {"title": "Propensity scoring", "version": CONTRACT_VERSION, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": told} for name, told in TAGS.items()],
        "paths": paths(campaigns),
        "components": {
            "schemas": {**_by_campaign(campaigns), **schemas(), "Document": _document()},
            "parameters": parameters(),
            "headers": headers(),
            "responses": problem_responses(),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`prop_`, the key's id (8 hex digits), `_`, its secret (43 characters)",
                }
            },
        },
    }


def _by_campaign(campaigns: Mapping[str, Campaign]) -> Json:
    found: Json = {}
    for name, campaign in campaigns.items():
        # The dialect stands once, for the whole document.
        found[f"Row-{name}"] = {key: value for key, value in row_schema(campaign).items() if key != "$schema"}
        found[f"Customers-{name}"] = customers_schema(f"Row-{name}")
        found[f"Columns-{name}"] = columns_schema(campaign)
        found[f"CustomerColumns-{name}"] = columns_schema_of(f"Columns-{name}")
        found[f"Outcome-{name}"] = outcome_schema(campaign)
    return found


def _document() -> Json:
    parts = ("schemas", "parameters", "headers", "responses", "securitySchemes")
    anything: Json = {"type": "object"}
    return record(
        {
            "openapi": {"const": "3.1.0"},
            "jsonSchemaDialect": {"type": "string", "format": "uri"},
            "info": record(dict.fromkeys(("title", "version", "description"), TEXT)),
            "servers": {"type": "array", "items": record({"url": TEXT})},
            "tags": {"type": "array", "items": record({"name": TEXT, "description": TEXT})},
            "paths": mapping(anything, "by address"),
            "components": record(
                {part: mapping({"type": ["object", "boolean"]} if part == "schemas" else anything, "by name") for part in parts}
            ),
        },
        description="An OpenAPI 3.1 document.",
    )
