from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from propensity.campaign import Economics
from propensity.metrics import capture, deciles, evaluate, expected_calibration_error, lift, profit, top_rows

ECONOMICS = Economics(contact_cost=Decimal("5"), conversion_value=Decimal("20"), currency="EUR")
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.3, 0.25, 0.2, 0.1, 0.05, 0.0])
POSITIVE = np.array([1, 1, 0, 1, 0, 1, 0, 0, 0, 0], dtype=bool)


def test_figures_worked_out_by_hand() -> None:
    figures = evaluate(SCORES, POSITIVE, ECONOMICS)
    # Contacted from the break-even score 0.25 on: six, of whom four are positive.
    assert (figures["true_positives"], figures["false_positives"], figures["false_negatives"], figures["true_negatives"]) == (4, 2, 0, 4)
    assert figures["precision"] == pytest.approx(4 / 6)
    assert figures["recall"] == 1.0
    assert figures["f1"] == pytest.approx(0.8)
    assert figures["profit_per_1000"] == pytest.approx(1000 * (4 * 20 - 6 * 5) / 10)
    assert figures["profit_per_1000_everyone"] == pytest.approx(1000 * (4 * 20 - 10 * 5) / 10)
    assert figures["lift_at_10"] == pytest.approx(1 / 0.4)
    assert figures["lift_at_30"] == pytest.approx((2 / 3) / 0.4)
    assert figures["capture_at_30"] == pytest.approx(2 / 4)
    assert figures["brier"] == pytest.approx(np.mean((SCORES - POSITIVE) ** 2))
    # 21 of the 24 pairs of a positive and a negative stand in the right order.
    assert figures["roc_auc"] == pytest.approx(21 / 24)
    assert (figures["rows"], figures["positive_rate"]) == (10.0, 0.4)


@pytest.mark.parametrize("seed", range(5))
def test_figures_agree_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.round(rng.random(500), 2)  # rounded, so that scores tie
    positive = rng.random(500) < scores
    contact = scores >= ECONOMICS.break_even
    figures = evaluate(scores, positive, ECONOMICS)
    assert figures["roc_auc"] == pytest.approx(sk.roc_auc_score(positive, scores))
    assert figures["pr_auc"] == pytest.approx(sk.average_precision_score(positive, scores))
    assert figures["brier"] == pytest.approx(sk.brier_score_loss(positive, scores))
    assert figures["precision"] == pytest.approx(sk.precision_score(positive, contact))
    assert figures["recall"] == pytest.approx(sk.recall_score(positive, contact))
    assert figures["f1"] == pytest.approx(sk.f1_score(positive, contact))
    assert np.isfinite(figures["log_loss"])


@pytest.mark.parametrize("label", [False, True])
def test_a_single_class_gives_nan_only_where_a_ranking_has_no_meaning(label: bool) -> None:
    figures = evaluate(SCORES, np.full(10, label), ECONOMICS)
    assert {name for name, value in figures.items() if np.isnan(value)} == {"roc_auc", "pr_auc"}


def test_one_row_can_be_evaluated() -> None:
    figures = evaluate(np.array([1.0]), np.array([True]), ECONOMICS)
    assert figures["recall"] == 1.0
    assert figures["ece"] == 0.0


def test_every_figure_is_a_plain_float() -> None:
    assert {type(value) for value in evaluate(SCORES, POSITIVE, ECONOMICS).values()} == {float}


def test_the_calibration_error_by_hand() -> None:
    scores = np.array([0.05, 0.15, 0.15, 0.95, 1.0])
    positive = np.array([False, True, False, True, True])
    # Bins: 0.05 against 0 (one row); 0.15 against 0.5 (two); 0.975 against 1 (two).
    assert expected_calibration_error(scores, positive) == pytest.approx((0.05 + 2 * 0.35 + 2 * 0.025) / 5)


def test_perfect_calibration_has_no_error() -> None:
    assert expected_calibration_error(np.full(10, 0.3), np.arange(10) < 3) == pytest.approx(0.0)
    assert expected_calibration_error(np.array([0.0, 1.0]), np.array([False, True])) == 0.0


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50), st.integers(1, 20))
def test_the_calibration_error_lies_between_0_and_1(rows: list[tuple[float, bool]], bins: int) -> None:
    scores, positive = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    assert 0 <= expected_calibration_error(scores, positive, bins) <= 1 + 1e-12


def test_the_best_rows_keep_their_order_where_scores_tie() -> None:
    assert top_rows(np.array([0.5, 0.9, 0.5, 0.5]), 0.75).tolist() == [1, 0, 2]
    assert top_rows(np.array([0.5, 0.9]), 0.0).tolist() == []
    assert len(top_rows(np.zeros(10), 0.3)) == 3


@pytest.mark.parametrize("positive", [np.zeros(10, dtype=bool), np.ones(10, dtype=bool)])
def test_capture_and_lift_of_a_single_class_are_numbers(positive: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
    share = 0.3 if positive.any() else 0.0
    assert capture(SCORES, positive, 0.3) == pytest.approx(share)
    assert lift(SCORES, positive, 0.3) == pytest.approx(1.0 if positive.any() else 0.0)


def test_too_few_rows_for_a_share_have_no_lift() -> None:
    assert lift(np.array([0.9]), np.array([True]), 0.1) == 0.0


def test_profit_counts_conversions_and_every_contact() -> None:
    assert profit(POSITIVE, np.zeros(10, dtype=bool), ECONOMICS) == 0.0
    assert profit(POSITIVE, POSITIVE, ECONOMICS) == 4 * 15.0
    assert profit(POSITIVE, ~POSITIVE, ECONOMICS) == -6 * 5.0


@pytest.mark.parametrize("n", [1, 9, 10, 11, 237])
def test_deciles_hold_every_row_once_and_go_from_best_to_worst(n: int) -> None:
    rng = np.random.default_rng(n)
    scores, positive = rng.random(n), rng.random(n) < 0.3
    groups = deciles(scores, positive)
    assert sum(group["rows"] for group in groups) == n
    assert sum(group["positives"] for group in groups) == positive.sum()
    assert len(groups) == min(10, n)
    means = [group["mean_score"] for group in groups]
    assert means == sorted(means, reverse=True)
    assert max(group["rows"] for group in groups) - min(group["rows"] for group in groups) <= 1
