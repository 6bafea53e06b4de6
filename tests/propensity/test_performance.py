from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from propensity.campaigns import campaign
from propensity.performance import realised
from propensity.ports import LabelledPrediction

CAMPAIGN = campaign("term-deposit")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def predictions(scores: list[float], labels: list[bool]) -> list[LabelledPrediction]:
    return [LabelledPrediction(f"p{at}", NOON, "d", s, s > 0.2, y) for at, (s, y) in enumerate(zip(scores, labels, strict=True))]


def drawn(n: int, *, upside_down: bool = False) -> list[LabelledPrediction]:
    rng = np.random.default_rng(0)
    scores = rng.random(n)
    return predictions((1 - scores if upside_down else scores).tolist(), (rng.random(n) < scores).tolist())


def test_without_outcomes_there_is_no_data() -> None:
    found = realised(CAMPAIGN, [], 500)
    assert (found.verdict, found.labelled, found.predicted, found.coverage) == ("no_data", 0, 500, 0.0)
    assert {m.metric for m in found.metrics} == {"predicted", "labelled", "coverage"}


def test_good_scores_are_measured_and_stable() -> None:
    found = realised(CAMPAIGN, drawn(2_000), 4_000)
    values = {m.metric: m.value for m in found.metrics}
    assert found.verdict == "stable"
    assert found.coverage == values["coverage"] == 0.5
    assert values["roc_auc"] == pytest.approx(0.83, abs=0.03)
    assert values["calibration_gap"] < 0.03


def test_scores_below_a_gate_are_a_warning_that_names_the_bound() -> None:
    found = realised(CAMPAIGN, drawn(2_000, upside_down=True), 2_000)
    assert found.verdict == "warning"
    [auc] = [m for m in found.metrics if m.metric == "roc_auc"]
    assert (auc.verdict, auc.warn) == ("warning", 0.6)


def test_a_handful_of_outcomes_condemns_nobody() -> None:
    assert realised(CAMPAIGN, drawn(20, upside_down=True), 20).verdict == "stable"


def test_one_class_alone_gives_the_figures_that_it_can_give() -> None:
    found = realised(CAMPAIGN, predictions([0.1, 0.4], [False, False]), 2)
    names = {m.metric for m in found.metrics}
    assert "roc_auc" not in names
    assert {"brier", "positive_rate", "profit_per_1000"} <= names
