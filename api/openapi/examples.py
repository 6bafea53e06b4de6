"""Replies as they look, worked out from a campaign's declaration: money, ranks and bands fit together as in a real one."""

from __future__ import annotations

import numpy as np

from api.openapi.parts import Json
from api.row_schema import example_rows
from api.rows import id_column
from propensity.campaign import Campaign, Policy
from propensity.decision import CONTACT, LEAVE, as_json, bands, decide
from propensity.explain import Reason
from propensity.outcomes import counted
from propensity.prediction_id import prediction_id

REQUEST_ID = "3f1c2a52-0c3e-4a57-9c5b-6a1f0b7f5d11"
DIGEST = "5b41d0c8f3a94b0e8f6d2c7715a3e9d4c2b86f0a917e3d5c4b2a1908f7e6d5c4"
MODEL = {"version": DIGEST[:12], "digest": DIGEST}


def scored_list(campaign: Campaign) -> Json:
    """A reply to the example list."""
    return {**_head(campaign), "predictions": _predictions(campaign), "errors": [], "errors_total": 0}


def scored_columns(campaign: Campaign) -> Json:
    """A reply to the same list posted by column, without reasons."""
    rows = _predictions(campaign)
    columns = {name: [row[name] for row in rows] for name in rows[0] if name != "reasons"}
    return {**_head(campaign), "columns": columns, "errors": [], "errors_total": 0}


def outcome_counts(campaign: Campaign) -> Json:
    """A reply to the example outcomes."""
    counts = {"received": 2, "refused": 0, **counted(["recorded", "recorded"])}
    results = [{"row": row, "status": "recorded"} for row in (1, 2)]
    return {"request_id": REQUEST_ID, "campaign": campaign.name, "counts": counts, "results": results, "errors": [], "errors_total": 0}


def _scores(campaign: Campaign) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """One customer worth a contact and one who is not."""
    edge = campaign.economics.break_even
    return np.array([round((1 + edge) / 2, 4), round(edge / 2, 4)])


def _head(campaign: Campaign) -> Json:
    economics = campaign.economics
    worth = float(decide(_scores(campaign), _policy(), economics).expected_profit[0])
    return {
        "request_id": REQUEST_ID,
        "campaign": campaign.name,
        "model": MODEL,
        "policy": as_json(_policy()),
        "counts": {"received": 2, "scored": 2, "refused": 0, "contact": 1},
        "expected_profit": {"amount": f"{worth:.2f}", "currency": economics.currency},
        "ignored_columns": [],
    }


def _policy() -> Policy:
    return Policy("top_share", 0.5)


def _predictions(campaign: Campaign) -> list[Json]:
    scores = _scores(campaign)
    decision = decide(scores, _policy(), campaign.economics)
    words = bands(scores, campaign.economics)
    return [
        {
            "row": at + 1,
            "customer_id": row[id_column(campaign)],
            "prediction_id": prediction_id(REQUEST_ID, at + 1),
            "score": float(scores[at]),
            "decision": CONTACT if decision.contact[at] else LEAVE,
            "band": words[at],
            "rank": int(decision.rank[at]),
            "expected_profit": round(float(decision.expected_profit[at]), 4),
            "reasons": [_reason(campaign, row, 0.8 - 1.5 * at)],
        }
        for at, row in enumerate(example_rows(campaign))
    ]


def _reason(campaign: Campaign, row: Json, effect: float) -> Json:
    name = campaign.feature_names[0]
    told = Reason(name, row[name], effect)
    return {"feature": name, "value": told.value, "effect": effect, "direction": told.direction, "text": told.text}
