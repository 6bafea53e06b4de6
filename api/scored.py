"""The reply to a scored list, in the format that the caller asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np

from api import media
from api.bodies import MAX_ROWS
from api.replies import encode, errors_json
from api.rows import CheckedPost, shown
from propensity.contact_policy import EXCLUSIONS
from propensity.decision import BANDS, CONTACT, LEAVE, as_json
from propensity.explain import Reason
from propensity.holdout import ARMS
from propensity.list_writers import Coded, Values, write_arrow, write_csv, write_ndjson, write_parquet
from propensity.scoring import ScoredList

CENT = Decimal("0.01")
_POSITIONS = tuple(map(str, range(1, MAX_ROWS + 1)))


class Prediction(msgspec.Struct, gc=False):
    """One customer's answer; the fields are the columns of every format."""

    row: int
    customer_id: str
    prediction_id: str
    score: float
    decision: str
    band: str
    rank: int
    expected_profit: float


class ExplainedPrediction(Prediction, gc=False):
    """With the reasons that were asked for."""

    reasons: Sequence[Reason]


class GatedPrediction(Prediction, gc=False):
    """With what the contact gate did: why the customer is left alone whatever the score says, and the arm of who was randomised."""

    excluded: str | None
    arm: str | None


class ExplainedGatedPrediction(GatedPrediction, gc=False):
    """With both."""

    reasons: Sequence[Reason]


_KINDS = {
    (False, False): Prediction,
    (False, True): ExplainedPrediction,
    (True, False): GatedPrediction,
    (True, True): ExplainedGatedPrediction,
}


def scored_reply(request_id: str, post: CheckedPost, scored: ScoredList, *, wanted: str, reasons: bool, now: datetime) -> bytes:
    """The body of a reply in the media type ``wanted``. ``now``: for the hours in which customers may be contacted."""
    head = _head(request_id, post, scored, now)
    if wanted in (media.CSV, media.ARROW, media.PARQUET):
        arrays = _arrays(request_id, scored, reasons=reasons)
        if wanted == media.CSV:
            return write_csv(arrays, scored.issues)
        write = write_arrow if wanted == media.ARROW else write_parquet
        return write(arrays, {**head, **errors_json(scored.issues, len(scored.issues))})
    kind = _KINDS[_is_gated(scored), reasons]
    columns = _columns(request_id, scored)
    if reasons:
        columns.append(scored.reasons)
    if wanted == media.JSON and not post.columnar:
        return encode({**head, "predictions": list(map(kind, *columns)), **errors_json(scored.issues)})
    by_name = dict(zip(kind.__struct_fields__, columns, strict=True))
    if wanted == media.NDJSON:
        return write_ndjson(by_name, scored.issues, head)
    return encode({**head, "columns": by_name, **errors_json(scored.issues)})


def _is_gated(scored: ScoredList) -> bool:
    """Whether the reply says of each customer what the gate did: where the campaign declares anything of it, and where it did anything."""
    campaign = scored.model.campaign
    return campaign.contact_policy is not None or campaign.holdout is not None or scored.gate.codes is not None


def _gate_head(scored: ScoredList, now: datetime) -> dict[str, Any]:
    """What the gate did to the list as a whole; empty where the reply says nothing of it."""
    if not _is_gated(scored):
        return {}
    gated, policy = scored.gate, scored.model.campaign.contact_policy
    found: dict[str, Any] = {
        "gate": {
            "excluded": gated.counts(),
            "held_out": 0 if gated.held_out is None else int(gated.held_out.sum()),
            "holdout": None if gated.holdout is None else {"key": gated.holdout.key, "share": gated.holdout.share},
            "contact_hours": None,
        }
    }
    if policy is not None and policy.hours is not None:
        window = policy.hours.window(now)
        found["gate"]["contact_hours"] = {
            "open": policy.hours.is_open(now),
            "begins": None if window is None else window.begins.isoformat(),
            "until": None if window is None else window.until.isoformat(),
        }
    return found


def _head(request_id: str, post: CheckedPost, scored: ScoredList, now: datetime) -> dict[str, Any]:
    """What is said of the list as a whole."""
    contact = scored.decision.contact
    profit = math.fsum(scored.decision.expected_profit[contact].tolist())
    return {
        "request_id": request_id,
        "campaign": scored.model.campaign.name,
        "model": {"version": scored.model.version, "digest": scored.model.digest},
        "policy": as_json(scored.policy),
        "counts": {
            "received": scored.received,
            "scored": len(scored.table),
            "refused": scored.refused,
            "contact": int(contact.sum()),
        },
        "expected_profit": {
            "amount": str(Decimal(profit).quantize(CENT)),
            "currency": scored.model.campaign.economics.currency,
        },
        "ignored_columns": shown(post.ignored),
        **_gate_head(scored, now),
    }


def _columns(request_id: str, scored: ScoredList) -> list[Sequence[Any]]:
    """The fields of `Prediction`, by column, in the order sent."""
    decision, table = scored.decision, scored.table
    gated: list[Sequence[Any]] = []
    if _is_gated(scored):
        gated = [[word or None for word in _words(coded)] for coded in (_excluded(scored), _arms(scored))]
    return [
        table.rows.tolist(),
        table.ids,
        _prediction_ids(request_id, len(table)),
        scored.scores.tolist(),
        [CONTACT if contact else LEAVE for contact in decision.contact.tolist()],
        scored.bands,
        decision.rank.tolist(),
        decision.expected_profit.tolist(),
        *gated,
    ]


def _words(coded: Coded) -> list[str]:
    return [coded.words[at] for at in coded.positions.tolist()]


def _excluded(scored: ScoredList) -> Coded:
    """Why each customer is left alone whatever the score says; empty where he is not."""
    codes = scored.gate.codes
    return Coded(("", *EXCLUSIONS), np.zeros(len(scored.table), dtype=np.int8) if codes is None else codes)


def _arms(scored: ScoredList) -> Coded:
    """The arm of each customer who was randomised; empty for all others."""
    held = scored.gate.held_out
    if held is None:
        return Coded(("", *ARMS), np.zeros(len(scored.table), dtype=np.int8))
    return Coded(("", *ARMS), scored.decision.contact.view(np.int8) + 2 * held.view(np.int8))


def _prediction_ids(request_id: str, n: int) -> list[str]:
    before = request_id + "."
    return [before + position for position in _POSITIONS[:n]]


def _arrays(request_id: str, scored: ScoredList, *, reasons: bool) -> dict[str, Values]:
    """The same columns as arrays, for the formats of tables, in which reasons are a text."""
    decision = scored.decision
    columns: dict[str, Values] = {
        "row": scored.table.rows,
        "customer_id": scored.table.ids,
        "prediction_id": _prediction_ids(request_id, len(scored.table)),
        "score": scored.scores,
        "decision": Coded((LEAVE, CONTACT), decision.contact.view(np.int8)),
        "band": Coded(BANDS, scored.band_positions),
        "rank": decision.rank,
        "expected_profit": decision.expected_profit,
    }
    if _is_gated(scored):
        columns |= {"excluded": _excluded(scored), "arm": _arms(scored)}
    if reasons:
        columns["reasons"] = ["; ".join(reason.text for reason in why) for why in scored.reasons]
    return columns
