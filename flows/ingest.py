"""Ingest: from a source to an immutable, validated snapshot."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from propensity.adapters.platform import Platform, platform
from propensity.adapters.sources import read_source
from propensity.callsheet import error_sheet
from propensity.campaigns import campaign
from propensity.errors import QualityGateFailed, RowIssue
from propensity.ingest import ingest as ingest_rows
from propensity.retry import DELAYS_S, RETRIES, is_store_error

log = logging.getLogger("propensity.flows")


@flow(name="ingest")
def ingest(campaign_name: str, source: str | None = None) -> dict[str, Any]:
    """Read a source, check every row and write a snapshot. The same content gives the same snapshot and writes nothing.

    Parameters
    ----------
    source : str or None
        ``public``, ``kaggle``, ``synthetic[:rows[:seed]]``, a path, an address, ``postgresql://...``, ``s3://...``; None: as installed.

    Raises
    ------
    DataError
        The source cannot be read, or the quality gate of the campaign failed. Nothing was written.
    """
    result = ingest_source(campaign_name, source)
    log.info(
        f"{campaign_name}: snapshot {result['snapshot_id']} with {result['rows']:,} rows" + ("" if result["created"] else ", already there")
    )
    return result


@task(name="ingest source", cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=list(DELAYS_S), retry_condition_fn=is_store_error)
def ingest_source(campaign_name: str, source: str | None) -> dict[str, Any]:
    return ingest_into(platform(), campaign_name, source)


def ingest_into(at: Platform, campaign_name: str, source: str | None) -> dict[str, Any]:
    """The work of the flow, without Prefect."""
    declared = campaign(campaign_name)
    raw = read_source(
        source or at.settings.source,
        declared,
        data_dir=at.settings.data_dir,
        home=at.settings.home,
        s3_endpoint_url=at.settings.s3_endpoint_url,
    )
    try:
        result = ingest_rows(declared, raw, at.store)
    except QualityGateFailed as exc:
        if not exc.issues:
            raise
        where = keep_issues(at, campaign_name, exc.issues)
        raise QualityGateFailed(f"{exc}\n  every wrong row is listed in {where}", exc.issues) from exc
    manifest = result.manifest
    return {
        "campaign": campaign_name,
        "snapshot_id": manifest.snapshot_id,
        "created": result.created,
        "rows": manifest.rows,
        "positives": manifest.positives,
        "first_month": manifest.first_month,
        "last_month": manifest.last_month,
        "source": dict(manifest.source),
        "refused_rows": result.refused,
        "issues": keep_issues(at, campaign_name, result.issues) if result.issues else None,
        "ignored_columns": list(result.ignored),
        "dropped_columns": dict(result.dropped),
    }


def keep_issues(at: Platform, campaign_name: str, issues: Sequence[RowIssue]) -> str:
    """Write a list of everything that is wrong with a source, a line each; return where it lies."""
    sheet = error_sheet(issues)
    key = f"ingests/{campaign_name}/{hashlib.sha256(sheet).hexdigest()[:16]}.csv"
    at.store.put(key, sheet)
    return at.store.uri(key)
