"""Monitor runs and their numbers in Postgres, append-only."""

from __future__ import annotations

from typing import Any

from propensity.adapters.database import Database
from propensity.ports import MonitorMetric, MonitorRun

_RUN_COLUMNS = "run_id, campaign, kind, since, until, model_digest, snapshot_id, rows, reference_rows, verdict, report_key, alarm"
_METRIC_COLUMNS = "column_name, metric, method, value, warn, alert, verdict, low, high, rows_used, group_name"
_INSERT_RUN = f"insert into monitor_run ({_RUN_COLUMNS}) values ({', '.join(['%s'] * 12)}) on conflict do nothing"
_INSERT_METRIC = f"insert into monitor_metric (run_id, position, {_METRIC_COLUMNS}) values ({', '.join(['%s'] * 13)})"
_RUNS = f"select {_RUN_COLUMNS}, created_at from monitor_run where campaign = %s order by created_at, run_id"
_METRICS = f"""
select run_id, {_METRIC_COLUMNS} from monitor_metric
where run_id in (select run_id from monitor_run where campaign = %s) order by run_id, position"""
_TIMEOUT_S = 30.0


class PostgresMonitorStore:
    """`propensity.ports.MonitorStore`. Numbers come back to the bit; NaN and infinity are stored as such."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, run: MonitorRun) -> None:
        """Store a run with all its metrics or not at all. A run that is stored already stands: repeating is harmless."""
        head = (run.run_id, run.campaign, run.kind, run.since, run.until, run.model_digest, run.snapshot_id)
        with self._database.transaction(_TIMEOUT_S) as cursor:
            cursor.execute(_INSERT_RUN, (*head, run.rows, run.reference_rows, run.verdict, run.report_key, run.alarm))
            if cursor.rowcount == 1:
                cursor.executemany(_INSERT_METRIC, [(run.run_id, at, *_values(metric)) for at, metric in enumerate(run.metrics, 1)])

    def runs(self, campaign: str) -> list[MonitorRun]:
        """Every run, oldest first, with its metrics in the order in which they were given."""
        with self._database.transaction(_TIMEOUT_S) as cursor:
            # Metrics after runs: one that was committed in between is dropped here instead of lacking its numbers.
            heads = cursor.execute(_RUNS, (campaign,)).fetchall()
            metrics: dict[str, list[MonitorMetric]] = {head[0]: [] for head in heads}
            for run_id, *values in cursor.execute(_METRICS, (campaign,)).fetchall():
                if run_id in metrics:
                    metrics[run_id].append(MonitorMetric(*values))
        return [_run(head, metrics[head[0]]) for head in heads]


def _values(metric: MonitorMetric) -> tuple[object, ...]:
    # float(): a numpy number would be sent as text of its own making.
    bounds, found = (
        [None if number is None else float(number) for number in numbers]
        for numbers in ((metric.warn, metric.alert), (metric.low, metric.high, metric.rows))
    )
    return (metric.column, metric.metric, metric.method, float(metric.value), *bounds, metric.verdict, *found, metric.group)


def _run(head: tuple[Any, ...], metrics: list[MonitorMetric]) -> MonitorRun:
    run_id, campaign, kind, since, until, digest, snapshot, rows, reference_rows, verdict, report_key, alarm, created_at = head
    return MonitorRun(
        run_id, campaign, kind, since, until, digest, snapshot, rows, reference_rows, verdict, report_key, tuple(metrics), created_at, alarm
    )
