"""How good a model of the real term-deposit data is, and how it behaves."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from propensity.adapters.object_store import FolderStore
from propensity.campaign import Campaign, Numeric
from propensity.campaigns import campaign
from propensity.errors import LeakSuspected
from propensity.ingest import ingest
from propensity.raw import RawData
from propensity.snapshot import SnapshotData, read_snapshot
from propensity.training import SEEDS, Training, train

FOLDER = os.environ.get("PROPENSITY_DATA_DIR", "")
TERM_DEPOSIT = campaign("term-deposit")
FILE = Path(FOLDER, TERM_DEPOSIT.source.file if TERM_DEPOSIT.source else "")

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER or not FILE.is_file(), reason=f"PROPENSITY_DATA_DIR does not name a folder with {FILE.name}"),
]


def read(declared: Campaign, folder: Path) -> SnapshotData:
    lines = [line.replace('"', "").split(";") for line in FILE.read_text(encoding="utf-8").splitlines()]
    columns = {name: list(cells) for name, cells in zip(lines[0], zip(*lines[1:], strict=True), strict=True)}
    raw = RawData(columns, True, len(lines) - 1, {"kind": "test"})
    store = FolderStore(folder)
    return read_snapshot(store, declared, ingest(declared, raw, store).manifest.snapshot_id)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> SnapshotData:
    return read(TERM_DEPOSIT, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def trained(data: SnapshotData) -> Training:
    return train(TERM_DEPOSIT, data)


def test_the_random_split_reaches_what_is_asked_without_the_duration_of_the_call(trained: Training) -> None:
    assert SEEDS == (42, 0, 1)
    assert "duration" not in trained.model.manifest.features
    marks = {"xgboost": (0.806, 0.48), "logistic": (0.795, 0.45), "average": (0.802, 0.47)}
    for line in trained.table["candidates"]:
        roc_auc, pr_auc = marks[line["candidate"]]
        assert roc_auc <= line["random"]["roc_auc"] <= 0.83
        assert line["random"]["pr_auc"] >= pr_auc
        assert line["random"]["ece"] <= 0.01


def test_the_winner_earns_more_than_every_baseline_on_months_that_chose_nothing(trained: Training) -> None:
    won = next(line for line in trained.table["candidates"] if line["won"])
    assert won["test"]["roc_auc"] > 0.7
    assert {line["baseline"].partition(":")[0] for line in trained.table["test_baselines"]} == {"call everyone", "trailing rate", "frozen"}
    assert won["test"]["profit_per_1000"] > max(line["profit_per_1000"] for line in trained.table["test_baselines"])


def test_the_time_ordered_split_ranks_better_than_chance(trained: Training) -> None:
    assert trained.split.kind == "time"
    assert trained.metrics["roc_auc"] > 0.6
    assert trained.metrics["lift_at_30"] > 1.2


def test_an_earlier_success_never_lowers_the_mean_score(trained: Training, data: SnapshotData) -> None:
    table = data.table.take(np.arange(0, len(data.table), 20))
    values = getattr(TERM_DEPOSIT.feature("poutcome"), "values", ())
    means = {}
    for outcome in ("failure", "success"):
        same = np.full(len(table), values.index(outcome), dtype=np.int16)
        means[outcome] = trained.model.score(replace(table, columns={**table.columns, "poutcome": same})).mean()
    assert means["success"] >= means["failure"]


def test_neither_the_customer_s_id_nor_the_order_of_rows_changes_a_score(trained: Training, data: SnapshotData) -> None:
    table = data.table.take(np.arange(0, len(data.table), 20))
    scores = trained.model.score(table)
    order = np.random.default_rng(1).permutation(len(table))
    assert trained.model.score(table.take(order)).tobytes() == scores[order].tobytes()
    renamed = replace(table, ids=tuple(f"x{at}" for at in range(len(table))))
    assert trained.model.score(renamed).tobytes() == scores.tobytes()
    alone = np.concatenate([trained.model.score(table.take(np.array([at]))) for at in range(0, len(table), 10)])
    assert alone.tobytes() == scores[::10].tobytes()


@pytest.fixture
def leaking(tmp_path: Path) -> tuple[Campaign, SnapshotData]:
    declared = replace(TERM_DEPOSIT, features=(*TERM_DEPOSIT.features, Numeric("duration", 0, 10_000, "seconds")), excluded=(), recipe=None)
    assert declared.leak_guard is not None
    return declared, read(declared, tmp_path)


def test_the_leak_guard_fires_when_the_duration_of_the_call_sneaks_in(leaking: tuple[Campaign, SnapshotData]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # A leak shows at once; the full number of seeds would only take longer.
        patch.setattr("propensity.training.SEEDS", (42,))
        patch.setattr("propensity.training.MAX_ROUNDS", 100)
        with pytest.raises(LeakSuspected):
            train(*leaking)
