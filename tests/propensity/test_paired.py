from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from propensity.paired import Precision, always_radius, auc_gain, mean_gain, midranks, rows_needed

PRECISION = Precision(confidence=0.95, smallest=0.01, min_rows=100)


def brute_auc(scores: np.ndarray, positive: np.ndarray) -> float:
    above = scores[positive][:, None] - scores[~positive][None, :]
    return float((above > 0).mean() + 0.5 * (above == 0).mean())


def correlated(n: int, seed: int, lead: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and two scores that share most of their noise; ``lead`` is how much more the second knows."""
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.3
    shared = rng.normal(size=n) + 0.8 * positive
    return positive, shared + 0.5 * rng.normal(size=n), shared + lead * positive + 0.5 * rng.normal(size=n)


def test_midranks_are_those_of_scipy() -> None:
    values = np.random.default_rng(0).integers(0, 8, 100).astype(float)
    assert np.array_equal(midranks(values), stats.rankdata(values))


def test_delong_by_definition_with_ties() -> None:
    """Areas and variance against the sums of the paper, written out."""
    positive, one, two = correlated(120, 1)
    one, two = np.round(one, 1), np.round(two, 1)
    found = auc_gain(one, two, positive, PRECISION)
    assert found.champion == pytest.approx(brute_auc(one, positive))
    assert found.challenger == pytest.approx(brute_auc(two, positive))

    def psi(scores: np.ndarray) -> np.ndarray:
        above = scores[positive][:, None] - scores[~positive][None, :]
        return np.asarray((above > 0) + 0.5 * (above == 0))

    s10 = np.cov(psi(one).mean(axis=1), psi(two).mean(axis=1))
    s01 = np.cov(psi(one).mean(axis=0), psi(two).mean(axis=0))
    s = s10 / positive.sum() + s01 / (~positive).sum()
    assert found.standard_error == pytest.approx(np.sqrt(s[0, 0] + s[1, 1] - 2 * s[0, 1]))


def test_delong_keeps_its_level_and_sees_a_better_model() -> None:
    level = [auc_gain(one, two, y, PRECISION).p_value < 0.05 for y, one, two in (correlated(400, seed) for seed in range(400))]
    assert 0.02 < np.mean(level) < 0.085
    power = [auc_gain(one, two, y, PRECISION).low > 0 for y, one, two in (correlated(1500, seed, lead=0.35) for seed in range(50))]
    assert np.mean(power) > 0.9


def test_one_stratum_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    one, two = rng.normal(size=800), rng.normal(0.1, 1, size=800)
    found = mean_gain(one, two, np.zeros(800, np.int64), (5_000,), PRECISION)
    expected = stats.ttest_rel(two, one)
    assert found.gain == pytest.approx(two.mean() - one.mean())
    assert found.gain / found.standard_error == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.05)


def test_strata_stand_for_as_many_as_were_predicted() -> None:
    """A tenth of the one stratum and all of the other have an outcome: the mean is that of everybody."""
    rng = np.random.default_rng(3)
    truth = np.concatenate([np.full(900, 1.0), np.full(100, -2.0)]) + rng.normal(0, 0.01, 1000)
    seen = np.concatenate([rng.choice(900, 90, replace=False), np.arange(900, 1000)])
    stratum = (seen >= 900).astype(np.int64)
    found = mean_gain(np.zeros(190), truth[seen], stratum, (900, 100), PRECISION)
    assert found.gain == pytest.approx(0.7, abs=0.01)
    assert truth[seen].mean() < 0


def test_looking_daily_is_paid_for() -> None:
    """A hundred looks at two equal models: the interval for one look errs far too often, the other one hardly ever."""
    looks = np.arange(200, 6_001, 58)
    once = always = 0
    for seed in range(200):
        difference = np.random.default_rng(seed).normal(size=6_000)
        mean = np.cumsum(difference)[looks - 1] / looks
        spread = np.sqrt(np.cumsum(difference**2)[looks - 1] / looks - mean**2)
        once += bool((abs(mean) > 1.96 * spread / np.sqrt(looks)).any())
        always += bool((abs(mean) > spread * [always_radius(int(n), 0.05, 2_000) for n in looks]).any())
    assert once / 200 > 0.15
    assert always / 200 <= 0.05


def test_rows_needed_are_enough_and_one_less_is_not() -> None:
    needed = rows_needed(1.0, 0.05, 0.05, 100)
    assert needed is not None
    assert always_radius(needed, 0.05, 400) <= 0.05 < always_radius(needed - 1, 0.05, 400)
    assert rows_needed(1.0, 1.0, 0.05, 500) == 500
    assert rows_needed(float("inf"), 0.1, 0.05, 500) is None
    assert rows_needed(1.0, 0.0, 0.05, 500) is None


def test_too_few_rows_are_no_figure() -> None:
    none = np.empty(0)
    for found in (
        mean_gain(none, none, none.astype(np.int64), (0, 10), PRECISION),
        auc_gain(none, none, none.astype(bool), PRECISION),
        auc_gain(np.ones(5), np.ones(5), np.ones(5, bool), PRECISION),
    ):
        assert np.isnan(found.gain)
        assert not found.low > 0
        assert not found.always_high < 0
        assert found.as_json()["gain"] is None


def test_a_model_against_itself_differs_by_nothing() -> None:
    y, one, _ = correlated(300, 4)
    for found in (auc_gain(one, one, y, PRECISION), mean_gain(one, one, np.zeros(300, np.int64), (300,), PRECISION)):
        assert (found.gain, found.standard_error, found.p_value) == (0.0, 0.0, 1.0)
