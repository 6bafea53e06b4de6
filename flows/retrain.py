"""Retrain: ingest, train and promote in one run; the monthly schedule."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows.ingest import ingest
from flows.promote import promote
from flows.train import train
from propensity.adapters.recorded import recorded


@flow(name="retrain")
@recorded("retrain")
def retrain(campaign_name: str, source: str | None = None, actor: str = "schedule") -> dict[str, Any]:
    """From the source to a decision about the live model. A month without new data changes nothing."""
    ingested = ingest(campaign_name, source)
    trained = train(campaign_name, ingested["snapshot_id"])
    promoted = promote(campaign_name, trained["digest"], actor)
    return {"ingest": ingested, "train": trained, "promote": promoted}
