"""Candidates side by side: what is declared, what wins, what the table says, and that whatever wins is served to the bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from propensity import training
from propensity.candidate_figures import COLUMNS, Held, as_rows, best_f1, calibration_slope, log_loss_at_best_level, trailing_rate, winner
from propensity.errors import CampaignError
from propensity.figures import training_figures
from propensity.model import open_package
from propensity.snapshot import SnapshotData
from propensity.training import Training
from propensity.training_report import report_html
from propensity.zoo import FULL, QUICK, Zoo, zoo_problems
from tests.builders import tiny_campaign, tiny_snapshot, train_fast


def small(data: SnapshotData, *candidates: str, search_trials: int = 0) -> Training:
    """A training of these candidates with few and small trees."""
    with pytest.MonkeyPatch.context() as patch:
        forest = {**training.OTHER_PARAMS["random-forest"], "num_parallel_tree": 12, "max_depth": 4}
        neural = {"hidden_layer_sizes": (4,), "max_iter": 200, "n_iter_no_change": 2, "batch_size": 50}
        patch.setattr(training, "OTHER_PARAMS", {**training.OTHER_PARAMS, "random-forest": forest, "neural": neural})
        return train_fast(data, tiny_campaign(zoo=Zoo(candidates=candidates, search_trials=search_trials)), rounds=15)


@pytest.fixture(scope="module")
def data() -> SnapshotData:
    return tiny_snapshot(900)


@pytest.fixture(scope="module")
def everything(data: SnapshotData) -> Training:
    return small(data, *FULL)


SERVABLE = ("logistic", "random-forest", "lightgbm", "average", "xgboost+smote", "logistic+weights")


@pytest.mark.parametrize("candidate", SERVABLE)
def test_whatever_can_win_is_packaged_and_scores_as_it_was_judged(data: SnapshotData, candidate: str) -> None:
    found = small(data, candidate)
    manifest = found.model.manifest
    opened = open_package(found.model.campaign, manifest.to_bytes(), found.model.model_json, found.model.digest)
    held = data.table.take(found.split.test)
    assert opened.score(held).tobytes() == found.test_scores.tobytes()
    assert found.table["candidates"][0]["test"]["roc_auc"] == found.metrics["roc_auc"]
    np.testing.assert_allclose(opened.contributions(held).sum(axis=1), opened.log_odds(opened.encode(held)), atol=1e-5)
    assert manifest.params["candidate"] == candidate
    assert manifest.format == (1 if candidate == "xgboost+smote" else 2)
    assert found.metrics["roc_auc"] > 0.65


def test_the_table_holds_every_candidate_and_the_baselines_on_both_splits(everything: Training) -> None:
    table = everything.table
    assert [line["candidate"] for line in table["candidates"]] == list(FULL)
    assert sum(line["won"] for line in table["candidates"]) == 1
    for line in table["candidates"]:
        assert set(line["test"]) == set(line["random"]) == set(COLUMNS)
        assert line["fit_s"] >= 0
        assert line["size_bytes"] > 0
        assert line["us_per_row"] > 0
        assert set(line["calibration_log_loss"]) == {"none", "prior-shift", "sigmoid", "beta", "isotonic"}
    assert [line["baseline"].partition(":")[0] for line in table["test_baselines"]] == ["call everyone", "trailing rate", "frozen"]
    rows = as_rows(table)
    assert len(rows["data"]) == 2 * len(FULL) + 3 + 1
    assert all(len(line) == len(rows["columns"]) for line in rows["data"])


def test_the_winner_has_the_smallest_criterion_of_those_that_can_be_served(everything: Training) -> None:
    lines = {line["candidate"]: line for line in everything.table["candidates"]}
    assert not lines["neural"]["servable"]
    assert lines["neural"]["cannot_win"].startswith("not servable: ")
    best = min((line for line in lines.values() if line["servable"]), key=lambda line: float(line["criterion"]))
    assert everything.table["winner"] == best["candidate"] == everything.model.manifest.params["candidate"]
    # Drawn from a straight line: trees cannot know more.
    assert best["candidate"] in ("logistic", "average")


def test_test_rows_choose_nothing(data: SnapshotData) -> None:
    found = small(data, *QUICK)
    turned = small(replace(data, label=data.label ^ found.split.test), *QUICK)
    assert turned.table["winner"] == found.table["winner"]
    assert turned.model.manifest.slope == found.model.manifest.slope
    assert turned.model.manifest.linear == found.model.manifest.linear
    assert [line["criterion"] for line in turned.table["candidates"]] == [line["criterion"] for line in found.table["candidates"]]


def test_the_same_training_gives_the_same_package(data: SnapshotData) -> None:
    assert small(data, *QUICK).model.digest == small(data, *QUICK).model.digest


def test_a_search_finds_nothing_worse_and_the_same_twice(data: SnapshotData) -> None:
    found, again = (small(data, "xgboost", search_trials=7) for _ in range(2))
    searched = found.table["searches"]["xgboost"]
    assert searched["trials"] == 7
    assert searched["log_loss"] <= searched["log_loss_before"]
    assert searched["params"] == again.table["searches"]["xgboost"]["params"]
    assert found.model.digest == again.model.digest
    assert all(found.model.manifest.params[name] == value for name, value in searched["params"].items())


def test_the_page_names_winner_splits_baselines_and_why_a_candidate_cannot_win(everything: Training) -> None:
    page = report_html("Training <1>", everything.table, training_figures(everything))
    for text in (*FULL, everything.table["test_split"], everything.table["random_split"], "call everyone", "frozen", "trailing rate"):
        assert text in page
    assert "not servable" in page
    assert "Training &lt;1&gt;" in page
    assert page.count("data:image/png;base64,") == 7
    assert "http" not in page


@pytest.mark.parametrize(
    ("zoo", "word"),
    [
        (Zoo(candidates=()), "no candidate"),
        (Zoo(candidates=("xgboost", "xgboost")), "twice"),
        (Zoo(candidates=("catboost",)), "catboost"),
        (Zoo(candidates=("xgboost+luck",)), "luck"),
        (Zoo(candidates=("xgboost+",)), "treatment"),
        (Zoo(candidates=("neural+smote",)), "neural"),
        (Zoo(candidates=("neural",)), "cannot be served"),
        (Zoo(search_trials=-1), "search_trials"),
        (Zoo(search_trials=100_000), "search_trials"),
    ],
)
def test_a_zoo_that_cannot_be_is_refused_with_a_sentence(zoo: Zoo, word: str) -> None:
    assert any(word in problem for problem in zoo_problems(zoo))
    with pytest.raises(CampaignError, match=word.replace("+", r"\+")):
        tiny_campaign(zoo=zoo)


def test_the_sets_are_sound() -> None:
    for candidates in (QUICK, FULL):
        assert not list(zoo_problems(Zoo(candidates=candidates)))


def test_of_equals_the_first_declared_wins_and_what_cannot_be_served_never() -> None:
    class Entrant:
        def __init__(self, candidate: str, booster_json: bytes | None) -> None:
            self.candidate, self.booster_json = candidate, booster_json

    entrants: Any = [Entrant("a", None), Entrant("b", b""), Entrant("c", b"")]
    held = {"a": Held(0.1, None), "b": Held(0.3, 0.1), "c": Held(0.2, None)}
    assert winner(entrants, held).candidate == "b"
    with pytest.raises(ValueError, match="no candidate"):
        winner(entrants[:1], held)


def test_figures_of_the_table() -> None:
    labels = np.array([True, False, True, False])
    assert best_f1(np.array([0.9, 0.8, 0.7, 0.1]), labels) == pytest.approx(0.8)
    assert best_f1(np.ones(4), labels) == pytest.approx(2 / 3)
    rng = np.random.default_rng(0)
    log_odds = rng.normal(-1, 1, 20_000)
    drawn = rng.random(20_000) < 1 / (1 + np.exp(-log_odds))
    assert calibration_slope(1 / (1 + np.exp(-2 * log_odds)), drawn) == pytest.approx(0.5, rel=0.05)
    assert np.isnan(calibration_slope(np.ones(3) / 2, np.ones(3, dtype=bool)))
    shifted = 1 / (1 + np.exp(-log_odds - 2))
    assert log_loss_at_best_level(shifted, drawn) == pytest.approx(log_loss_at_best_level(1 / (1 + np.exp(-log_odds)), drawn))


def test_the_trailing_rate_knows_only_the_months_before() -> None:
    months = np.repeat(np.array(["2024-01", "2024-02", "2024-03"], dtype="datetime64[M]"), 10)
    labels = np.arange(30) % 10 < np.repeat([2, 5, 10], 10)
    test = months >= np.datetime64("2024-02")
    assert trailing_rate(months, labels, test).tolist() == [0.2] * 10 + [0.35] * 10
