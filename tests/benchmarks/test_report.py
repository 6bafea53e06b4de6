"""What a run leaves: the keys that others rely upon, medians, goals, and no silent omission."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import report as reports
from benchmarks.goals import goals
from benchmarks.load import Result
from benchmarks.measure import Sample, log_cost, summary
from benchmarks.plan import FORMATS, FULL, PEERS, QUICK, REASONS, Cell, Plan
from benchmarks.plot import plot
from benchmarks.run import Findings, report
from benchmarks.service import NO_LOG, OURS

RELIED_UPON = {
    "server",
    "format",
    "rows",
    "connections",
    "requests_per_s",
    "rows_per_s",
    "p50_ms",
    "p99_ms",
    "server_cpu_us_per_row",
    "errors",
}


def sample(cell: Cell, requests_per_s: float, *, cpu_us: float = 10.0, errors: int = 0, p50_ms: float | None = 1.0) -> Sample:
    statuses = {"200": 10, "503": errors} if errors else {"200": 10}
    result = Result(10, errors, 10 + errors, 1.0, requests_per_s, p50_ms, p50_ms, 0.1, statuses)
    return Sample(cell, result, cpu_us, 1.0, 0.02)


def findings(plan: Plan) -> Findings:
    """A run in which we are twice as fast as everybody, and half of that with the log."""
    found = Findings(cold_starts=[1.0, 3.0, 2.0], contributions=[100.0])
    for number in range(plan.rounds):
        for cell in (cell for group in plan.cells(number) for cell in group):
            rate = {OURS: 200.0, NO_LOG: 250.0}.get(cell.server, 100.0)
            found.samples.append(sample(cell, rate, cpu_us=30.0 if cell.format == REASONS else 10.0))
        for rows in plan.lengths():
            found.limits.setdefault(rows, []).append(8.0)
    found.memory = {OURS: {"start": {"rss": 100.0, "pss": 90.0}, "end": {"rss": 120.0, "pss": None}}}
    found.absent = {"bentoml": "it could not be installed"}
    found.not_offered = {"propensity parquet": "not offered (status 415)"}
    return found


@pytest.fixture(params=[FULL, QUICK], ids=["full", "quick"])
def made(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A report of a made-up run."""
    plan: Plan = request.param
    return report(plan, findings(plan), 12.0)


def test_the_report_holds_what_is_relied_upon(made: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "reports" / "bench.json"
    reports.write(made, path)
    read = json.loads(path.read_text(encoding="utf-8"))
    assert all(entry.keys() >= RELIED_UPON for entry in read["results"])
    assert {entry["server"] for entry in read["results"]} == {OURS, *PEERS}
    assert read["limit_us_per_row"]["10000"] == 8.0
    assert read["durable_log_cost_share"] == dict.fromkeys(["100", "1000", "10000"], pytest.approx(0.2)) | (
        {"1": pytest.approx(0.2)} if "1" in read["durable_log_cost_share"] else {}
    )
    assert {goal["goal"] for goal in read["goals"]}
    assert read["cold_start_s"]["median"] == 2.0
    assert list(path.parent.iterdir()) == [path]


def test_every_goal_can_be_measured_by_either_plan(made: dict[str, Any]) -> None:
    assert [goal["goal"] for goal in made["goals"] if goal["met"] is None] == []


def test_goals_are_computed_from_the_figures(made: dict[str, Any]) -> None:
    by_name = {goal["goal"]: goal for goal in goals(made)}
    assert by_name["one customer, one connection: p50, ms"]["met"] is True
    fastapi = by_name["1,000 rows, 8 connections: times fastapi"]
    assert (fastapi["figure"], fastapi["target"], fastapi["met"]) == (2.0, 5.0, False)
    assert by_name["1,000 rows, 8 connections: times mlserver-xgboost"]["met"] is True
    assert by_name["10,000 rows, arrow, log on: server CPU, times the model alone"]["figure"] == pytest.approx(10 / 8)
    share = by_name["10,000 rows, json, no log, one connection: share of the speed of the model alone on one thread"]
    assert share["figure"] == pytest.approx(250 * 10_000 * 8 / 1e6)
    assert by_name["1,000 rows, 8 connections: share of throughput that the durable log costs"]["met"] is False
    assert by_name["three reasons a row: times cheaper than XGBoost's exact TreeSHAP"]["figure"] == pytest.approx(100 / 20)


def test_a_goal_is_not_met_by_what_was_not_measured_or_went_wrong(made: dict[str, Any]) -> None:
    for entry in made["results"]:
        if entry["server"] == "fastapi":
            entry["errors"] = 1
    made["results"] = [entry for entry in made["results"] if entry["server"] != "mlflow-serve"]
    unknown = {goal["goal"] for goal in goals(made) if goal["met"] is None}
    assert unknown == {
        f"{what} {peer}"
        for peer in ("fastapi", "mlflow-serve")
        for what in ("one customer, one connection: requests/s, times", "1,000 rows, 8 connections: times")
    }


def test_a_cell_is_the_median_of_its_rounds_with_all_its_errors() -> None:
    cell = Cell(OURS, "json", 100, 8)
    rounds = [sample(cell, 10.0, p50_ms=5.0), sample(cell, 90.0, errors=2, p50_ms=None), sample(cell, 30.0, p50_ms=7.0)]
    entry = summary(rounds)
    assert (entry["requests_per_s"], entry["rows_per_s"], entry["p50_ms"], entry["errors"]) == (30.0, 3_000.0, 6.0, 2)
    assert entry["statuses"] == {"200": 30, "503": 2}
    assert entry["requests_per_s_by_round"] == [10.0, 90.0, 30.0]


def test_the_cost_of_the_log_compares_within_a_round() -> None:
    # The machine slows down threefold from round to round; within each the log costs a tenth.
    samples = [
        sample(Cell(server, "json", 100, 8), rate * share) for rate in (90.0, 30.0, 10.0) for server, share in ((OURS, 0.9), (NO_LOG, 1))
    ]
    assert log_cost(samples, OURS, NO_LOG, 100, 8) == pytest.approx(0.1)
    assert log_cost(samples, OURS, NO_LOG, 1_000, 8) is None


def test_nothing_is_left_out_in_silence(made: dict[str, Any]) -> None:
    written = io.StringIO()
    reports.show(made, Console(file=written, width=160))
    text = written.getvalue()
    assert "bentoml: it could not be installed" in text
    assert "propensity parquet: not offered (status 415)" in text
    assert all(line[:60] in text for line in made["skipped"])


def test_the_picture_is_drawn_in_both_forms(made: dict[str, Any], tmp_path: Path) -> None:
    plot(made, tmp_path / "bench.png", tmp_path / "bench.svg")
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "bench.svg").read_text(encoding="utf-8")


def test_a_picture_of_nothing_but_ours_is_drawn_too(made: dict[str, Any], tmp_path: Path) -> None:
    made["results"] = [entry for entry in made["results"] if entry["server"] == OURS]
    plot(made, tmp_path / "bench.png", tmp_path / "bench.svg")
    assert (tmp_path / "bench.png").exists()


@pytest.mark.parametrize("plan", [FULL, QUICK], ids=["full", "quick"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_round_measures_each_cell_once(plan: Plan, number: int) -> None:
    cells = [cell for group in plan.cells(number) for cell in group]
    assert len(cells) == len(set(cells))
    assert {cell.format for cell in cells if cell.server == OURS} == {*FORMATS, REASONS}


def test_rounds_begin_with_different_servers() -> None:
    assert len({next(FULL.cells(number))[0].server for number in range(FULL.rounds)}) == FULL.rounds


def test_the_full_plan_covers_every_length_and_says_what_it_leaves_out() -> None:
    wanted = {(rows, n) for rows in (1, 100, 1_000, 10_000) for n in (1, 8, 32)}
    left_out = wanted - set(FULL.shapes)
    assert left_out == {(10_000, 32)}
    assert any("10,000 rows x 32" in line for line in FULL.skipped)
