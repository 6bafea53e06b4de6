"""What the document says of suppressions, erasures, control groups and the measured lift."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from api.bodies import MAX_ROWS
from api.objects import LONGEST_TEXT
from api.openapi.parts import (
    COUNT,
    FLAG,
    JSON,
    NUMBER,
    POSITION,
    TEXT,
    TIME,
    UUID_PATTERN,
    Json,
    array,
    mapping,
    nullable,
    one_of_texts,
    open_codes,
    record,
    ref,
    said,
)
from api.openapi.responses import done
from api.suppressions import DEFAULT_LIMIT, MOST_LISTED
from propensity.contact_policy import EXCLUSIONS, SUPPRESSED
from propensity.holdout import ARMS, KEY_NAME
from propensity.schema import ID_LENGTH

BY_ROW = ("excluded", "arm")
SHARE: Json = {"type": "number", "minimum": 0, "maximum": 1}
ID: Json = {"type": "string", "pattern": f"^{UUID_PATTERN}$"}
MONEY: Json = {"type": "string", "pattern": r"^-?\d+\.\d{2}$"}
_CUSTOMER: Json = {"type": ["string", "number"], "maxLength": ID_LENGTH}
_NOTE: Json = {"type": ["string", "null"], "minLength": 1, "maxLength": LONGEST_TEXT}
_DAYS = (("since", "the first day, UTC; a year with the last one where none is named"), ("until", "the last day, UTC; today if left out"))


def by_row() -> dict[str, Json]:
    """What the gate says of each customer."""
    codes = open_codes(EXCLUSIONS)
    return {
        "excluded": said("why the customer may not be contacted whatever the score; else null", nullable_codes(codes)),
        "arm": said("of those whom the policy would contact, where the campaign has a control group; else null", nullable_codes(_arm())),
    }


def _arm() -> Json:
    return one_of_texts(*ARMS)


def nullable_codes(schema: Json) -> Json:
    """One of some texts, or null."""
    return {**schema, "type": ["string", "null"], "enum": [*schema["enum"], None]}


def answer() -> Json:
    """What the gate did to a list."""
    hours = record({"open": FLAG, "begins": nullable(TIME), "until": nullable(TIME)})
    return record(
        {
            "excluded": mapping(COUNT, "customers by reason"),
            "held_out": said("customers in the control group", COUNT),
            "holdout": said("null where the campaign has none", nullable(record({"key": TEXT, "share": SHARE}))),
            "contact_hours": said("the window that is open, else the next one; null where none is declared", nullable(hours)),
        },
        description="What the contact gate did. Present where the campaign declares a contact policy or holdout, or somebody is excluded.",
    )


def schemas() -> Json:
    """Bodies and replies of these operations."""
    return {
        "NewSuppressions": _customers({"reason": {"enum": list(SUPPRESSED)}}, required=("reason",)),
        "LiftedSuppressions": _customers({}, required=()),
        "SuppressionsChanged": record(
            {"request_id": ID, "action": one_of_texts("add", "lift"), "customers": COUNT, "campaign": nullable(TEXT), "newest": COUNT}
        ),
        "Suppressions": record(
            {
                "suppressions": array(_suppression()),
                "before": said("asks for the next page; null on the last", nullable(POSITION)),
            }
        ),
        "NewErasure": {
            "type": "object",
            "required": ["customer_id", "reason"],
            "properties": {"customer_id": _CUSTOMER, "reason": {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT}},
            "additionalProperties": False,
        },
        "Erasure": _erasure(),
        "Lift": _lift(),
    }


def _customers(more: Json, required: tuple[str, ...]) -> Json:
    ids: Json = {"type": "array", "items": _CUSTOMER, "minItems": 1, "maxItems": MAX_ROWS}
    return {
        "type": "object",
        "required": list(required),
        "properties": {
            "customer_id": said("one customer; either this or customer_ids", _CUSTOMER),
            "customer_ids": said("several, all or none", ids),
            "campaign": said("left out: every campaign", {"type": ["string", "null"]}),
            "note": _NOTE,
            **more,
        },
        "additionalProperties": False,
    }


def _suppression() -> Json:
    return record(
        {
            "id": POSITION,
            "customer_id": said("as it was sent; null once erased", nullable(TEXT)),
            "campaign": said("null: every campaign", nullable(TEXT)),
            "reason": open_codes(SUPPRESSED),
            "note": nullable(TEXT),
            "by": TEXT,
            "since": TIME,
        }
    )


def _erasure() -> Json:
    counts = ("requests", "predictions", "replies", "outcomes", "suppressions", "contacts")
    return record(
        {
            "erasure_id": ID,
            "complete": said("false: the log was not looked through to its end; `propensity erase` does that", FLAG),
            "at": nullable(TIME),
            "erased": said("what was made unreadable", record(dict.fromkeys(counts, COUNT))),
            "left": said("what was not, and why", array(record({"what": TEXT, "why": TEXT}))),
        },
        description="A receipt.",
    )


def _lift() -> Json:
    arm = record({"customers": COUNT, "known": COUNT, "conversions": COUNT, "rate": nullable(SHARE)})
    ends = {"estimate": NUMBER, "low": NUMBER, "high": NUMBER}
    money = {**dict.fromkeys(ends, MONEY), "currency": TEXT, "contacts": COUNT, "cost": MONEY}
    holdout = record({"key": TEXT, "share": SHARE})
    share = {
        "observed": nullable(SHARE),
        "declared": nullable(SHARE),
        "bounds": said("what chance alone gives in 999 of 1,000 cases", nullable(array(SHARE))),
        "suspicious": said("chance alone gives a control group of this size less than once in 1,000", nullable(FLAG)),
    }
    return record(
        {
            "campaign": TEXT,
            "since": TIME,
            "until": TIME,
            "mature_before": said("predictions from then on do not count yet", TIME),
            "holdout": said("as declared today", nullable(holdout)),
            "key": said("of the control group that was measured", nullable(TEXT)),
            "verdict": said(
                "whether the interval of the difference lies above or below 0", open_codes(["more", "less", "unclear", "no_data"])
            ),
            "arms": record(dict.fromkeys(ARMS, arm)),
            "not_yet_mature": said("customers who were randomised too recently", COUNT),
            "share": record(share),
            "difference": said(
                "of the shares of conversions; null without data",
                record({**{name: nullable(NUMBER) for name in ends}, "confidence": SHARE}),
            ),
            "incremental": record({"conversions": nullable(record(ends)), "money": nullable(record(money))}),
            "excluded": mapping(mapping(COUNT, "customers by reason"), "with the answer, and at the export of a list"),
        },
        description="What contacting brought, measured against the control group, with the intervals of Miettinen and Nurminen (1985).",
    )


def paths(operation: Callable[..., Json], names: list[str]) -> Json:
    """The operations."""
    chosen = {"name": "campaign", "in": "path", "required": True, "description": "a campaign's name", "schema": {"enum": names}}
    changed = {"200": done("Recorded", {JSON: {"schema": ref("SuppressionsChanged")}})}
    receipt = {JSON: {"schema": ref("Erasure")}}
    return {
        "/v1/campaigns/{campaign}/lift": {
            "get": operation(
                ("GET", "/v1/campaigns/{campaign}/lift"),
                "getLift",
                "Contact",
                "What contacting brought",
                "Customers whom the policy would contact are contacted or left alone by a keyed hash; this compares the two arms.",
                {"200": done("The measured lift", {JSON: {"schema": ref("Lift")}})},
                (400, 404, 503),
                parameters=[
                    chosen,
                    *[_query(name, told, {"type": "string", "format": "date"}) for name, told in _DAYS],
                    _query("key", "of an earlier holdout", {"type": "string", "pattern": f"^{KEY_NAME.pattern}$"}),
                ],
            )
        },
        "/v1/suppressions": _suppression_paths(operation, changed, names),
        "/v1/erasures": {
            "post": operation(
                ("POST", "/v1/erasures"),
                "postErasure",
                "Contact",
                "Erase one customer",
                "Makes id and features of the customer's predictions unreadable, with stored replies, outcomes and contacts. Figures stay; "
                "a suppression outlives the id. The receipt says what is left.",
                {"200": done("Erased", receipt), "202": done("Erased in part", receipt)},
                (400, 413, 415, 422, 503),
                requestBody=_body("NewErasure", {"customer_id": "C-1", "reason": "asked for by letter"}),
            )
        },
        "/v1/erasures/{id}": {
            "get": operation(
                ("GET", "/v1/erasures/{id}"),
                "getErasure",
                "Contact",
                "The receipt of an erasure",
                "What was made unreadable, and what is left.",
                {"200": done("The receipt", receipt)},
                (404, 503),
                parameters=[{"name": "id", "in": "path", "required": True, "description": "an `erasure_id`", "schema": ID}],
            )
        },
    }


def _suppression_paths(operation: Callable[..., Json], changed: Json, names: list[str]) -> Json:
    refusals = (400, 413, 415, 422, 503)
    return {
        "post": operation(
            ("POST", "/v1/suppressions"),
            "postSuppressions",
            "Contact",
            "Suppress customers",
            "From the reply on nobody, or no prediction of the campaign that is named, says to contact them, however their id is written.",
            changed,
            refusals,
            requestBody=_body("NewSuppressions", {"customer_id": "C-1", "reason": "objection", "note": "by telephone"}),
        ),
        "delete": operation(
            ("DELETE", "/v1/suppressions"),
            "deleteSuppressions",
            "Contact",
            "Lift suppressions",
            "Those of every campaign, or of the one that is named. The record keeps both.",
            changed,
            refusals,
            requestBody=_body("LiftedSuppressions", {"customer_id": "C-1", "note": "consent of today"}),
        ),
        "get": operation(
            ("GET", "/v1/suppressions"),
            "listSuppressions",
            "Contact",
            "Suppressions that hold",
            "The newest first.",
            {"200": done("A page", {JSON: {"schema": ref("Suppressions")}})},
            (400, 404, 503),
            parameters=[
                _query("campaign", "those that hold for it", {"type": "string", "enum": names}),
                _query("limit", "of the page", {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": DEFAULT_LIMIT}),
                _query("before", "as the page before said", {"type": "integer", "minimum": 1}),
            ],
        ),
    }


def _query(name: str, told: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "required": False, "description": told, "schema": schema}


def _body(schema: str, example: dict[str, Any]) -> Json:
    return {
        "required": True,
        "content": {JSON: {"schema": ref(schema), "examples": {"one": {"summary": "One customer", "value": example}}}},
    }
