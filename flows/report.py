"""Report: the daily flow that makes a campaign's report and keeps it in object storage."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from propensity.adapters.platform import Platform, platform
from propensity.adapters.recorded import recorded
from propensity.campaigns import campaign
from propensity.report.build import build
from propensity.report.kept import keep
from propensity.report.tree import Report
from propensity.retry import DELAYS_S, RETRIES, is_store_error

log = logging.getLogger("propensity.flows")


@flow(name="report")
@recorded("report")
def report(campaign_name: str, since: datetime | None = None, until: datetime | None = None) -> dict[str, Any]:
    """Report on the predictions received in [since, until), by default on all; return where the page lies and what it counts."""
    return make_and_keep(campaign_name, since, until)


@task(name="make report", cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=list(DELAYS_S), retry_condition_fn=is_store_error)
def make_and_keep(campaign_name: str, since: datetime | None, until: datetime | None) -> dict[str, Any]:
    at = platform()
    made = make(at, campaign_name, since, until)
    key = keep(at.store, made)
    log.info(f"{campaign_name}: report of {made.decided.predictions:,} predictions, {at.store.uri(key)}")
    return {"campaign": campaign_name, "key": key, "predictions": made.decided.predictions, "contacts": made.decided.contacts}


def make(at: Platform, campaign_name: str, since: datetime | None = None, until: datetime | None = None) -> Report:
    """The report, from the stores of an installation."""
    return build(campaign(campaign_name), log=at.log, outcomes=at.outcomes, store=at.store, now=datetime.now(UTC), since=since, until=until)
