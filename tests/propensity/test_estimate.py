from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from propensity.campaign import Economics
from propensity.estimate import ScoreSums, estimated
from propensity.metrics import evaluate
from propensity.ports import MonitorMetric

ECONOMICS = Economics(contact_cost=Decimal(40), conversion_value=Decimal(200), currency="EUR")


def known(scores: np.ndarray, parts: int = 3) -> dict[str, MonitorMetric]:
    sums = ScoreSums()
    for part in np.array_split(scores, parts):
        sums.add(part, part >= ECONOMICS.break_even)
    return {metric.metric: metric for metric in estimated(sums, ECONOMICS)}


def test_figures_of_calibrated_scores_are_those_that_outcomes_show() -> None:
    rng = np.random.default_rng(1)
    scores = rng.beta(1.2, 8, 40_000)
    told = known(scores)
    assert set(told) == {f"estimated_{name}" for name in ("positive_rate", "precision", "recall", "profit_per_1000", "roc_auc", "pr_auc")}
    inside = dict.fromkeys(told, 0)
    for _ in range(40):
        real = evaluate(scores, rng.random(len(scores)) < scores, ECONOMICS)
        for name, metric in told.items():
            value = real[name.removeprefix("estimated_")]
            if name == "estimated_pr_auc":
                assert metric.value == pytest.approx(value, rel=0.08)
            if metric.low is not None and metric.high is not None:
                inside[name] += metric.low <= value <= metric.high
    # 95 % of samples lie in the interval; fewer than 32 of 40 would happen once in ten thousand.
    assert all(count >= 32 for name, count in inside.items() if name != "estimated_pr_auc")
    # An interval that holds everything would say nothing.
    precision = told["estimated_precision"]
    assert precision.high is not None
    assert precision.high - precision.value < 0.05 * precision.value


def test_scores_that_are_wrong_are_not_seen_by_an_estimate() -> None:
    """The stated assumption: where customers answer half as often as the scores say, the estimate still believes the scores."""
    scores = np.random.default_rng(2).beta(1.2, 8, 20_000)
    assert known(scores)["estimated_positive_rate"].value == pytest.approx(scores.mean())


def test_parts_add_up_to_the_whole() -> None:
    scores = np.random.default_rng(3).random(999)
    assert known(scores, 1)["estimated_roc_auc"].value == pytest.approx(known(scores, 7)["estimated_roc_auc"].value)


@pytest.mark.parametrize("scores", [np.empty(0), np.zeros(5)])
def test_what_cannot_be_estimated_is_left_out(scores: np.ndarray) -> None:
    assert "estimated_roc_auc" not in known(scores, 1)
