"""``python -m benchmarks.outcomes [--rows N]``: a file of outcomes taken, rematched and read again, on a real Postgres of its own.

As many predictions are logged as outcomes come, in lists of 1,000. The file is taken in a process of its own, whose memory is told. Three
files, one after the other: by prediction id, the same again under another name, by customer id. Writes ``build/reports/outcomes.json``.
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
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import SecretStr

from local.postgres import EmbeddedPostgres
from propensity.adapters.database import Database
from propensity.adapters.migrate import migrate
from propensity.adapters.outcomes import PostgresOutcomeStore
from propensity.adapters.platform import Platform, open_platform
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.campaigns import campaign
from propensity.performance import collect
from propensity.ports import LoggedRequest
from propensity.settings import Settings

PROJECT = Path(__file__).parent.parent
REPORT = PROJECT / "build" / "reports" / "outcomes.json"
NAME = "term-deposit"
LIST_ROWS = 1_000


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outcomes", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--take", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.take:
        print(json.dumps(_take(json.loads(args.take))))
        return 0
    with tempfile.TemporaryDirectory(prefix="propensity-bench-") as folder:
        home = Path(folder)
        home.chmod(0o711)
        with EmbeddedPostgres(home) as server:
            urls = server.create_database("outcomes")
            migrate(urls.owner_url)
            found = _measure(home, urls.app_url, args.rows)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def _measure(home: Path, url: str, rows: int) -> dict[str, Any]:
    database = Database(url, timeout_s=30.0)
    ids = _log(PostgresPredictionLog(database), rows)
    files = {
        "by prediction id": [f"{request}.{at % LIST_ROWS + 1}" for at, request in enumerate(np.repeat(ids, LIST_ROWS)[:rows])],
        "the same, told again": None,
        "by customer id": [f"customer-{at}" for at in range(rows)],
    }
    found: dict[str, Any] = {"rows": rows}
    for what, keys in files.items():
        path = home / f"{what.replace(' ', '-')}.csv"
        column = "customer_id" if what == "by customer id" else "prediction_id"
        shown = keys or files["by prediction id"] or []
        # Another observation time: neither file is the other one again.
        at = datetime.now(UTC) if keys else datetime.now(UTC) + timedelta(hours=1)
        with path.open("w", encoding="utf-8") as file:
            file.write(f"{column},label,observed_at\n")
            file.writelines(f"{key},{'yes' if n % 9 == 0 else 'no'},{at.isoformat()}\n" for n, key in enumerate(shown))
        found[what] = _one(home, url, path)
        print(f"{what}: {json.dumps(found[what])}", flush=True)
    found["reading"] = _read(database)
    print(f"reading: {json.dumps(found['reading'])}", flush=True)
    return found


def _log(log: PostgresPredictionLog, rows: int) -> list[str]:
    ids = []
    for first in range(0, rows, LIST_ROWS):
        n = min(LIST_ROWS, rows - first)
        scores = np.random.default_rng(first).random(n)
        customers = [f"customer-{at}" for at in range(first, first + n)]
        ids.append(str(uuid.uuid4()))
        features = np.zeros((n, len(campaign(NAME).features)))
        entry = LoggedRequest(
            ids[-1], NAME, "d" * 64, "1", {}, "e", customers, np.arange(1, n + 1), features, scores, scores > 0.5, n, 0, "bench"
        )
        log.append(entry, idempotency_key=None, body_sha256="", reply=b"")
    return ids


def _one(home: Path, url: str, path: Path) -> dict[str, Any]:
    told = json.dumps({"home": str(home), "url": url, "path": str(path)})
    command = [sys.executable, "-m", "benchmarks.outcomes", "--take", told]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=3_600, env=dict(os.environ))
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _take(told: dict[str, str]) -> dict[str, Any]:
    from flows.outcomes import take_file

    home = Path(told["home"])
    settings = Settings(
        home=home, database_url=SecretStr(told["url"]), store_url=(home / "store").as_uri(), mlflow_url=SecretStr("postgresql://x@y/z")
    )
    at: Platform = open_platform(settings)
    imported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started, cpu = time.monotonic(), time.process_time()
    result = take_file(at, NAME, Path(told["path"]), "bench")
    seconds = time.monotonic() - started
    counts = {name: n for name, n in result.items() if isinstance(n, int) and n and name not in ("taken_before", "received")}
    return {
        "rows_per_s": round(result["received"] / seconds),
        "seconds": round(seconds, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "rss_before_mib": round(imported),
        "counts": counts,
    }


def _read(database: Database) -> dict[str, Any]:
    store, rules = PostgresOutcomeStore(database), campaign(NAME).label.rules
    since, until = datetime.now(UTC) - timedelta(days=2), datetime.now(UTC) + timedelta(days=1)
    started = time.monotonic()
    known = collect(store.requests(NAME, since, until, rules=rules))
    requests_s, started = time.monotonic() - started, time.monotonic()
    cohorts = store.cohorts(NAME, since, until)
    arrivals = store.arrivals(NAME, since, until)
    return {
        "requests_s": round(requests_s, 1),
        "summary_s": round(time.monotonic() - started, 1),
        "labelled": len(known.scores),
        "cohorts": sum(c.labelled for c in cohorts),
        "arrivals": sum(sum(day.values()) for day in arrivals.values()),
    }


if __name__ == "__main__":
    sys.exit(main())
