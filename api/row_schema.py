"""JSON Schema (2020-12) of a row, derived from the campaign's declaration."""

from __future__ import annotations

from typing import Any

from api.bodies import MAX_ROWS
from api.rows import id_column
from propensity.campaign import Campaign, Feature, Numeric
from propensity.schema import ID_LENGTH

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def row_schema(campaign: Campaign) -> dict[str, Any]:
    """What one posted row must look like."""
    properties: dict[str, Any] = {id_column(campaign): _id_schema()}
    properties.update({feature.name: _feature_schema(feature) for feature in campaign.features})
    return {
        "$schema": DIALECT,
        "title": f"A row of the campaign {campaign.name}",
        "description": campaign.question,
        "type": "object",
        "properties": properties,
        "required": [id_column(campaign), *(f.name for f in campaign.features if not f.nullable)],
        "additionalProperties": campaign.unexpected_columns == "ignore",
        "examples": [example_row(campaign)],
    }


def example_row(campaign: Campaign) -> dict[str, Any]:
    """A row that is accepted: the middle of each range, the first of each set of values."""
    return {id_column(campaign): "customer-1", **{feature.name: _example(feature) for feature in campaign.features}}


def columns_schema(campaign: Campaign) -> dict[str, Any]:
    """What rows posted by column must look like: every list of one length."""
    row = row_schema(campaign)
    values = {name: {"type": "array", "items": schema, "minItems": 1, "maxItems": MAX_ROWS} for name, schema in row["properties"].items()}
    return {
        "title": f"Rows of the campaign {campaign.name}, by column",
        "description": "A list of values per column, all of one length; the first of each belong to the first row.",
        "type": "object",
        "properties": values,
        "required": row["required"],
        "additionalProperties": {"type": "array"} if row["additionalProperties"] else False,
    }


def example_rows(campaign: Campaign) -> list[dict[str, Any]]:
    """Two rows that are accepted and differ in every feature that has two values."""
    second = {feature.name: _example(feature, second=True) for feature in campaign.features}
    return [example_row(campaign), {id_column(campaign): "customer-2", **second}]


def example_columns(campaign: Campaign) -> dict[str, list[Any]]:
    """`example_rows` by column."""
    first, second = example_rows(campaign)
    return {name: [first[name], second[name]] for name in first}


def _id_schema() -> dict[str, Any]:
    return {
        "description": "customer id: a text, or a number that is kept as the text sent",
        "anyOf": [{"type": "string", "minLength": 1, "maxLength": ID_LENGTH}, {"type": "number"}],
    }


def _feature_schema(feature: Feature) -> dict[str, Any]:
    described = {"description": feature.description} if feature.description else {}
    if not isinstance(feature, Numeric):
        return {**described, "enum": [*feature.values, *([None] if feature.nullable else [])]}
    kind = "integer" if feature.integer else "number"
    unit = {"x-unit": feature.unit} if feature.unit else {}
    limits = {"minimum": _plain(feature.low), "maximum": _plain(feature.high)}
    return {**described, "type": [kind, "null"] if feature.nullable else kind, **limits, **unit}


def _example(feature: Feature, *, second: bool = False) -> object:
    if not isinstance(feature, Numeric):
        return feature.values[-1 if second else 0]
    share = 0.25 if second else 0.5
    value = feature.low + (feature.high - feature.low) * share
    # The range of a whole number may be 0 to 1: rounding down stays within it.
    return int(value // 1) if feature.integer else round(value, 6) if feature.low <= round(value, 6) <= feature.high else value


def _plain(bound: float) -> float | int:
    return int(bound) if float(bound).is_integer() else bound
