"""What every scoring job begins and ends with. Without an orchestrator: a job on Spark has none."""

from __future__ import annotations

from typing import Any

from propensity.adapters.platform import Platform
from propensity.campaign import Campaign
from propensity.errors import NoLiveModel
from propensity.lists.run import Result
from propensity.model import Model, load_package


def live_model(at: Platform, declared: Campaign) -> Model:
    """The campaign's live model. Raises NoLiveModel where nothing was promoted."""
    live = at.ledger.live(declared.name)
    if live is None:
        raise NoLiveModel(f"campaign {declared.name!r} has no live model: run ingest, train and promote first")
    return load_package(at.store, declared, live.model_digest)


def counts(scored: Result) -> dict[str, Any]:
    """What became of a list, for people and for the record."""
    return {
        "request_id": scored.request_id,
        "requests": scored.requests,
        "received": scored.received,
        "scored": scored.scored,
        "refused_rows": scored.refused,
        "not_used": dict(scored.not_used),
        "contact": scored.contact,
        "held_out": scored.held_out,
        "excluded_rows": sum(scored.excluded.values()),
        "excluded": dict(scored.excluded),
    }
