"""The goals that speed is held to, computed from a report. Each figure says what it was measured on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from benchmarks.plan import REASONS
from benchmarks.service import NO_LOG, OURS

Report = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """A figure against its target. ``met`` is None where it was not measured; ``wish``: welcome, not promised."""

    goal: str
    figure: float | None
    relation: Literal["at most", "at least"]
    target: float
    met: bool | None
    wish: bool = False


def _goal(goal: str, figure: float | None, relation: Literal["at most", "at least"], target: float, *, wish: bool = False) -> Goal:
    met = None if figure is None else (figure <= target if relation == "at most" else figure >= target)
    return Goal(goal, figure, relation, target, met, wish)


def goals(report: Report) -> list[dict[str, Any]]:
    """Every goal, in the order of importance."""
    return [asdict(goal) for goal in (*_one_customer(report), *_lists(report), *_log(report), *_reasons(report), *_limit(report))]


def cell(report: Report, server: str, format_: str, rows: int, connections: int, *, where: str = "results") -> dict[str, Any] | None:
    """An entry of the report; None where it was not measured, or where an answer was an error."""
    wanted = (server, format_, rows, connections)
    found = (e for e in report[where] if (e["server"], e["format"], e["rows"], e["connections"]) == wanted)
    entry: dict[str, Any] | None = next(found, None)
    return None if entry is None or entry["errors"] else entry


def _times(report: Report, peer: str, rows: int, connections: int) -> float | None:
    ours, theirs = cell(report, OURS, "json", rows, connections), cell(report, peer, "json", rows, connections)
    if ours is None or theirs is None or not theirs["requests_per_s"]:
        return None
    return float(ours["requests_per_s"] / theirs["requests_per_s"])


def _one_customer(report: Report) -> Iterator[Goal]:
    ours = cell(report, OURS, "json", 1, 1) or {}
    what = "one customer, one connection"
    yield _goal(f"{what}: p50, ms", ours.get("p50_ms"), "at most", 2.0)
    yield _goal(f"{what}: p99, ms", ours.get("p99_ms"), "at most", 10.0)
    for peer, target in (("fastapi", 15.0), ("mlflow-serve", 15.0), ("mlserver-xgboost", 2.0)):
        yield _goal(f"{what}: requests/s, times {peer}", _times(report, peer, 1, 1), "at least", target)


def _lists(report: Report) -> Iterator[Goal]:
    for peer, target in (("fastapi", 5.0), ("mlflow-serve", 5.0), ("mlserver-xgboost", 1.0)):
        yield _goal(f"1,000 rows, 8 connections: times {peer}", _times(report, peer, 1_000, 8), "at least", target)
    for format_, target in (("json", 1.6), ("arrow", 1.25)):
        entry = cell(report, OURS, format_, 10_000, 1)
        limit = report["limit_us_per_row"].get("10000")
        figure = None if entry is None or not limit else entry["server_cpu_us_per_row"] / limit
        yield _goal(f"10,000 rows, {format_}, log on: server CPU, times the model alone", figure, "at most", target)


def _log(report: Report) -> Iterator[Goal]:
    for rows in (1_000, 10_000):
        share = report["durable_log_cost_share"].get(str(rows))
        yield _goal(f"{rows:,} rows, 8 connections: share of throughput that the durable log costs", share, "at most", 0.15)


def _reasons(report: Report) -> Iterator[Goal]:
    with_reasons, without = cell(report, OURS, REASONS, 1_000, 1), cell(report, OURS, "json", 1_000, 1)
    exact = report.get("exact_contributions_us_per_row")
    figure = None
    if with_reasons is not None and without is not None and exact:
        extra = with_reasons["server_cpu_us_per_row"] - without["server_cpu_us_per_row"]
        figure = exact / extra if extra > 0 else None
    yield _goal("three reasons a row: times cheaper than XGBoost's exact TreeSHAP", figure, "at least", 5.0, wish=True)


def _limit(report: Report) -> Iterator[Goal]:
    for format_, targets in (("json", {1_000: 0.65, 10_000: 0.72}), ("arrow", {1_000: 0.85, 10_000: 0.95})):
        for rows, target in targets.items():
            entry = cell(report, NO_LOG, format_, rows, 1, where="no_log")
            limit = report["limit_us_per_row"].get(str(rows))
            share = None if entry is None or limit is None else entry["rows_per_s"] * limit / 1e6
            what = f"{rows:,} rows, {format_}, no log, one connection"
            yield _goal(f"{what}: share of the speed of the model alone on one thread", share, "at least", target)
