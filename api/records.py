"""GET a prediction: what was asked, what was answered, why, and which data, model and code produced it."""

from __future__ import annotations

from typing import Any

from flask import Response, g

from api.replies import json_reply
from api.services import Services
from propensity.access import Role
from propensity.decision import CONTACT, LEAVE
from propensity.erasure import ERASED_BEGINS
from propensity.errors import Erased, NotFound, PropensityError
from propensity.explain import Reason
from propensity.model import Manifest, Model
from propensity.ports import LoggedRequest
from propensity.prediction_id import parse_prediction_id
from propensity.schema import Table
from propensity.scoring import table_from_raw

# One sentence for what does not exist and for what is somebody else's: the reply must not tell which.
UNKNOWN = "no request with this id was logged"


def get_prediction(services: Services, wanted: str) -> Response:
    """The record of one prediction, scored again from the log as proof."""
    return json_reply(record_of(services, wanted))


def record_of(services: Services, wanted: str) -> dict[str, Any]:
    """The record of one prediction that the caller may see. Raises NotFound, StoreError."""
    request_id, position = parse_prediction_id(wanted)
    logged = _logged(services, request_id)
    if position > len(logged.scores):
        raise NotFound(f"the request has {len(logged.scores):,} predictions; there is none at this position")
    return {**_record(services, logged, position - 1, wanted), **_explained(services, logged, position - 1)}


def _logged(services: Services, request_id: str) -> LoggedRequest:
    """The request, where the caller may see it: a marketing caller sees his own alone, by the name that outlives a rotated key."""
    try:
        logged = services.log.request(request_id)
    except NotFound as exc:
        raise NotFound(UNKNOWN) from exc
    if g.caller.role == Role.MARKETING and logged.caller != g.caller.name:
        raise NotFound(UNKNOWN)
    return logged


def _record(services: Services, logged: LoggedRequest, at: int, wanted: str) -> dict[str, Any]:
    return {
        "prediction_id": wanted,
        "request_id": logged.request_id,
        "campaign": logged.campaign,
        "row": int(logged.rows[at]),
        "customer_id": logged.customer_ids[at],
        "received_at": None if logged.received_at is None else logged.received_at.isoformat(),
        "source": logged.source,
        "caller": logged.caller,
        "score": float(logged.scores[at]),
        "decision": CONTACT if logged.contact[at] else LEAVE,
        "policy": logged.policy,
        "model": {"version": logged.model_version, "digest": logged.model_digest},
        "declaration": {
            "digest": logged.declaration_digest,
            "current": services.declarations.get(logged.campaign) == logged.declaration_digest,
        },
    }


def _explained(services: Services, logged: LoggedRequest, at: int) -> dict[str, Any]:
    """Features, contributions and lineage; where the package or the declaration is gone, ``unexplained`` says so instead."""
    try:
        if logged.customer_ids[at].startswith(ERASED_BEGINS):
            raise Erased("this customer was erased: what is left are figures without id and features")
        campaign = services.campaign(logged.campaign)
        model = services.models.package(campaign, logged.model_digest)
        if logged.features.shape[1] != len(campaign.features):
            raise NotFound("the campaign declared other features when this was scored")
    except PropensityError as exc:
        return {"features": None, "explanation": None, "lineage": None, "unexplained": str(exc)}
    table = table_from_raw(campaign, logged.features[at : at + 1], [logged.customer_ids[at]], logged.rows[at : at + 1])
    reproduced = bool(model.score(table)[0] == logged.scores[at])
    return {
        "features": table.row(0),
        "explanation": {**_explanation(model, table), "reproduced": reproduced},
        "lineage": _lineage(model.manifest),
        "unexplained": None,
    }


def _explanation(model: Model, table: Table) -> dict[str, Any]:
    """Every contribution in calibrated log-odds, strongest first; with ``base`` they sum to ``log_odds``."""
    *effects, base = model.contributions(table)[0].tolist()
    manifest = model.manifest
    values = table.row(0)
    why = [Reason(name, values[name], effect) for name, effect in zip(manifest.features, effects, strict=True)]
    return {
        "base": base,
        "log_odds": float(model.log_odds(model.encode(table))[0]),
        "contributions": [
            {"feature": r.feature, "value": r.value, "effect": r.effect, "direction": r.direction if r.effect else "none"}
            for r in sorted(why, key=lambda r: -abs(r.effect))
        ],
    }


def _lineage(manifest: Manifest) -> dict[str, Any]:
    return {
        "snapshot_id": manifest.snapshot_id,
        "code_version": manifest.code_version,
        "params": dict(manifest.params),
        "rounds": manifest.rounds,
        "split": manifest.split,
        "trained_months": manifest.trained_months,
        "trained_rows": manifest.trained_rows,
        "declaration_digest": manifest.declaration_digest,
    }
