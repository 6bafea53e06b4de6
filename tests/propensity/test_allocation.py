"""The optimum under limits, against every possible choice of short lists."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from propensity.allocation import best_by_group, best_calls, best_within_budget, recall_rows

CASES = 10_000


def every_choice(n: int) -> np.ndarray:
    return np.array(list(itertools.product((False, True), repeat=n)), dtype=np.bool_).reshape(2**n, n)


CHOICES = {n: every_choice(n) for n in range(9)}


def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
    n = int(rng.integers(0, 9))
    # Few different values, so that ties are common; some rows gain nothing, some cost nothing, some never fit.
    gain = rng.choice([rng.normal(2, 3, n), rng.integers(-3, 9, n).astype(float)])
    cost = rng.choice([rng.integers(0, 12, n), np.full(n, rng.integers(1, 6))])
    return gain, cost.astype(np.int64), int(rng.integers(0, 40))


def test_the_budget_is_spent_best_in_ten_thousand_small_cases() -> None:
    rng = np.random.default_rng(5)
    for _ in range(CASES):
        gain, cost, budget = draw(rng)
        every = CHOICES[len(gain)]
        best = (every @ gain)[every @ cost <= budget].max()
        found = best_within_budget(gain, cost, budget)
        assert cost[found.chosen].sum() <= budget
        assert found.gain == pytest.approx(gain[found.chosen].sum())
        assert found.gain == pytest.approx(best, abs=1e-9)
        assert found.gap == 0


def test_more_money_never_gains_less() -> None:
    rng = np.random.default_rng(6)
    for _ in range(100):
        gain, cost = rng.random(60), rng.integers(1, 500, 60)
        gains = [best_within_budget(gain, cost, budget).gain for budget in range(0, 4_000, 400)]
        assert gains == sorted(gains)


def test_a_long_list_is_solved_exactly_and_within_the_budget() -> None:
    rng = np.random.default_rng(7)
    gain, cost = rng.normal(5, 20, 200_000), rng.integers(100, 5_000, 200_000)
    found = best_within_budget(gain, cost, 20_000_000)
    assert cost[found.chosen].sum() <= 20_000_000
    assert found.gap == 0


def test_where_the_search_is_cut_short_the_gap_covers_what_is_missed() -> None:
    rng = np.random.default_rng(8)
    # Gain and cost that go together are the hard case.
    cost = rng.integers(1_000, 2_000, 40)
    gain = cost / 100 + 1.0
    budget = int(cost.sum() // 2)
    exact = best_within_budget(gain, cost, budget)
    cut = best_within_budget(gain, cost, budget, most_states=3)
    assert exact.gap == 0
    assert cost[cut.chosen].sum() <= budget
    assert cut.gain <= exact.gain <= cut.gain + cut.gap + 1e-9


def test_capacities_are_used_best() -> None:
    rng = np.random.default_rng(9)
    for _ in range(500):
        gain, _, _ = draw(rng)
        n = len(gain)
        group, capacity, most = rng.integers(0, 3, n), rng.integers(0, 4, 3), int(rng.integers(0, 8))
        every = CHOICES[n]
        fits = (every.sum(axis=1) <= most) & np.all([every[:, group == g].sum(axis=1) <= capacity[g] for g in range(3)], axis=0)
        found = best_by_group(gain, group, capacity, most)
        assert found.sum() <= most
        assert all(found[group == g].sum() <= capacity[g] for g in range(3))
        assert gain[found].sum() == pytest.approx((every @ gain)[fits].max())


def test_recall_is_reached_by_as_few_as_can_be() -> None:
    rng = np.random.default_rng(10)
    for _ in range(500):
        scores, target = rng.random(int(rng.integers(1, 9))), float(rng.choice([0, 0.3, 0.9, 1.0, rng.random()]))
        every = CHOICES[len(scores)]
        enough = every @ scores >= target * scores.sum() - 1e-12
        assert recall_rows(np.sort(scores)[::-1], target) == every.sum(axis=1)[enough].min()
    assert recall_rows(np.array([]), 0.5) == 0


def test_calls_go_to_the_first_of_equal_rows_and_to_none_without_gain() -> None:
    assert best_calls(np.array([1.0, 2.0, 1.0, 0.0, -1.0]), 2).tolist() == [True, True, False, False, False]
    assert best_calls(np.array([1.0, 0.0]), 5).tolist() == [True, False]
    assert not best_calls(np.array([1.0]), 0).any()
