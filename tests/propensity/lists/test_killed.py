"""A run that is killed anywhere goes on where it was: every row is scored and logged exactly once, and the results are those of one run."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from local.postgres_urls import DatabaseUrls
from propensity.adapters.database import Database
from propensity.adapters.migrate import migrate
from propensity.adapters.object_store import FolderStore
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.campaign import Policy
from propensity.decision import decide
from propensity.model import Model, save_package
from propensity.schema import check_rows
from tests.builders import tiny_campaign, tiny_columns

ROWS = 420
PROJECT = Path(__file__).resolve().parents[3]
# Where a run dies: (point, nth time, before the work or after it).
DEATHS: tuple[tuple[str, int, bool], ...] = (
    *(("scored", 1, True), ("scored", 3, False), ("writing", 4, True), ("kept", 5, False), ("logged", 2, True)),
    *(("logged", 3, False), ("marked", 2, True), ("writing", 9, False), ("part", 5, False), ("sorted", 2, True), ("sorted", 3, False)),
)


@pytest.fixture(scope="module")
def database_url(database: DatabaseUrls) -> str:
    migrate(database.owner_url)
    return database.app_url


@pytest.fixture
def log(database_url: str) -> Iterator[PostgresPredictionLog]:
    database = Database(database_url)
    yield PostgresPredictionLog(database)
    database.close()


def write_list(path: Path) -> None:
    columns = tiny_columns(ROWS, seed=11)
    # Two rows that are refused, far from each other.
    columns["age"][7] = columns["age"][400] = 17
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["customer", *columns])
        lines.writerows([f"k{at}", *("" if v is None else v for v in row)] for at, row in enumerate(zip(*columns.values(), strict=True)))


def run(told: dict[str, Any], point: str = "", nth: int = 0, *, before: bool = False) -> subprocess.CompletedProcess[str]:
    asked = json.dumps({**told, "point": point, "nth": nth, "before": before})
    command = [sys.executable, "-m", "tests.propensity.lists.killed_child", asked]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "value"), [("profit", None), ("top_share", 0.3)])
def test_every_row_is_scored_and_logged_once_however_often_it_is_killed(
    policy: Any, value: float | None, model: Model, database_url: str, log: PostgresPredictionLog, tmp_path: Path
) -> None:
    write_list(tmp_path / "list.csv")
    digest = save_package(FolderStore(tmp_path / "store"), model)
    told = {
        "store": str(tmp_path / "store"),
        "digest": digest,
        "path": str(tmp_path / "list.csv"),
        "home": str(tmp_path / "home"),
        "out": str(tmp_path / "sheet.csv"),
        "url": database_url,
        "policy": policy,
        "value": value,
    }
    since = datetime.now(UTC) - timedelta(minutes=1)
    before = log.count("tiny")
    (tmp_path / "home").mkdir()
    died = 0
    for point, nth, early in DEATHS:
        ended = run(told, point, nth, before=early)
        assert ended.returncode in (-signal.SIGKILL, 0), ended.stderr
        died += ended.returncode != 0
        # Killed or not, even right after the last step: a result is there as a whole, or it is not.
        if (tmp_path / "sheet.csv").exists():
            assert len((tmp_path / "sheet.csv").read_text(encoding="utf-8").splitlines()) == 1 + ROWS - 2
            (tmp_path / "sheet.csv").unlink()
    assert died >= 8
    last = run(told)
    assert last.returncode == 0, last.stderr
    assert f"scored={ROWS - 2}, refused=2" in last.stdout
    assert list((tmp_path / "home" / "lists").iterdir()) == []

    columns = tiny_columns(ROWS, seed=11)
    columns["age"][7] = columns["age"][400] = 17
    checked = check_rows(tiny_campaign(), columns, [f"k{at}" for at in range(ROWS)], ROWS, text=False)
    scores = model.score(checked.table)
    decision = decide(scores, Policy(policy, value), tiny_campaign().economics)
    now = datetime.now(UTC) + timedelta(minutes=1)
    entries = [entry for entry in log.window("tiny", since, now) if entry.policy["kind"] == policy]
    assert log.count("tiny") == before + ROWS - 2
    assert len(entries) > 5
    assert sum(entry.received for entry in entries) == ROWS
    entries.sort(key=lambda entry: int(entry.rows[0]))
    assert np.concatenate([entry.rows for entry in entries]).tolist() == checked.table.rows.tolist()
    assert [name for entry in entries for name in entry.customer_ids] == list(checked.table.ids)
    assert np.concatenate([entry.scores for entry in entries]).tobytes() == scores.tobytes()
    assert np.concatenate([entry.contact for entry in entries]).tolist() == decision.contact.tolist()
    with (tmp_path / "sheet.csv").open(encoding="utf-8", newline="") as file:
        sheet = list(csv.DictReader(file))
    order = np.argsort(decision.rank)
    assert [row["customer_id"] for row in sheet] == [checked.table.ids[at] for at in order.tolist()]
    assert [float(row["score"]) for row in sheet] == scores[order].tolist()
    assert [row["decision"] == "contact" for row in sheet] == decision.contact[order].tolist()
    # Each line names the prediction in the log that it is.
    request, position = sheet[-1]["prediction_id"].split(".")
    assert log.request(request).scores[int(position) - 1] == float(sheet[-1]["score"])
    with (tmp_path / "errors.csv").open(encoding="utf-8", newline="") as file:
        assert [(row["row"], row["column"]) for row in csv.DictReader(file)] == [("8", "age"), ("401", "age")]
