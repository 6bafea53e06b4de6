"""What may be posted: bodies of every format, options, and examples that run."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable

from api.bodies import MAX_ROWS
from api.openapi.parts import ARROW_FILE, ARROW_STREAM, CSV, JSON, NDJSON, NUMBER, PARQUET, TEXT, TIME, Json, array, ref, said
from api.openapi.schemas import PREDICTION_ID
from api.predictions import DEFAULT_REASONS, MAX_KEY, MAX_REASONS
from api.row_schema import example_columns, example_rows
from propensity.campaign import POLICY_VALUES, Campaign
from propensity.outcomes import other_names
from propensity.schema import ID_LENGTH

# How a table in a binary format must look; it cannot be shown as text.
BINARY = "One table with a column per feature and one for the customer id; types must fit the features."
# Names of the reply formats, best known first.
REPLY_FORMATS = (JSON, NDJSON, CSV, ARROW_STREAM, PARQUET)
MODEL_PATTERN = "^(champion|previous|challenger|[0-9a-f]{12}|[0-9a-f]{64})$"


def options() -> Json:
    """What may stand beside the rows in a JSON object."""
    return {"policy": ref("Policy"), "reasons": _reasons(), "model": _model()}


def _reasons() -> Json:
    told = "how many reasons each prediction carries; 0 leaves them out"
    return said(told, {"type": "integer", "minimum": 0, "maximum": MAX_REASONS, "default": DEFAULT_REASONS})


def _model() -> Json:
    told = "which model answers: champion is the live one; or previous, challenger, a version (12 hex digits) or a digest (64)"
    return said(told, {"type": "string", "pattern": MODEL_PATTERN, "default": "champion"})


def customers_schema(row: str) -> Json:
    """``{"customers": [rows]}`` and the options."""
    rows = array(ref(row), minItems=1, maxItems=MAX_ROWS)
    return _object({"customers": rows, **options()}, required=("customers",))


def columns_schema_of(columns: str) -> Json:
    """``{"columns": {name: [values]}}`` and the options."""
    return _object({"columns": ref(columns), **options()}, required=("columns",))


def _object(properties: Json, required: Iterable[str]) -> Json:
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": False}


def predictions_body(name: str, campaign: Campaign) -> Json:
    """The body of POST predictions."""
    rows = example_rows(campaign)
    policy = {"kind": "top_share", "value": 0.5}
    row, customers, columns = f"Row-{name}", f"Customers-{name}", f"CustomerColumns-{name}"
    examples: Json = {
        "customers": _example("A list with options", {"customers": rows, "policy": policy, "reasons": 3}),
        "rows": _example("A list", rows),
        "row": _example("One customer", rows[0]),
        "columns": _example("The same list by column; the reply comes by column too", {"columns": example_columns(campaign), "reasons": 0}),
        "model": _example("Another model than the live one", {"customers": rows, "model": "previous"}),
    }
    listed = array(ref(row), minItems=1, maxItems=MAX_ROWS)
    return {
        "required": True,
        "description": f"At most {MAX_ROWS:,} rows and 10 MiB, also once unpacked. Text is UTF-8.",
        "content": {
            JSON: {"schema": {"anyOf": [ref(customers), ref(columns), listed, ref(row)]}, "examples": examples},
            **_text_bodies(rows, "one row a line"),
            **{kind: {"schema": said(BINARY, {"contentMediaType": kind})} for kind in (ARROW_STREAM, ARROW_FILE, PARQUET)},
        },
    }


def outcomes_body(campaign: Campaign) -> Json:
    """The body of POST outcomes."""
    label = campaign.label
    rows = [
        {"customer_id": "customer-1", "label": label.positive, "observed_at": "2026-01-31T09:30:00Z"},
        {"customer_id": "customer-2", "label": label.negative, "observed_at": "2026-01-31T09:45:00Z"},
    ]
    one = ref(f"Outcome-{campaign.name}")
    listed = array(one, minItems=1, maxItems=MAX_ROWS)
    wrapped = _object({"outcomes": listed}, required=("outcomes",))
    examples = {
        "outcomes": _example("A list", {"outcomes": rows}),
        "rows": _example("The same list, bare", rows),
        "row": _example("One outcome", rows[0]),
    }
    return {
        "required": True,
        "description": f"At most {MAX_ROWS:,} outcomes and 10 MiB. Each names either a prediction or a customer.",
        "content": {
            JSON: {"schema": {"anyOf": [wrapped, listed, one]}, "examples": examples},
            **_text_bodies(rows, "one outcome a line"),
        },
    }


def outcome_schema(campaign: Campaign) -> Json:
    """What happened to one customer."""
    label = campaign.label
    meaning = f": {label.meaning}" if label.meaning else ""
    customer: Json = {"type": ["string", "number"], "maxLength": ID_LENGTH}
    moment: Json = {**TIME, "type": ["string", "null"]}
    properties = {
        "prediction_id": PREDICTION_ID,
        "customer_id": said("the newest prediction of this customer before the contact, else before the outcome", customer),
        "label": said(f"true or {label.positive!r}{meaning}", {"enum": [True, False, label.positive, label.negative, "true", "false"]}),
        "observed_at": said("when it was seen, with its offset; or a day, which means its end (UTC)", moment),
        "contacted_at": said("when the customer was contacted", moment),
        "correction": said("what was told before is wrong; without a label it is withdrawn", {"enum": [True, False, "true", "false"]}),
    }
    properties |= {name: properties[to] for name, to in other_names(campaign).items()}
    described = "What happened to one customer; names either a prediction or a customer. Only a correction may come without a label."
    return {**_object(properties, required=()), "description": described}


def _text_bodies(rows: list[Json], told: str) -> Json:
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    return {
        NDJSON: {"schema": said(f"JSON, {told}", TEXT), "examples": {"lines": _example("Two lines", lines)}},
        CSV: {
            "schema": said("a header with the names of the columns, then a line per row; cells are separated by commas", TEXT),
            "examples": {"file": _example("Two rows", _csv(rows))},
        },
    }


def _csv(rows: list[Json]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _example(summary: str, value: object) -> Json:
    return {"summary": summary, "value": value}


def prediction_parameters() -> list[Json]:
    """Headers and options of the address."""
    given: list[tuple[str, Json, str]] = [
        (
            "policy",
            {"type": "string", "enum": list(POLICY_VALUES)},
            "whom to contact; the campaign's own policy where it is left out",
        ),
        (
            "value",
            {**NUMBER, "minimum": 0},
            f"goes with the policies {', '.join(kind for kind, top in POLICY_VALUES.items() if top is not None)}",
        ),
        ("reasons", _reasons(), "how many reasons each prediction carries"),
    ]
    return [
        {"$ref": "#/components/parameters/IdempotencyKey"},
        {"$ref": "#/components/parameters/ContentEncoding"},
        *[{"name": name, "in": "query", "description": told, "schema": schema} for name, schema, told in given],
        model_parameter(),
    ]


def model_parameter() -> Json:
    """The model that a request asks for, in its address."""
    told = "which model: champion (the live one), previous, challenger, a version or a digest"
    return {"name": "model", "in": "query", "description": told, "schema": _model()}


def parameters() -> Json:
    """Parameters that several operations share."""
    return {
        "IdempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "The same key with the same request gives the same reply, byte by byte, and logs it once. Send a fresh one with "
            "each new request, such as a random UUID, and the same one to try again.",
            "schema": {"type": "string", "pattern": f"^[ -~]{{1,{MAX_KEY}}}$"},
        },
        "ContentEncoding": {
            "name": "Content-Encoding",
            "in": "header",
            "description": "How the body is packed; left out where it is not.",
            "schema": {"type": "string", "enum": ["gzip"]},
        },
    }
