"""Promotions, rollbacks and approvals in the document."""

from __future__ import annotations

from typing import Any

from api.openapi.parts import FLAG, JSON, POSITION, TEXT, TIME, Json, array, nullable, one_of_texts, record, ref, said
from api.promotions import DECISIONS, LARGEST_SEQUENCE, MOST_DECISIONS
from propensity.decisions import REASON_LENGTH, STEPS

DIGEST: Json = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
VERSION: Json = {"type": "string", "pattern": "^[0-9a-f]{12}$"}
_MODEL: Json = {"type": "string", "pattern": "^(champion|previous|challenger|[0-9a-f]{12}|[0-9a-f]{64})$"}
_REASON = said("for the record", {"type": "string", "minLength": 1, "maxLength": REASON_LENGTH})
_BODIES: Json = {
    "promotion": (
        {
            "model": said("a model of the history: an alias, a version or a digest", _MODEL),
            "reason": _REASON,
            "override": said("put it live although it was refused, rejected or taken back", FLAG),
        },
        ["model", "reason"],
        {"model": "challenger", "reason": "better on the October cohort, see the report"},
    ),
    "rollback": (
        {
            "reason": _REASON,
            "live": said(
                "version or digest of the model that is to go; where another is live by then, nothing is taken back",
                {"type": "string", "pattern": "^([0-9a-f]{12}|[0-9a-f]{64})$"},
            ),
        },
        ["reason"],
        {"reason": "calls fail more often since this morning", "live": "3f1c2a520c3e"},
    ),
    "approval": (
        {
            "approve": said("true: put it live; false: reject it", FLAG),
            "reason": _REASON,
            "sequence": said("which decision waits, where more than one does", {**POSITION, "maximum": LARGEST_SEQUENCE}),
        },
        ["approve", "reason"],
        {"approve": True, "reason": "agreed with risk"},
    ),
}


def decision_body(kind: str) -> Json:
    """The body of a decision: ``promotion``, ``rollback`` or ``approval``."""
    properties, required, example = _BODIES[kind]
    schema: Json = {"type": "object", "required": required, "properties": properties, "additionalProperties": False}
    return {"required": True, "content": {JSON: {"schema": schema, "example": example}}}


def page_parameters() -> list[Json]:
    """Which decisions: how many, and before which."""
    limit = {**POSITION, "maximum": MOST_DECISIONS, "default": DECISIONS}
    return [
        {"name": "limit", "in": "query", "description": "how many decisions", "schema": limit},
        {
            "name": "before",
            "in": "query",
            "description": "only decisions before the one of this number; `next` of a reply says which",
            "schema": {**POSITION, "maximum": LARGEST_SEQUENCE},
        },
    ]


def promotion_schemas() -> Json:
    """What replies about decisions hold."""
    return {
        "PromotionDecision": record(_decision()),
        "Promotions": record(
            {
                "campaign": TEXT,
                "live": said("the decision by which the live model is live", nullable(ref("PromotionDecision"))),
                "waiting": said(
                    "what waits for approval; `fits` is false where another model went live since",
                    array(record({**_decision(), "fits": FLAG})),
                ),
                "promotions": said("the newest first", array(ref("PromotionDecision"))),
                "next": said("address of the page before", nullable(TEXT)),
            }
        ),
        "Decided": record(
            {
                "campaign": TEXT,
                "changed": said("false where all was so already", FLAG),
                "decision": nullable(ref("PromotionDecision")),
            }
        ),
    }


def _decision() -> dict[str, Any]:
    return {
        "sequence": said("its place in the campaign's history", POSITION),
        "action": said("what it does to the live model", one_of_texts("promote", "rollback", "refuse")),
        "step": said(
            "how it came about; null: by gates, or by a person's rollback", {"type": ["string", "null"], "enum": [*STEPS[1:], None]}
        ),
        "model": record({"version": VERSION, "digest": DIGEST}),
        "replaces": said("digest of the model that was live", nullable(DIGEST)),
        "reasons": array(TEXT),
        "evidence": {"description": "figures that it rests on", "type": "object", "additionalProperties": True},
        "decided_by": TEXT,
        "decided_at": nullable(TIME),
    }
