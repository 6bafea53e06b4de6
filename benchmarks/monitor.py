"""``python -m benchmarks.monitor [--rows N] [--list-rows N]``: time and memory of one monitoring run over so many logged predictions.

A database of its own is filled with drawn customers of seven days and with an outcome for every prediction; then drift and realised
performance are measured in a process of its own, as the flow runs them. Writes ``build/reports/monitor.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from benchmarks.package import train
from benchmarks.report import REPORTS
from local.postgres import EmbeddedPostgres
from propensity.adapters.database import Database
from propensity.adapters.migrate import migrate
from propensity.adapters.monitor_reads import read_rows
from propensity.adapters.monitor_runs import PostgresMonitorStore
from propensity.adapters.object_store import FolderStore
from propensity.adapters.outcomes import PostgresOutcomeStore
from propensity.adapters.packing import pack
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.adapters.promotions import PostgresPromotionLedger
from propensity.campaigns import campaign as campaign_of
from propensity.ingest import read_labelled
from propensity.model import Model, save_package
from propensity.ports import Promotion
from propensity.scoring import raw_features
from propensity.snapshot import write_snapshot
from propensity.synthetic import generate

CAMPAIGN = "term-deposit"
REFERENCE_ROWS, DAYS = 41_188, 7
UNTIL = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
GOAL_S, GOAL_MIB = 60, 1_024
_COPY = """copy prediction_request (request_id, received_at, campaign, caller, model_digest, model_version, declaration_digest, policy,
    answered, received, refused, source, customer_ids, scores, contact, feature_count, features) from stdin"""
_OUTCOMES = """insert into outcome (campaign, request_id, position, prediction_id, label, status, source)
select campaign, request_id, position, prediction_id, random() < score, 'recorded', 'drawn' from prediction"""


def prepare(owner_url: str, app_url: str, store: FolderStore, rows: int, list_rows: int) -> None:
    """A live model, and a log and outcomes of so many predictions."""
    campaign = campaign_of(CAMPAIGN)
    migrate(owner_url)
    labelled = read_labelled(campaign, generate(campaign, REFERENCE_ROWS, 1))
    manifest = write_snapshot(store, labelled.table, labelled.label, labelled.months, {})
    model = train(campaign, rows=REFERENCE_ROWS, trees=200)
    model = replace(model, manifest=replace(model.manifest, snapshot_id=manifest.snapshot_id, trained_rows=REFERENCE_ROWS))
    save_package(store, model)
    database = Database(app_url, timeout_s=10.0)
    PostgresPromotionLedger(database).append(
        Promotion(CAMPAIGN, 1, "promote", model.digest, model.version, None, ["measure"], {}, "measure")
    )
    database.close()
    with psycopg.connect(owner_url, autocommit=True) as connection:
        fill(connection, model, rows, list_rows)
        connection.execute(_OUTCOMES)
        connection.execute("analyze")


def fill(connection: psycopg.Connection[Any], model: Model, rows: int, list_rows: int) -> None:
    """Log drawn customers, spread over the days of the window."""
    campaign = model.campaign
    table = read_labelled(campaign, generate(campaign, min(rows, 100_000), 2)).table
    raw, scores = raw_features(table), model.score(table)
    order, declaration = np.random.default_rng(1).permutation(len(raw)), campaign.digest()
    requests, spread = -(-rows // list_rows), timedelta(days=DAYS) / (rows // list_rows + 2)
    with connection.cursor().copy(_COPY) as copy:
        for at in range(requests):
            n = min(list_rows, rows - at * list_rows)
            held = order[np.arange(at * list_rows, at * list_rows + n) % len(order)]
            contact = scores[held] > campaign.economics.break_even
            ids = [f"c{at * list_rows + one}" for one in range(n)]
            head = (str(uuid.uuid4()), UNTIL - timedelta(days=DAYS) + (at + 1) * spread, campaign.name, "", model.digest, model.version)
            body = (declaration, '{"kind": "profit"}', n, n, 0, "http", ids, scores[held].tolist(), contact.tolist(), raw.shape[1])
            copy.write_row((*head, *body, pack(raw[held])))


def measured(app_url: str, folder: Path) -> dict[str, Any]:
    """Run the job as the flow does; seconds of each part, and the most memory that this process ever had."""
    from monitoring.job import monitor, performance

    campaign, database, store = campaign_of(CAMPAIGN), Database(app_url, timeout_s=10.0), FolderStore(folder)
    log, monitors = PostgresPredictionLog(database), PostgresMonitorStore(database)
    ledger, outcomes = PostgresPromotionLedger(database), PostgresOutcomeStore(database)
    rows = partial(read_rows, database)
    span = {"since": UNTIL - timedelta(days=DAYS), "until": UNTIL}
    started = time.monotonic()
    run = monitor(campaign, ledger=ledger, store=store, log=log, monitor_store=monitors, rows=rows, **span)
    drift_s, drift_mib = time.monotonic() - started, peak_mib()
    started = time.monotonic()
    # When all of them are mature.
    now = UNTIL + timedelta(days=campaign.label.window_days + 1)
    realised = performance(campaign, ledger=ledger, store=store, outcomes=outcomes, monitor_store=monitors, rows=rows, now=now, **span)
    performance_s = time.monotonic() - started
    database.close()
    return {
        "rows": run.rows,
        "verdict": run.verdict,
        "alarm": run.alarm,
        "metrics": len(run.metrics),
        "labelled": realised.rows,
        "drift_s": round(drift_s, 1),
        "drift_peak_mib": round(drift_mib),
        "performance_s": round(performance_s, 1),
        "cpu_s": round(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]), 1),
        "seconds": round(drift_s + performance_s, 1),
        "peak_mib": round(peak_mib()),
    }


def peak_mib() -> float:
    """Resident memory of this process at its highest, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(argv: Sequence[str] | None = None) -> int:
    """Fill, measure, print and write; 0 where both goals were met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--list-rows", type=int, default=1_000, help="predictions in one request")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.run:
        print(json.dumps(measured(os.environ["MEASURED_URL"], Path(given.run))))
        return 0
    with tempfile.TemporaryDirectory(prefix="propensity-monitor-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o711)
        with EmbeddedPostgres(home, fsync=False, say=lambda _: None) as server:
            urls = server.urls()
            started = time.monotonic()
            prepare(urls.owner_url, urls.app_url, FolderStore(home / "store"), given.rows, given.list_rows)
            print(f"{given.rows:,} predictions logged in {time.monotonic() - started:.0f} s")
            command = [sys.executable, "-m", "benchmarks.monitor", "--run", str(home / "store")]
            done = subprocess.run(command, env={**os.environ, "MEASURED_URL": urls.app_url}, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return 1
    found = {**json.loads(done.stdout), "list_rows": given.list_rows, "goal_s": GOAL_S, "goal_mib": GOAL_MIB}
    found["met"] = found["seconds"] <= GOAL_S and found["peak_mib"] <= GOAL_MIB
    REPORTS.mkdir(parents=True, exist_ok=True)
    (REPORTS / "monitor.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))
    return 0 if found["met"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
