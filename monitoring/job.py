"""The monitoring job: a window of logged predictions against the training rows of the live model, and against what happened.

A run is known by what it compared: campaign, kind, window, live model, and the number of rows (or outcomes) found. The same comparison
is made once and stands; where a window was still open, or more outcomes have come in, the next run is a new row beside it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from monitoring.evidently_report import Side, evidently_report
from propensity.campaign import Campaign
from propensity.drift import NO_DATA, STABLE, compare
from propensity.errors import DataError, ModelDamaged, NoLiveModel
from propensity.model import Manifest, Model, load_package
from propensity.performance import known_of, realised
from propensity.ports import (
    LoggedRequest,
    MonitorMetric,
    MonitorRun,
    MonitorStore,
    ObjectStore,
    OutcomeStore,
    PredictionLog,
    PromotionLedger,
)
from propensity.schema import Table
from propensity.scoring import table_from_raw
from propensity.snapshot import SnapshotData, read_snapshot

DRIFT_KIND, PERFORMANCE_KIND = "drift", "performance"
# Names the ids of monitor runs: the same comparison has the same id.
_NAMESPACE = uuid.UUID("0b5b8a3e-7d0c-5f86-9c1e-3f6f0c1d2a55")


@dataclass(frozen=True)
class Window:
    """Logged predictions of a window: their rows, the scores they were answered with, and how many rows each model scored."""

    side: Side
    rows_by_model: dict[str, int]


def monitor(
    campaign: Campaign,
    *,
    ledger: PromotionLedger,
    store: ObjectStore,
    log: PredictionLog,
    monitor_store: MonitorStore,
    since: datetime,
    until: datetime,
) -> MonitorRun:
    """Compare the predictions received in [since, until) with the training rows of the live model; record and return the run.

    All rows of the window are compared with the one reference, whichever model scored them; ``rows_by_other_models`` says how many the live
    model did not score. A window without predictions is recorded as ``no_data``, without a report.

    Raises
    ------
    DataError
        The window is empty or its times have no zone, or the model's snapshot cannot be read.
    NoLiveModel
        There are predictions, but no model is live.
    StoreError
        A store did not answer; nothing was recorded, and the job can be repeated.
    """
    _check(since, until)
    window = read_window(campaign, log, since, until)
    rows = len(window.side.table)
    live = ledger.live(campaign.name)
    digest = None if live is None else live.model_digest
    run_id = run_name(campaign, DRIFT_KIND, since, until, digest, rows)
    known = _recorded(monitor_store, campaign, run_id)
    if known is not None:
        return known
    if not rows:
        run = MonitorRun(run_id, campaign.name, DRIFT_KIND, since, until, digest, None, 0, 0, NO_DATA, None, ())
    elif digest is None:
        raise NoLiveModel(f"campaign {campaign.name!r} has predictions but no live model to compare them with: promote one")
    else:
        run = _compare(campaign, store, window, run_id, since, until, load_package(store, campaign, digest))
    return _record(monitor_store, run)


def performance(
    campaign: Campaign,
    *,
    ledger: PromotionLedger,
    outcomes: OutcomeStore,
    monitor_store: MonitorStore,
    since: datetime,
    until: datetime,
    now: datetime,
) -> MonitorRun:
    """Measure the predictions made in [since, until) that are mature now and whose label is known; record and return the run.

    ``rows`` are those, ``reference_rows`` all mature predictions of the window; ``no_data`` where none is known. Raises DataError and
    StoreError as `monitor` does.
    """
    _check(since, until)
    mature, young = known_of(outcomes, campaign.name, since, until, campaign.label.rules, now)
    live = ledger.live(campaign.name)
    digest = None if live is None else live.model_digest
    # Corrections change labels, not how many there are.
    counts = (len(mature.scores), mature.predicted, young.predicted, len(young.scores), mature.labels.sum(), young.labels.sum())
    run_id = run_name(campaign, PERFORMANCE_KIND, since, until, digest, *map(int, counts))
    known = _recorded(monitor_store, campaign, run_id)
    if known is not None:
        return known
    found = realised(campaign, mature, young)
    metrics = (*found.metrics, *_models(set(mature.by_model), sum(n for by, n in mature.by_model.items() if by != digest)))
    run = MonitorRun(
        run_id, campaign.name, PERFORMANCE_KIND, since, until, digest, None, found.labelled, found.predicted, found.verdict, None, metrics
    )
    return _record(monitor_store, run)


def run_name(campaign: Campaign, kind: str, since: datetime, until: datetime, digest: str | None, *rows: int) -> str:
    """The id of the run that makes this comparison, a UUID: the same on every machine and at every repetition."""
    times = (moment.astimezone(UTC).isoformat() for moment in (since, until))
    return str(uuid.uuid5(_NAMESPACE, "|".join([campaign.name, kind, *times, digest or "", *map(str, rows)])))


def report_key(campaign: Campaign, run_id: str) -> str:
    """Where the HTML report of a run lies in object storage."""
    return f"reports/{campaign.name}/{run_id}.html"


def read_window(campaign: Campaign, log: PredictionLog, since: datetime, until: datetime) -> Window:
    """All predictions of a window, without customer ids: monitoring has no use for them.

    Raises DataError where a logged row does not have the features that the campaign declares.
    """
    features: list[npt.NDArray[np.float64]] = [np.empty((0, len(campaign.features)))]
    scores: list[npt.NDArray[np.float64]] = [np.empty(0)]
    rows_by_model: dict[str, int] = {}
    for request in log.window(campaign.name, since, until):
        _check_width(campaign, request)
        features.append(request.features)
        scores.append(request.scores)
        rows_by_model[request.model_digest] = rows_by_model.get(request.model_digest, 0) + len(request.scores)
    matrix = np.concatenate(features)
    table = table_from_raw(campaign, matrix, ("",) * len(matrix), np.arange(1, len(matrix) + 1))
    return Window(Side(table, np.concatenate(scores)), rows_by_model)


def reference_rows(data: SnapshotData, manifest: Manifest) -> Table:
    """The rows that a model was trained on; where its data has no calendar, all rows of its snapshot.

    Raises ModelDamaged where the snapshot does not hold them.
    """
    if manifest.trained_months is None or data.months is None:
        return data.table
    first, last = (np.datetime64(month, "M") for month in manifest.trained_months)
    table = data.table.take((data.months >= first) & (data.months <= last))
    if len(table) != manifest.trained_rows:
        raise ModelDamaged(
            f"the model was trained on {manifest.trained_rows} rows of {first} to {last}; its snapshot {manifest.snapshot_id} "
            f"holds {len(table)} of these months"
        )
    return table


def _compare(
    campaign: Campaign, store: ObjectStore, window: Window, run_id: str, since: datetime, until: datetime, model: Model
) -> MonitorRun:
    manifest = model.manifest
    table = reference_rows(read_snapshot(store, campaign, manifest.snapshot_id), manifest)
    reference, current = Side(table, model.score(table)), window.side
    drift = compare(campaign, reference.table, current.table, reference.scores, current.scores)
    report = evidently_report(campaign, reference, current)
    key = report_key(campaign, run_id)
    store.put(key, report.html)
    others = sum(rows for digest, rows in window.rows_by_model.items() if digest != model.digest)
    metrics = (*drift.metrics, *report.metrics, *_models(set(window.rows_by_model), others))
    rows = len(current.table)
    return MonitorRun(
        run_id, campaign.name, DRIFT_KIND, since, until, model.digest, manifest.snapshot_id, rows, len(table), drift.verdict, key, metrics
    )


def _models(digests: set[str], others: int) -> Iterator[MonitorMetric]:
    yield MonitorMetric(None, "models_in_window", "count", float(len(digests)), None, None, STABLE)
    yield MonitorMetric(None, "rows_by_other_models", "count", float(others), None, None, STABLE)


def _recorded(monitor_store: MonitorStore, campaign: Campaign, run_id: str) -> MonitorRun | None:
    return next((run for run in monitor_store.runs(campaign.name) if run.run_id == run_id), None)


def _record(monitor_store: MonitorStore, run: MonitorRun) -> MonitorRun:
    monitor_store.record(run)
    return run


def _check(since: datetime, until: datetime) -> None:
    if since.tzinfo is None or until.tzinfo is None:
        raise DataError("a window needs times with a zone, as in 2026-01-31T22:00:00+00:00")
    if since >= until:
        raise DataError("a window must begin before it ends")


def _check_width(campaign: Campaign, request: LoggedRequest) -> None:
    declared = len(campaign.features)
    if request.features.shape != (len(request.scores), declared):
        raise DataError(
            f"request {request.request_id} was logged with {request.features.shape[-1]} features; campaign {campaign.name!r} now declares "
            f"{declared}: begin the window after the declaration was changed"
        )
