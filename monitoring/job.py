"""The monitoring job: a window of logged predictions against the training rows of the live model, and against what happened.

A run is known by what it compared: campaign, kind, window, live model, and the number of rows (or outcomes) found. The same comparison
is made once and stands; where a window was still open, or more outcomes have come in, the next run is a new row beside it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

from monitoring import evidently_report as evidently
from monitoring.evidently_report import evidently_report
from monitoring.fairness import labels_by_request, outcome_groups
from monitoring.impact import impact
from monitoring.reference import Comparison, comparison_of
from monitoring.window import Found, RowReader, log_rows, read_window
from propensity.campaign import Campaign
from propensity.drift import NO_DATA, STABLE, WARNING, alarms
from propensity.drift.alarms import ALARM, Alarms, judge
from propensity.drift.bands import compare_counts
from propensity.drift.counted import Name
from propensity.errors import DataError, NoLiveModel
from propensity.estimate import estimated
from propensity.groups import contact_metrics, wilson
from propensity.model import load_package
from propensity.performance import known_of, mature_edge, realised
from propensity.ports import (
    MonitorMetric,
    MonitorRun,
    MonitorStore,
    ObjectStore,
    OutcomeStore,
    PredictionLog,
    PromotionLedger,
)

DRIFT_KIND, PERFORMANCE_KIND = "drift", "performance"
CHANCE, CHANCE_METHOD = "chance", "chernoff_holm"
# Names the ids of monitor runs: the same comparison has the same id.
_NAMESPACE = uuid.UUID("0b5b8a3e-7d0c-5f86-9c1e-3f6f0c1d2a55")


def monitor(
    campaign: Campaign,
    *,
    ledger: PromotionLedger,
    store: ObjectStore,
    log: PredictionLog,
    monitor_store: MonitorStore,
    since: datetime,
    until: datetime,
    rows: RowReader | None = None,
) -> MonitorRun:
    """Compare the predictions received in [since, until) with the training rows of the live model; record and return the run.

    All rows of the window are compared with the one reference, whichever model scored them; ``rows_by_other_models`` says how many the live
    model did not score. A window without predictions is recorded as ``no_data``, without a report. ``rows`` reads the log where there is a
    faster way than the log itself.

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
    live = ledger.live(campaign.name)
    digest = None if live is None else live.model_digest
    recorded = monitor_store.runs(campaign.name)
    if next(iter(log.window(campaign.name, since, until)), None) is None:
        run_id = run_name(campaign, DRIFT_KIND, since, until, digest, 0)
        empty = MonitorRun(
            run_id,
            campaign.name,
            DRIFT_KIND,
            since,
            until,
            digest,
            None,
            0,
            0,
            NO_DATA,
            None,
            (),
            alarm=None if digest is None else NO_DATA,
        )
        return _known(recorded, run_id) or _record(monitor_store, empty)
    if digest is None:
        raise NoLiveModel(f"campaign {campaign.name!r} has predictions but no live model to compare them with: promote one")
    known = comparison_of(campaign, store, load_package(store, campaign, digest))
    found = read_window(
        campaign,
        rows or partial(log_rows, log),
        known.reference,
        since,
        until,
        sample_rows=evidently.SAMPLE_ROWS,
        groupings=known.groupings,
    )
    run_id = run_name(campaign, DRIFT_KIND, since, until, digest, found.rows)
    return _known(recorded, run_id) or _record(monitor_store, _compare(campaign, store, known, found, run_id, (since, until), recorded))


def performance(
    campaign: Campaign,
    *,
    ledger: PromotionLedger,
    store: ObjectStore,
    outcomes: OutcomeStore,
    monitor_store: MonitorStore,
    since: datetime,
    until: datetime,
    now: datetime,
    rows: RowReader,
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
    known = _known(monitor_store.runs(campaign.name), run_id)
    if known is not None:
        return known
    found = realised(campaign, mature, young)
    by_group = outcome_groups(
        campaign,
        store=store,
        rows=rows,
        digest=digest,
        since=since,
        until=mature_edge(since, until, campaign.label.rules, now),
        labels=partial(labels_by_request, outcomes, campaign),
    )
    models = _models(set(mature.by_model), sum(n for by, n in mature.by_model.items() if by != digest))
    metrics = (*found.metrics, *models, *by_group)
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


def _compare(
    campaign: Campaign,
    store: ObjectStore,
    known: Comparison,
    found: Found,
    run_id: str,
    span: tuple[datetime, datetime],
    recorded: Sequence[MonitorRun],
) -> MonitorRun:
    """The run of a window in which something was predicted."""
    manifest, digest = known.model.manifest, known.model.digest
    n, head = found.rows, (run_id, campaign.name, DRIFT_KIND, *span, digest, manifest.snapshot_id)
    if not n:
        # Everything that was logged has other features than are declared now.
        return MonitorRun(*head, 0, len(known.side.table), WARNING, None, tuple(_log_metrics(campaign, found, digest)), alarm=NO_DATA)
    window, current, reference = found.counted(known.reference), found.sample.side(campaign), known.side.sample()
    drift = compare_counts(campaign, known.reference, window)
    worth = impact(campaign, known.model, reference, current, n)
    judged = judge(
        campaign.watch, known.reference, window, earlier=_earlier(recorded, digest, span, campaign.watch.parts), impact=worth.shares
    )
    report = evidently_report(campaign, reference, current)
    key = report_key(campaign, run_id)
    store.put(key, report.html)
    metrics = (
        *drift.metrics,
        *alarm_metrics(judged, _raised_before(recorded, digest, span)),
        *worth.metrics,
        *estimated(found.scores, campaign.economics),
        *(metric for one in found.groups for metric in contact_metrics(campaign, one)),
        *report.metrics,
        *_log_metrics(campaign, found, digest),
    )
    return MonitorRun(*head, n, len(known.side.table), drift.verdict, key, metrics, alarm=judged.state)


def alarm_metrics(judged: Alarms, raised_before: frozenset[Name]) -> Iterator[MonitorMetric]:
    """The chance of each column's change, corrected over the columns, with its state as the verdict; the level that an alarm must reach;
    and how many columns are in alarm that were not at the run before."""
    for name, one in judged.columns.items():
        yield MonitorMetric(name, CHANCE, CHANCE_METHOD, one.corrected, None, judged.level, one.state, rows=one.rows)
        yield MonitorMetric(name, "parts_that_show_it", "count", float(one.parts), None, None, one.state)
    new = sum(name not in raised_before for name in judged.raised)
    yield MonitorMetric(None, "columns_in_alarm", "count", float(len(judged.raised)), None, None, judged.state)
    yield MonitorMetric(None, "new_alarms", "count", float(new), None, None, ALARM if new else alarms.QUIET)


def _earlier(recorded: Sequence[MonitorRun], digest: str, span: tuple[datetime, datetime], windows: int) -> frozenset[Name]:
    """Columns in which a window before this one, sharing no row with it, was found changed against the same model."""
    since, until = span
    oldest = since - (windows - 1) * (until - since)
    runs = [run for run in recorded if run.kind == DRIFT_KIND and run.model_digest == digest and run.until <= since and run.since >= oldest]
    return frozenset(m.column for run in runs for m in run.metrics if m.metric == CHANCE and m.verdict in (alarms.WATCH, ALARM))


def _raised_before(recorded: Sequence[MonitorRun], digest: str, span: tuple[datetime, datetime]) -> frozenset[Name]:
    """Columns in alarm at the run before this one, of the same model."""
    runs = [run for run in recorded if run.kind == DRIFT_KIND and run.model_digest == digest and run.until < span[1]]
    before = max(runs, key=lambda run: run.until, default=None)
    return frozenset() if before is None else frozenset(m.column for m in before.metrics if m.metric == CHANCE and m.verdict == ALARM)


def _log_metrics(campaign: Campaign, found: Found, digest: str) -> Iterator[MonitorMetric]:
    """What the log says besides values: models, declarations, and rows that were refused at the door."""
    yield from _models(set(found.rows_by_model), sum(rows for one, rows in found.rows_by_model.items() if one != digest))
    others = sum(rows for one, rows in found.rows_by_declaration.items() if one != campaign.digest())
    yield MonitorMetric(None, "declarations_in_window", "count", float(len(found.rows_by_declaration)), None, None, STABLE)
    yield MonitorMetric(None, "rows_by_other_declarations", "count", float(others), None, None, WARNING if others else STABLE)
    unreadable = float(found.unreadable_rows)
    yield MonitorMetric(None, "rows_of_another_schema", "count", unreadable, None, None, WARNING if unreadable else STABLE)
    if found.received:
        share = found.refused / found.received
        interval = wilson(found.refused, found.received)
        yield MonitorMetric(None, "refused_share", "wilson", share, None, None, STABLE, *interval, rows=float(found.received))


def _models(digests: set[str], others: int) -> Iterator[MonitorMetric]:
    yield MonitorMetric(None, "models_in_window", "count", float(len(digests)), None, None, STABLE)
    yield MonitorMetric(None, "rows_by_other_models", "count", float(others), None, None, STABLE)


def _known(recorded: Sequence[MonitorRun], run_id: str) -> MonitorRun | None:
    return next((run for run in recorded if run.run_id == run_id), None)


def _record(monitor_store: MonitorStore, run: MonitorRun) -> MonitorRun:
    monitor_store.record(run)
    return run


def _check(since: datetime, until: datetime) -> None:
    if since.tzinfo is None or until.tzinfo is None:
        raise DataError("a window needs times with a zone, as in 2026-01-31T22:00:00+00:00")
    if since >= until:
        raise DataError("a window must begin before it ends")
