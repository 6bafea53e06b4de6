"""``python -m benchmarks.files [--rows N] [--rounds N] [--spark]``: files of customers scored to a file, against the model alone and Spark.

Every way runs in a process of its own, one after the other, and the rounds go round all of them; figures are medians over rounds. Two
cores are used by all. Writes ``build/reports/files.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.goals import Goal
from benchmarks.package import CAMPAIGNS, CUSTOMERS_SEED, benchmark_campaign, kept_model
from benchmarks.report import REPORTS, number, write
from benchmarks.servers import PROJECT
from propensity.campaign import Campaign
from propensity.synthetic import generate

STATE = PROJECT / "build" / "bench-files"
DRAWN_ROWS = 200_000
MEMORY_MIB = 512
LIMIT = ("model", "model-threads")
TIMEOUT_S = 3_600
# Name of a way, and what its process is told. Bare: results alone. Full: every chunk committed to the log, and prediction ids.
WAYS: dict[str, dict[str, Any]] = {
    "model": {"way": "model", "what": "the model alone, rows ready: XGBoost's own two threads"},
    "model-threads": {"way": "model-threads", "what": "the model alone, rows ready: two threads with one each"},
    "parquet": {"way": "ours", "format": "parquet", "out": "out.parquet", "what": "Parquet to Parquet; log off, reasons off"},
    "csv": {"way": "ours", "format": "csv", "out": "out.parquet", "what": "CSV to Parquet; log off, reasons off"},
    "parquet-log": {
        "way": "ours",
        "format": "parquet",
        "out": "out.parquet",
        "log": True,
        "what": "Parquet to Parquet; durable log on, reasons off",
    },
    "csv-log": {"way": "ours", "format": "csv", "out": "out.csv", "log": True, "what": "CSV to call sheet; durable log on, reasons off"},
}
SPARK: dict[str, dict[str, Any]] = {
    "spark-arrow": {"way": "mapInArrow", "what": "Spark local[2], mapInArrow, Parquet to Parquet"},
    "spark-udf": {"way": "spark_udf", "what": "Spark local[2], mlflow.pyfunc.spark_udf, Parquet to Parquet"},
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write; 0 where every way ran, whether or not goals were met."""
    parser = argparse.ArgumentParser(prog="benchmarks.files", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="customers in the file (1,000,000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all ways (3)")
    parser.add_argument("--spark", action="store_true", help="also Spark, installed into an environment of its own below build/")
    parser.add_argument("--only", nargs="+", choices=WAYS, help="some ways alone")
    args = parser.parse_args(argv)
    os.environ["PROPENSITY_CAMPAIGNS_DIR"] = str(CAMPAIGNS)
    console = Console(width=None if sys.stdout.isatty() else 150)
    report = run(args.rows, args.rounds, list(args.only or WAYS), console, spark=args.spark)
    write(report, REPORTS / "files.json")
    show(report, console)
    return 1 if report["absent"] else 0


def run(rows: int, rounds: int, ways: list[str], console: Console, *, spark: bool) -> dict[str, Any]:
    """The whole report."""
    STATE.mkdir(parents=True, exist_ok=True)
    campaign = benchmark_campaign()
    model = kept_model(campaign, STATE / "models")
    told: dict[str, Any] = {
        "models": str(STATE / "models"),
        "digest": model.digest,
        "rows": rows,
        **write_files(campaign, rows, STATE, console),
    }
    results: dict[str, list[dict[str, Any]]] = {}
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="propensity-files-", dir=STATE)))
        url = stack.enter_context(database(scratch)) if any(WAYS[way].get("log") for way in ways) else ""
        launches = {way: (sys.executable, "benchmarks.files_work", WAYS[way]) for way in ways}
        if spark:
            from benchmarks.files_spark import environment, prepare

            try:
                spark_python = environment(STATE, lambda line: console.print(line, highlight=False))
                told |= prepare(model, STATE, Path(told["parquet"]))
                launches |= {way: (str(spark_python), "benchmarks.files_spark", SPARK[way]) for way in SPARK}
            except (OSError, subprocess.CalledProcessError) as exc:
                absent["spark"] = f"could not be made ready: {type(exc).__name__}"
        for round_ in range(rounds):
            for way in rotated(list(launches), round_):
                if way in absent:
                    continue
                python, module, more = launches[way]
                asked = {**told, **more, "folder": str(scratch), "url": url if more.get("log") else "", "run": uuid.uuid4().hex}
                found = one(str(python), module, asked)
                if isinstance(found, str):
                    absent[way] = found
                    continue
                results.setdefault(way, []).append(found)
                console.print(f"round {round_ + 1}: {way}: {found['rows'] / found['seconds']:,.0f} rows/s", highlight=False)
    return {"rows": rows, "rounds": rounds, "results": {way: medians(found) for way, found in results.items()}, "absent": absent} | {
        "goals": [vars(goal) for goal in goals(results)]
    }


def rotated(ways: list[str], round_: int) -> list[str]:
    """Each round begins with another way."""
    at = round_ % len(ways)
    return ways[at:] + ways[:at]


def one(python: str, module: str, told: dict[str, Any]) -> dict[str, Any] | str:
    """Figures of one run, or why there are none."""
    environ = {
        **os.environ,
        "PROPENSITY_CAMPAIGNS_DIR": str(CAMPAIGNS),
        "PYTHONPATH": os.pathsep.join([str(PROJECT), *told.get("path", [])]),
    }
    done = subprocess.run(
        [python, "-m", module, json.dumps(told)], cwd=PROJECT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=environ
    )
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it ended without a word"])[-1][:300]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def medians(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Rows per second, microseconds of processor time a row, and the highest memory."""
    return {
        "rows_per_s": median(run["rows"] / run["seconds"] for run in runs),
        "cpu_us_per_row": median(1e6 * run["cpu_s"] / run["rows"] for run in runs),
        "peak_rss_mib": max(run["peak_rss_mib"] for run in runs),
    }


def speeds(runs: Sequence[dict[str, Any]]) -> list[float]:
    """Rows per second of each round."""
    return [run["rows"] / run["seconds"] for run in runs]


def goals(results: dict[str, list[dict[str, Any]]]) -> list[Goal]:
    """The file goals. Ratios are medians over rounds of what ran in the same round."""

    def ratio(way: str, others: Sequence[str]) -> float | None:
        known = [speeds(results[other]) for other in others if other in results]
        if way not in results or not known:
            return None
        best = [max(values) for values in zip(*known, strict=False)]
        found: float = median(mine / theirs for mine, theirs in zip(speeds(results[way]), best, strict=False))
        return found

    found = []
    for way, target in (("parquet", 0.80), ("csv", 0.68), ("parquet-log", 0.80), ("csv-log", 0.68)):
        what = WAYS[way]["what"]
        found.append(_goal(f"{what}: share of the model-alone speed", ratio(way, LIMIT), at_least=target))
        found.append(_goal(f"{what}: the same by processor time", cpu_share(results, way), at_least=target))
    for way in ("parquet", "csv", "parquet-log", "csv-log"):
        peak = max((run["peak_rss_mib"] for run in results.get(way, ())), default=None)
        found.append(_goal(f"{WAYS[way]['what']}: peak memory, MiB", peak, at_most=MEMORY_MIB))
    for other, target in (("spark-arrow", 1.7), ("spark-udf", 2.7)):
        found.append(_goal(f"Parquet: times {SPARK[other]['what']}", ratio("parquet", [other]), at_least=target))
    return found


def cpu_share(results: dict[str, list[dict[str, Any]]], way: str) -> float | None:
    """The model's own processor time over that of the whole work, which other programs on the machine hardly touch. Without Postgres."""
    if way not in results or not (limits := [name for name in LIMIT if name in results]):
        return None
    own = min(medians(results[name])["cpu_us_per_row"] for name in limits)
    return own / medians(results[way])["cpu_us_per_row"]


def _goal(text: str, figure: float | None, *, at_least: float | None = None, at_most: float | None = None) -> Goal:
    if at_least is not None:
        return Goal(text, figure, "at least", at_least, None if figure is None else figure >= at_least)
    assert at_most is not None
    return Goal(text, figure, "at most", at_most, None if figure is None else figure <= at_most)


def write_files(campaign: Campaign, rows: int, folder: Path, console: Console) -> dict[str, str]:
    """The list as Parquet and as CSV: drawn customers, the same ones again and again under new ids. Kept for the next run."""
    import pyarrow as pa
    import pyarrow.csv as pcsv
    import pyarrow.parquet as pq

    paths = {kind: folder / f"{campaign.digest()[:12]}-{rows}.{kind}" for kind in ("parquet", "csv")}
    if not all(path.exists() for path in paths.values()):
        console.print(f"drawing {rows:,} customers", highlight=False)
        drawn = generate(campaign, min(rows, DRAWN_ROWS), CUSTOMERS_SEED)
        columns = {name: list(drawn.columns[name]) for name in campaign.feature_names}
        part = pa.table({"id": pa.array([""] * drawn.n), **columns})
        temporary = {kind: path.with_suffix(".new") for kind, path in paths.items()}
        plain = pcsv.WriteOptions(quoting_style="none")
        with pq.ParquetWriter(temporary["parquet"], part.schema) as parquet:
            # One after the other: both end in .new.
            for table in _parts(part, rows):
                parquet.write_table(table)
        temporary["parquet"].replace(paths["parquet"])
        with pcsv.CSVWriter(temporary["csv"], part.schema, write_options=plain) as lines:
            for table in _parts(part, rows):
                lines.write_table(table)
        temporary["csv"].replace(paths["csv"])
    return {kind: str(path) for kind, path in paths.items()}


def _parts(part: Any, rows: int) -> Iterator[Any]:
    import pyarrow as pa

    for start in range(0, rows, len(part)):
        n = min(len(part), rows - start)
        ids = pa.array([f"c{at}" for at in range(start + 1, start + n + 1)])
        yield part.slice(0, n).set_column(0, "id", ids)


class database:  # noqa: N801 (used as a function)
    """A Postgres of its own with ``fsync`` on, and its address."""

    def __init__(self, folder: Path) -> None:
        from local.postgres import EmbeddedPostgres

        self._folder = folder / "postgres"
        self._server = EmbeddedPostgres(self._folder, say=lambda _: None)

    def __enter__(self) -> str:
        from propensity.adapters.migrate import migrate

        self._folder.parent.chmod(0o711)
        self._server.start()
        urls = self._server.urls()
        migrate(urls.owner_url)
        return urls.app_url

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def show(report: dict[str, Any], console: Console) -> None:
    """Print what was measured, and the goals."""
    table = Table(title=f"{report['rows']:,} customers scored to a file, two cores, {report['rounds']} rounds", title_justify="left")
    for name in ("way", "rows/s", "CPU us/row", "peak MiB"):
        table.add_column(name, justify="left" if name == "way" else "right")
    for way, found in report["results"].items():
        what = {**WAYS, **SPARK}[way]["what"]
        table.add_row(what, number(found["rows_per_s"]), f"{found['cpu_us_per_row']:.2f}", number(found["peak_rss_mib"]))
    console.print(table)
    held = Table(title="Goals", title_justify="left")
    for name in ("goal", "figure", "target", "met"):
        held.add_column(name, justify="right" if name == "figure" else "left")
    for goal in report["goals"]:
        met = {True: "yes", False: "no", None: "not measured"}[goal["met"]]
        held.add_row(goal["goal"], number(goal["figure"]), f"{goal['relation']} {goal['target']:g}", met)
    console.print(held)
    for way, why in report["absent"].items():
        console.print(f"not measured: {way}: {why}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
