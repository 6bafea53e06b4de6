"""What replies hold, whole."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from api.codes import ROW_CODES
from api.openapi import gate
from api.openapi.lists import list_schemas
from api.openapi.operating import operating_schemas
from api.openapi.outcomes import outcome_counts, outcome_rules, outcome_summary
from api.openapi.parts import (
    COUNT,
    FLAG,
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
from api.openapi.promotions import promotion_schemas
from api.openapi.responses import problem_schema
from api.openapi.roles import ROLES
from propensity.campaign import POLICY_VALUES, PolicyKind
from propensity.decision import BANDS, CONTACT, LEAVE
from propensity.model import Manifest
from propensity.promotion import ALIASES
from propensity.schema import ID_LENGTH

DIGEST: Json = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
VERSION: Json = {"type": "string", "pattern": "^[0-9a-f]{12}$"}
KEY_ID: Json = {"type": "string", "pattern": "^[0-9a-f]{8}$"}
REQUEST_ID: Json = {"type": "string", "pattern": f"^{UUID_PATTERN}$"}
PREDICTION_ID: Json = said(
    "the request's id, a dot, the position in the request", {"type": "string", "pattern": rf"^{UUID_PATTERN}\.[1-9][0-9]{{0,8}}$"}
)
CUSTOMER_ID: Json = {"type": "string", "minLength": 1, "maxLength": ID_LENGTH}
MONEY: Json = said("with its cents", {"type": "string", "pattern": r"^-?\d+\.\d{2}$"})
DECISION = one_of_texts(CONTACT, LEAVE)
SCORE: Json = {"type": "number", "minimum": 0, "maximum": 1}
VALUE: Json = said("the customer's own value, as sent", {"type": ["string", "number", "null"]})
MONTHS: Json = said("first and last month, YYYY-MM", {"type": ["array", "null"], "items": TEXT, "minItems": 2, "maxItems": 2})


def schemas() -> Json:
    """Every schema that does not depend on a campaign."""
    return {
        **operating_schemas(),
        "Policy": policy(),
        "PolicyUsed": record(
            {"kind": TEXT, "value": NUMBER},
            optional=["value"],
            description="The policy that decided. Callers must expect kinds that they do not know: new ones may come.",
        ),
        "Caller": record({"key_id": KEY_ID, "name": TEXT, "role": one_of_texts(*ROLES)}, description="Whose key came with the request."),
        "Model": record({"version": VERSION, "digest": DIGEST}, description="Which model answered."),
        **list_schemas(),
        "Prediction": record(_prediction(), optional=("reasons", *gate.BY_ROW)),
        "Reason": record(_reason()),
        "PredictionColumns": record(
            {name: array(schema) for name, schema in _prediction().items()},
            optional=("reasons", *gate.BY_ROW),
            description="The predictions by column: every list has one entry per scored row, in the order sent.",
        ),
        "ScoredList": record({**_answer(), "predictions": array(ref("Prediction")), **_errors()}, optional=("gate",)),
        "ScoredColumns": record({**_answer(), "columns": ref("PredictionColumns"), **_errors()}, optional=("gate",)),
        **gate.schemas(),
        "RowIssue": _row_issue(),
        "OutcomeCounts": outcome_counts({"request_id": REQUEST_ID, "campaign": TEXT}, _errors()),
        "OutcomeSummary": outcome_summary(),
        "Campaign": record(_campaign()),
        "CampaignInFull": record({**_campaign(), **_declared()}),
        "Campaigns": record({"campaigns": array(ref("Campaign"))}),
        "Feature": _feature(),
        "LiveModel": _live_model(),
        "ModelInFull": _model_in_full(),
        "Models": record({"campaign": TEXT, "models": array(_choice())}),
        **_manifest(),
        **promotion_schemas(),
        "PredictionRecord": _prediction_record(),
        "RowSchema": _row_schema(),
        "Liveness": record({"status": {"const": "live"}}),
        "Startup": record({"status": {"enum": ["started", "starting"]}}),
        "Readiness": _readiness(),
        "Problem": problem_schema(),
    }


def policy() -> Json:
    """Whom to contact, one shape per kind."""
    told: dict[PolicyKind, str] = {
        "profit": "everyone whose expected profit is positive",
        "top_share": "the best share of the list",
        "budget": "as many of the best as the money pays for, while they are profitable",
        "calls": "at most so many of the best, while they are profitable",
        "recall": "as few of the best as hold this share of all expected conversions",
        "threshold": "everyone with a score of at least value",
    }
    return {
        "description": "Whom to contact.",
        "anyOf": [
            {
                "description": f"{kind}: {told[kind]}",
                "type": "object",
                "required": ["kind"] if top is None else ["kind", "value"],
                "properties": {
                    "kind": {"const": kind},
                    **({} if top is None else {"value": {"type": _value_type(kind), "minimum": 0, "maximum": int(top)}}),
                },
                "additionalProperties": False,
            }
            for kind, top in POLICY_VALUES.items()
        ],
    }


def _value_type(kind: PolicyKind) -> str:
    return "integer" if kind == "calls" else "number"


def _answer() -> Json:
    """What a scored list says before the predictions."""
    counts = {
        "received": said("rows in the request", COUNT),
        "scored": said("rows with a prediction", COUNT),
        "refused": said("rows that could not be used", COUNT),
        "contact": said("customers to contact", COUNT),
    }
    return {
        "request_id": REQUEST_ID,
        "campaign": TEXT,
        "model": ref("Model"),
        "policy": ref("PolicyUsed"),
        "counts": record(counts),
        "expected_profit": said("summed over the customers to contact", record({"amount": MONEY, "currency": TEXT})),
        "ignored_columns": said("columns that were sent and not used, the first fifty", array(record({"column": TEXT, "reason": TEXT}))),
        "gate": gate.answer(),
    }


def _errors() -> Json:
    return {
        "errors": said("what was wrong, row by row; the first thousand", array(ref("RowIssue"))),
        "errors_total": said("how many there are in all", COUNT),
    }


def _prediction() -> Json:
    return {
        "row": said("number of the row as sent, from 1", POSITION),
        "customer_id": CUSTOMER_ID,
        "prediction_id": PREDICTION_ID,
        "score": said("the probability of the positive label", SCORE),
        "decision": DECISION,
        "band": said("high from twice the break-even score, medium from the break-even score", one_of_texts(*BANDS)),
        "rank": said("1 is the best of the list", POSITION),
        "expected_profit": said("of contacting this customer, in the campaign's currency", NUMBER),
        "reasons": said("what moved the score most, strongest first", array(ref("Reason"))),
        **gate.by_row(),
    }


def _reason() -> Json:
    return {
        "feature": TEXT,
        "value": VALUE,
        "effect": said("in calibrated log-odds", NUMBER),
        "direction": one_of_texts("raises", "lowers"),
        "text": said("in words", TEXT),
    }


def _row_issue() -> Json:
    properties = {
        "row": said("number of the row as sent, from 1", POSITION),
        "column": said("null where the row as a whole is wrong", nullable(TEXT)),
        "code": said("For machines. Stable; new ones may be added.", open_codes(ROW_CODES)),
        "message": said("what is allowed; never the value that was sent", TEXT),
    }
    return record(properties, description="One thing wrong with one row.")


def _campaign() -> Json:
    links = {
        name: {"type": "string", "format": "uri-reference"} for name in ("self", "schema", "model", "models", "predictions", "outcomes")
    }
    return {
        "name": TEXT,
        "title": TEXT,
        "question": TEXT,
        "live_model": said("null where none was promoted yet", nullable(ref("LiveModel"))),
        "links": record(links),
    }


def _declared() -> Json:
    label = {"column": TEXT, "positive": TEXT, "negative": TEXT, "meaning": TEXT, **outcome_rules()}
    economics = {
        "contact_cost": said("decimal", TEXT),
        "conversion_value": said("decimal", TEXT),
        "currency": TEXT,
        "break_even": said("the score from which a contact is worth its cost", SCORE),
    }
    return {
        "id_column": said("the column that holds the customer id", TEXT),
        "features": array(ref("Feature")),
        "excluded": said("columns that must not be features, and why", array(record({"column": TEXT, "reason": TEXT}))),
        "unexpected_columns": said("what becomes of rows with other columns", one_of_texts("ignore", "refuse")),
        "label": record(label),
        "economics": record(economics),
        "policy": said("used where a request names none", ref("PolicyUsed")),
        "declaration_digest": DIGEST,
    }


def _feature() -> Json:
    properties = {
        "name": TEXT,
        "kind": one_of_texts("numeric", "categorical"),
        "nullable": said("may be missing: null, or not sent", FLAG),
        "allowed": said("what it accepts, in words", TEXT),
        "description": TEXT,
        "low": said("numeric only", NUMBER),
        "high": said("numeric only", NUMBER),
        "unit": said("numeric only", TEXT),
        "integer": said("numeric only: whole numbers alone", FLAG),
        "values": said("categorical only", array({"type": ["string", "integer"]})),
    }
    return record(properties, optional=("low", "high", "unit", "integer", "values"))


def _live_model() -> Json:
    return record(
        {
            "version": VERSION,
            "digest": DIGEST,
            "metrics": mapping(NUMBER, "measured at training, by name"),
            "trained_months": MONTHS,
            "trained_rows": COUNT,
            "since": nullable(TIME),
            "promoted_by": TEXT,
            "action": said("the decision on it", one_of_texts("promote", "rollback", "refuse")),
            "replaces": said("digest of the model before it", nullable(DIGEST)),
        }
    )


def _model_in_full() -> Json:
    return record(
        {
            "campaign": TEXT,
            "model": said("the one that was asked for", ref("LiveModel")),
            "live": said("the one that answers where a request names none", nullable(ref("LiveModel"))),
            "manifest": said("of the one that was asked for", ref("Manifest")),
            "importance": mapping(SCORE, "share of the trees' total gain per feature, largest first; sums to one, or empty"),
        }
    )


def _choice() -> Json:
    return record(
        {
            "version": VERSION,
            "digest": DIGEST,
            "aliases": said("what names it at present", array(one_of_texts(*ALIASES))),
            "action": said("the last decision on it", one_of_texts("promote", "rollback", "refuse")),
            "since": said("when that was", nullable(TIME)),
            "decided_by": TEXT,
            "reasons": array(TEXT),
        }
    )


@cache
def _manifest() -> Json:
    """From the dataclass itself and those within it. Without the canary rows: those are customers."""
    _, found = msgspec.json.schema_components([Manifest], ref_template="#/components/schemas/{name}")
    told = {name: str(derived["description"]).partition("\n")[0] for name, derived in found.items()}
    del found["Manifest"]["properties"]["canary"]
    for schema in [schema for derived in found.values() for schema in derived["properties"].values()]:
        # What is left out of a package's file is said in a reply.
        schema.pop("default", None)
    return {name: {**record(derived["properties"]), "description": told[name]} for name, derived in found.items()}


def _prediction_record() -> Json:
    contribution = {"feature": TEXT, "value": VALUE, "effect": NUMBER, "direction": one_of_texts("raises", "lowers", "none")}
    explanation = record(
        {
            "base": said("log-odds before any feature", NUMBER),
            "log_odds": said("of the score: base and every effect, summed", NUMBER),
            "contributions": said("strongest first", array(record(contribution))),
            "reproduced": said("whether scoring the logged values again gave the very same score", FLAG),
        }
    )
    properties: dict[str, Any] = {
        "prediction_id": PREDICTION_ID,
        "request_id": REQUEST_ID,
        "campaign": TEXT,
        "row": POSITION,
        "customer_id": CUSTOMER_ID,
        "received_at": nullable(TIME),
        "source": said("api, or the batch that scored the list", TEXT),
        "caller": said("who sent it; empty where no key was involved", TEXT),
        "score": SCORE,
        "decision": DECISION,
        "policy": ref("PolicyUsed"),
        "model": ref("Model"),
        "declaration": record({"digest": DIGEST, "current": said("whether the campaign is declared so today", FLAG)}),
        "features": said("the logged values; null where `unexplained` says why", nullable(mapping(VALUE, "by feature"))),
        "explanation": nullable(explanation),
        "lineage": nullable(_lineage()),
        "unexplained": said("why there is no explanation; null where there is one", nullable(TEXT)),
    }
    told = "What was asked, what was answered, why, and which data, model and code produced it."
    return record(properties, description=told)


def _lineage() -> Json:
    manifest = _manifest()["Manifest"]["properties"]
    names = ("snapshot_id", "code_version", "params", "rounds", "split", "trained_months", "trained_rows", "declaration_digest")
    return record({name: manifest[name] for name in names})


def _row_schema() -> Json:
    properties = {
        "$schema": {"type": "string", "format": "uri"},
        "title": TEXT,
        "description": TEXT,
        "type": {"const": "object"},
        "properties": mapping({"type": "object"}, "a JSON Schema by column"),
        "required": array(TEXT),
        "additionalProperties": FLAG,
        "examples": array({"type": "object"}),
    }
    return record(properties, description="JSON Schema (2020-12) of a row.")


def _readiness() -> Json:
    check = record({"ok": FLAG, "reason": nullable(TEXT)})
    model = record(
        {
            "version": nullable(VERSION),
            "since": said("when it was promoted", nullable(TIME)),
            "awaited": said("the model that was promoted since and is not live yet", nullable(VERSION)),
            "problem": nullable(TEXT),
        }
    )
    ledger = record({"problem": nullable(TEXT), "seconds_since_read": said("null before the first look", nullable(NUMBER))})
    return record(
        {
            "status": one_of_texts("ready", "not ready"),
            "checks": record({"process": check, "database": check, "live_model": check, "api_keys": check}),
            "models": mapping(model, "by campaign"),
            "promotions": said("whether the history of promotions can be read", ledger),
        }
    )
