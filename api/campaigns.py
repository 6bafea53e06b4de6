"""GET campaigns: what can be posted, what it is worth, which model answers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Response, request

from api.models import Choice, Live
from api.replies import json_reply
from api.row_schema import row_schema
from api.rows import id_column
from api.services import Services
from propensity.campaign import Campaign, Feature, Numeric
from propensity.decision import as_json
from propensity.errors import Malformed
from propensity.ports import Promotion
from propensity.promotion import VERSION_LENGTH
from propensity.schema import allowed


def list_campaigns(services: Services) -> Response:
    """Every campaign with its live model."""
    found = [_summary(campaign, services.models.get(name)) for name, campaign in services.campaigns.items()]
    return json_reply({"campaigns": found})


def get_campaign(services: Services, campaign: str) -> Response:
    """One campaign in full."""
    declared = services.campaign(campaign)
    return json_reply({**_summary(declared, services.models.get(campaign)), **_declared(declared)})


def get_schema(services: Services, campaign: str) -> Response:
    """JSON Schema of a row."""
    return json_reply(row_schema(services.campaign(campaign)), mimetype="application/schema+json")


def get_model(services: Services, campaign: str) -> Response:
    """The live model's manifest, or with ``?model=`` another's, without its canary rows: those are customers."""
    services.campaign(campaign)
    if set(request.args) - {"model"}:
        raise Malformed("the address takes the parameter model, and no others")
    chosen = services.models.choose(campaign, request.args.get("model"))
    live = services.models.get(campaign)
    manifest = asdict(chosen.model.manifest)
    del manifest["canary"]
    shown = {"campaign": campaign, "model": _live(chosen), "live": None if live is None else _live(live)}
    return json_reply({**shown, "manifest": manifest, "importance": chosen.model.importance()})


def list_models(services: Services, campaign: str) -> Response:
    """Every model that ``model`` can name, the one decided on last first, with the last decision on it."""
    services.campaign(campaign)
    return json_reply({"campaign": campaign, "models": [_choice(choice) for choice in services.models.choices(campaign)]})


def since(promotion: Promotion) -> str | None:
    """When it was decided."""
    return None if promotion.created_at is None else promotion.created_at.isoformat()


def _choice(choice: Choice) -> dict[str, Any]:
    row = choice.promotion
    return {
        "version": row.model_digest[:VERSION_LENGTH],
        "digest": row.model_digest,
        "aliases": choice.aliases,
        "action": row.action,
        "since": since(row),
        "decided_by": row.actor,
        "reasons": row.reasons,
    }


def _summary(campaign: Campaign, live: Live | None) -> dict[str, Any]:
    return {
        "name": campaign.name,
        "title": campaign.title,
        "question": campaign.question,
        "live_model": None if live is None else _live(live),
        "links": {
            "self": f"/v1/campaigns/{campaign.name}",
            "schema": f"/v1/campaigns/{campaign.name}/schema",
            "model": f"/v1/campaigns/{campaign.name}/model",
            "models": f"/v1/campaigns/{campaign.name}/models",
            "predictions": f"/v1/campaigns/{campaign.name}/predictions",
            "outcomes": f"/v1/campaigns/{campaign.name}/outcomes",
        },
    }


def _live(live: Live) -> dict[str, Any]:
    manifest, promotion = live.model.manifest, live.promotion
    return {
        "version": live.model.version,
        "digest": live.model.digest,
        "metrics": dict(manifest.metrics),
        "trained_months": manifest.trained_months,
        "trained_rows": manifest.trained_rows,
        "since": since(promotion),
        "promoted_by": promotion.actor,
        "action": promotion.action,
        "replaces": promotion.replaces,
    }


def _declared(campaign: Campaign) -> dict[str, Any]:
    economics = campaign.economics
    return {
        "id_column": id_column(campaign),
        "features": [_feature(feature) for feature in campaign.features],
        "excluded": [{"column": column, "reason": reason} for column, reason in campaign.excluded],
        "unexpected_columns": campaign.unexpected_columns,
        "label": asdict(campaign.label),
        "economics": {
            "contact_cost": str(economics.contact_cost),
            "conversion_value": str(economics.conversion_value),
            "currency": economics.currency,
            "break_even": economics.break_even,
        },
        "policy": as_json(campaign.policy),
        "declaration_digest": campaign.digest(),
    }


def _feature(feature: Feature) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": feature.name,
        "kind": "numeric" if isinstance(feature, Numeric) else "categorical",
        "nullable": feature.nullable,
        "allowed": allowed(feature),
        "description": feature.description,
    }
    if isinstance(feature, Numeric):
        return {**described, "low": feature.low, "high": feature.high, "unit": feature.unit, "integer": feature.integer}
    return {**described, "values": list(feature.values)}
