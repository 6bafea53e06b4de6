"""Monitor: the daily flow that compares what was predicted with what the live model was trained on."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from monitoring.job import CHANCE
from monitoring.job import monitor as run_monitor
from monitoring.job import performance as run_performance
from propensity.adapters.monitor_reads import read_rows
from propensity.adapters.platform import platform
from propensity.adapters.recorded import recorded
from propensity.adapters.tell import tell_run
from propensity.campaigns import campaign
from propensity.drift.alarms import ALARM, WATCH
from propensity.ports import MonitorRun
from propensity.retry import DELAYS_S, RETRIES, is_store_error

log = logging.getLogger("propensity.flows")


@flow(name="monitor")
@recorded("monitor")
def monitor(campaign_name: str, since: datetime | None = None, until: datetime | None = None) -> dict[str, Any]:
    """Compare predictions received in [since, until) with the training data.

    Without a window: as many days as the campaign's PSI monitor declares, today (UTC) the last; and for performance as many days, the
    last of them the youngest that is mature. The same window is monitored once. One without predictions has the verdict ``no_data``.
    """
    declared, now = campaign(campaign_name), datetime.now(UTC)
    by_default = since is None and until is None
    until = until or now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    window = declared.monitor("psi")
    since = since or until - timedelta(days=window.window_days if window else 7)
    make_partitions()
    drift = compare_window(campaign_name, since, until)
    back = until - declared.label.rules.mature_until(now) if by_default else timedelta(0)
    realised = measure_window(campaign_name, since - back, until)
    log.info(f"{campaign_name}: drift {drift['verdict']} over {drift['rows']:,} predictions, performance {realised['verdict']}")
    return {"drift": drift, "performance": realised}


@task(name="partitions", cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=list(DELAYS_S), retry_condition_fn=is_store_error)
def make_partitions() -> int:
    """Partitions of the prediction log for the months to come, made as long as they are empty; how many were missing."""
    return platform().log.make_partitions()


@task(name="drift", cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=list(DELAYS_S), retry_condition_fn=is_store_error)
def compare_window(campaign_name: str, since: datetime, until: datetime) -> dict[str, Any]:
    at = platform()
    run = run_monitor(
        campaign(campaign_name),
        ledger=at.ledger,
        store=at.store,
        log=at.log,
        monitor_store=at.monitors,
        since=since,
        until=until,
        rows=partial(read_rows, at.database),
    )
    tell_run(at, run)
    return summary(run)


@task(name="performance", cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=list(DELAYS_S), retry_condition_fn=is_store_error)
def measure_window(campaign_name: str, since: datetime, until: datetime) -> dict[str, Any]:
    at = platform()
    run = run_performance(
        campaign(campaign_name),
        ledger=at.ledger,
        store=at.store,
        outcomes=at.outcomes,
        monitor_store=at.monitors,
        since=since,
        until=until,
        now=datetime.now(UTC),
        rows=partial(read_rows, at.database),
    )
    tell_run(at, run)
    return summary(run)


def summary(run: MonitorRun) -> dict[str, Any]:
    """A monitor run as a flow returns it."""
    per_column = [m for m in run.metrics if m.column is not None and m.metric == "psi"]
    return {
        "run_id": run.run_id,
        "verdict": run.verdict,
        "rows": run.rows,
        "reference_rows": run.reference_rows,
        "columns": len(per_column),
        "drifted": sorted(m.column for m in per_column if m.verdict == "drift" and m.column),
        "report_key": run.report_key,
        "alarm": run.alarm,
        "alarms": sorted(m.column or "predictions" for m in run.metrics if m.metric == CHANCE and m.verdict == ALARM),
        "watched": sorted(m.column or "predictions" for m in run.metrics if m.metric == CHANCE and m.verdict == WATCH),
        "metrics": {m.metric: m.value for m in run.metrics if m.column is None and m.group is None},
    }
