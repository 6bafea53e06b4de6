"""Small pieces that schemas are put together from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Json = dict[str, Any]
JSON = "application/json"
NDJSON = "application/x-ndjson"
CSV = "text/csv"
ARROW_STREAM = "application/vnd.apache.arrow.stream"
ARROW_FILE = "application/vnd.apache.arrow.file"
PARQUET = "application/vnd.apache.parquet"
SCHEMA = "application/schema+json"
PROBLEM = "application/problem+json"
TEXT_TYPE = "text/plain"
HTML = "text/html"
FORM = "application/x-www-form-urlencoded"

NUMBER: Json = {"type": "number"}
TEXT: Json = {"type": "string"}
COUNT: Json = {"type": "integer", "minimum": 0}
POSITION: Json = {"type": "integer", "minimum": 1}
FLAG: Json = {"type": "boolean"}
TIME: Json = {"type": "string", "format": "date-time"}
UUID_PATTERN = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def said(description: str, schema: Json) -> Json:
    """A schema with a sentence for people."""
    return {"description": description, **schema}


def ref(name: str) -> Json:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Json, **limits: int) -> Json:
    """A list."""
    return {"type": "array", "items": items, **limits}


def one_of_texts(*values: str) -> Json:
    """One of these texts."""
    return {"type": "string", "enum": list(values)}


def open_codes(values: Iterable[str]) -> Json:
    """One of these texts today; a caller must be ready for new ones."""
    return {"type": "string", "enum": sorted(map(str, values)), "x-open": True}


def nullable(schema: Json) -> Json:
    """The schema, or null."""
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    kind = schema["type"]
    return {**schema, "type": [*([kind] if isinstance(kind, str) else kind), "null"]}


def record(properties: Mapping[str, Json], *, optional: Iterable[str] = (), description: str = "") -> Json:
    """An object that always holds these properties, but for those that are optional. A reply may gain others later."""
    left_out = set(optional)
    told = {"description": description} if description else {}
    return {**told, "type": "object", "required": [name for name in properties if name not in left_out], "properties": dict(properties)}


def mapping(values: Json, description: str) -> Json:
    """An object whose keys are not known beforehand."""
    return {"description": description, "type": "object", "additionalProperties": values}
