"""``python -m benchmarks.campaign_report [ROWS]``: seconds and memory of a campaign report on a log of that size, half with outcomes."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psycopg

from benchmarks.package import draw, train
from local.postgres import EmbeddedPostgres
from propensity.adapters.database import Database
from propensity.adapters.migrate import migrate
from propensity.adapters.object_store import FolderStore
from propensity.adapters.outcomes import PostgresOutcomeStore
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.campaigns import campaign
from propensity.model import save_package
from propensity.ports import LoggedRequest
from propensity.report.build import build
from propensity.report.page import document
from propensity.scoring import raw_features

NAME = "term-deposit"
LIST_ROWS = 10_000
PROJECT = Path(__file__).resolve().parent.parent
REPORT = PROJECT / "build" / "reports" / "campaign-report-bench.json"
_OUTCOMES = """
insert into outcome (campaign, request_id, position, predicted_at, prediction_id, label, status, counts, source)
select 'term-deposit', p.request_id, p.position, p.received_at, p.prediction_id, p.position % 9 = 0, 'recorded', true, 'bench'
from prediction as p where p.position % 2 = 0"""


def main(arguments: list[str]) -> int:
    """Fill a log, then report on it in a process of its own."""
    if arguments[:1] == ["--report"]:
        print(json.dumps(_report(arguments[1], arguments[2])))
        return 0
    rows = int(arguments[0]) if arguments else 1_000_000
    with tempfile.TemporaryDirectory(prefix="propensity-report-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o711)
        with EmbeddedPostgres(home, fsync=False) as server:
            urls = server.urls()
            migrate(urls.owner_url)
            _fill(urls.app_url, urls.owner_url, home / "store", rows)
            command = [sys.executable, "-m", "benchmarks.campaign_report", "--report", urls.app_url, str(home / "store")]
            done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, env=dict(os.environ))
    if done.returncode:
        raise SystemExit(done.stderr)
    found = {"rows": rows, **json.loads(done.stdout)}
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
    return 0


def _fill(url: str, owner_url: str, store: Path, rows: int) -> None:
    """Lists of 10,000 and, for a thousandth of the rows, requests of one customer."""
    log = PostgresPredictionLog(Database(url, timeout_s=30.0))
    declared = campaign(NAME)
    model = train(declared, rows=20_000, trees=100)
    save_package(FolderStore(store), model)
    table = draw(declared, LIST_ROWS, 7)[0].table
    features, scored = raw_features(table), model.score(table)
    rng = np.random.default_rng(0)
    for n in [LIST_ROWS] * (rows // LIST_ROWS) + [1] * (rows // 1_000):
        # The same customers in every list, with scores that differ a little.
        scores = np.clip(scored[:n] * rng.uniform(0.9, 1.1, n), 0, 1)
        entry = LoggedRequest(
            request_id=str(uuid.uuid4()),
            campaign=NAME,
            model_digest=model.digest,
            model_version=model.version,
            policy={"kind": "profit"},
            declaration_digest=declared.digest(),
            customer_ids=[f"customer-{at}" for at in range(n)],
            rows=np.arange(1, n + 1),
            features=features[:n],
            scores=scores,
            contact=scores > declared.economics.break_even,
            received=n,
            refused=0,
            source="api" if n == 1 else f"list:{uuid.uuid4()}",
        )
        log.append(entry, idempotency_key=None, body_sha256="", reply=b"")
    with psycopg.connect(owner_url) as owner:
        owner.execute("update prediction_request set received_at = received_at - interval '60 days'")
        owner.execute(_OUTCOMES)
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("vacuum analyze")


def _report(url: str, store: str) -> dict[str, float]:
    database = Database(url, timeout_s=30.0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    made = build(
        campaign(NAME),
        log=PostgresPredictionLog(database),
        outcomes=PostgresOutcomeStore(database),
        store=FolderStore(Path(store)),
        now=datetime.now(UTC) + timedelta(seconds=10),
    )
    built = time.monotonic()
    page = document(made).html
    return {
        "predictions": made.decided.predictions,
        "known": made.known.known,
        "seconds": round(built - began, 2),
        "page_seconds": round(time.monotonic() - built, 3),
        "page_bytes": len(page),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "peak_before_mib": round(before / 1024, 1),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
