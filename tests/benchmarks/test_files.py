from __future__ import annotations

import json
from pathlib import Path

import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from benchmarks import files
from propensity.campaign import Campaign


def _run(rows_per_s: float, peak: float = 100.0) -> dict[str, float]:
    return {"rows": 1_000, "seconds": 1_000 / rows_per_s, "cpu_s": 0.01, "peak_rss_mib": peak}


def test_goals_are_ratios_within_a_round_against_the_faster_of_both_ways_to_run_the_model() -> None:
    results = {
        "model": [_run(200), _run(100)],
        "model-threads": [_run(100), _run(50)],
        "parquet": [_run(170), _run(85, peak=600)],
        "spark-arrow": [_run(100), _run(50)],
    }
    found = {(goal.goal, goal.relation): goal for goal in files.goals(results)}
    share = found[f"{files.WAYS['parquet']['what']}: share of the model-alone speed", "at least"]
    assert share.figure == pytest.approx(0.85)
    assert share.met is True
    memory = found[f"{files.WAYS['parquet']['what']}: peak memory, MiB", "at most"]
    assert (memory.figure, memory.met) == (600, False)
    spark = found[f"Parquet: times {files.SPARK['spark-arrow']['what']}", "at least"]
    assert spark.figure == pytest.approx(1.7)
    assert spark.met is True
    assert found[f"Parquet: times {files.SPARK['spark-udf']['what']}", "at least"].met is None


def test_each_round_begins_with_another_way() -> None:
    assert [files.rotated(["a", "b", "c"], at)[0] for at in range(4)] == ["a", "b", "c", "a"]


def test_both_files_hold_the_same_customers(campaign: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "DRAWN_ROWS", 40)
    paths = files.write_files(campaign, 100, tmp_path, Console(quiet=True))
    parquet, lines = pq.read_table(paths["parquet"]), pcsv.read_csv(paths["csv"])
    assert parquet.num_rows == lines.num_rows == 100
    assert parquet.column("id").to_pylist() == lines.column("id").to_pylist() == [f"c{at}" for at in range(1, 101)]
    assert parquet.column("income").to_pylist() == lines.column("income").to_pylist()


@pytest.mark.slow
def test_ours_and_the_model_alone_run(campaign: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "STATE", tmp_path)
    report = files.run(2_000, 1, ["model", "model-threads", "parquet", "csv"], Console(quiet=True), spark=False)
    assert report["absent"] == {}
    assert set(report["results"]) == {"model", "model-threads", "parquet", "csv"}
    assert all(found["rows_per_s"] > 0 for found in report["results"].values())
    json.dumps(report, allow_nan=False)
