"""What a run leaves: ``bench.json`` for machines, tables for people."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.goals import Report
from benchmarks.plan import SERVERS
from benchmarks.service import OURS

DISTURBED = 0.05
REPORTS = Path(__file__).resolve().parent.parent / "build" / "reports"


def write(report: Report, path: Path) -> None:
    """Replace the report in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    partial.replace(path)


def show(report: Report, console: Console) -> None:
    """Every table, then what was not measured and why."""
    for rows, connections in shapes(report["results"]):
        console.print(_meeting(report["results"], rows, connections))
    console.print(_formats(report))
    console.print(_beside(report))
    console.print(_goals(report["goals"]))
    if (report["others_cpu_share"] or 0) > DISTURBED:
        share = f"{report['others_cpu_share']:.0%}"
        console.print(f"the machine was busy: other programs used {share} of its cores during the median cell; run it again alone")
    for name, why in {**report["absent"], **report["not_offered"]}.items():
        console.print(f"not measured: {name}: {why}", soft_wrap=True, highlight=False)
    for line in report["skipped"]:
        console.print(f"left out: {line}", soft_wrap=True, highlight=False)


def shapes(results: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """(rows, connections) at which peers were measured, in order."""
    return sorted({(entry["rows"], entry["connections"]) for entry in results if entry["server"] != OURS})


def number(value: float | None) -> str:
    """Three significant digits, thousands separated; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _meeting(results: Sequence[Mapping[str, Any]], rows: int, connections: int) -> Table:
    table = Table(title=f"{rows:,} rows a request, {connections} connections", title_justify="left")
    for name in ("server", "requests/s", "rows/s", "p50 ms", "p99 ms", "CPU us/row", "errors", "ours is"):
        table.add_column(name, justify="left" if name == "server" else "right")
    here = {e["server"]: e for e in results if (e["rows"], e["connections"], e["format"]) == (rows, connections, "json")}
    ours = here.get(OURS, {}).get("requests_per_s")
    for server in SERVERS:
        if (entry := here.get(server)) is None:
            continue
        times = "" if server == OURS or not ours or not entry["requests_per_s"] else f"{ours / entry['requests_per_s']:.1f} x"
        keys = ("requests_per_s", "rows_per_s", "p50_ms", "p99_ms", "server_cpu_us_per_row", "errors")
        table.add_row(server, *(number(entry[key]) for key in keys), times, style="bold" if server == OURS else None)
    return table


def _formats(report: Report) -> Table:
    table = Table(title="Our service by format; CPU in times of the model alone", title_justify="left")
    for name in ("rows x connections", "format", "log", "rows/s", "p50 ms", "CPU us/row", "Postgres us/row", "x model", "errors"):
        table.add_column(name, justify="left" if name in ("format", "log") else "right")
    entries = [(e, "on") for e in report["results"] if e["server"] == OURS] + [(e, "off") for e in report["no_log"]]
    for entry, log in sorted(entries, key=lambda pair: (pair[0]["rows"], pair[0]["connections"], pair[0]["format"], pair[1])):
        limit = report["limit_us_per_row"].get(str(entry["rows"]))
        times = None if not limit else entry["server_cpu_us_per_row"] / limit
        keys = ("rows_per_s", "p50_ms", "server_cpu_us_per_row", "postgres_cpu_us_per_row")
        cells = [number(entry[key]) for key in keys]
        table.add_row(f"{entry['rows']:,} x {entry['connections']}", entry["format"], log, *cells, number(times), str(entry["errors"]))
    return table


def _beside(report: Report) -> Table:
    table = Table(title="Besides", title_justify="left")
    table.add_column("what")
    table.add_column("figure", justify="right")
    for rows, value in report["limit_us_per_row"].items():
        table.add_row(f"the model alone, {int(rows):,} rows, us/row", number(value))
    table.add_row("exact TreeSHAP alone, 1,000 rows, us/row", number(report["exact_contributions_us_per_row"]))
    for rows, share in report["durable_log_cost_share"].items():
        table.add_row(f"the durable log costs, {int(rows):,} rows, 8 connections", "–" if share is None else f"{share:.1%}")
    table.add_row("cold start of the service, s", number(report["cold_start_s"]["median"]))
    for server, memory in report["memory_mib"].items():
        table.add_row(f"memory of {server} before and after load, MiB", f"{number(memory['start']['rss'])} {number(memory['end']['rss'])}")
    return table


def _goals(goals: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Goals", title_justify="left")
    for name in ("goal", "figure", "target", "met"):
        table.add_column(name, justify="right" if name == "figure" else "left")
    for goal in goals:
        met = {True: "yes", False: "no", None: "not measured"}[goal["met"]] + (" (a wish)" if goal["wish"] else "")
        style = {True: "green", False: "red", None: "yellow"}[goal["met"]]
        table.add_row(goal["goal"], number(goal["figure"]), f"{goal['relation']} {goal['target']:g}", met, style=style)
    return table
