from __future__ import annotations

import numpy as np
import pytest

from propensity.calibration import Calibration, fit_calibration
from propensity.calibrators import COMPARED, SERVABLE, choose_calibration, fit

RNG = np.random.default_rng(7)
LOG_ODDS = RNG.normal(-1.5, 1.2, 3_000)
POSITIVE = RNG.random(3_000) < 1 / (1 + np.exp(-LOG_ODDS))
RATE = float(POSITIVE.mean())


def test_margins_that_are_right_are_hardly_changed() -> None:
    choice = choose_calibration(LOG_ODDS, POSITIVE, RATE)
    assert choice.log_loss["none"] == pytest.approx(min(choice.log_loss[name] for name in SERVABLE), abs=2e-3)
    assert choice.calibration.slope == pytest.approx(1.0, abs=0.1)
    assert set(choice.log_loss) == set(COMPARED)


def test_another_rate_at_training_is_shifted_back() -> None:
    fitted_rate = 1 / (1 + np.exp(-(np.log(RATE / (1 - RATE)) + 2.0)))
    choice = choose_calibration(LOG_ODDS + 2.0, POSITIVE, fitted_rate)
    assert choice.log_loss["prior-shift"] == pytest.approx(choose_calibration(LOG_ODDS, POSITIVE, RATE).log_loss["none"], abs=1e-4)
    assert choice.log_loss["none"] > choice.log_loss["prior-shift"] + 0.2
    assert fit("prior-shift", LOG_ODDS, POSITIVE, fitted_rate)(np.array([2.0])) == pytest.approx(0.5)


def test_of_equals_the_simplest_is_chosen() -> None:
    # As many of either label at each margin, so that nothing can be learned.
    margin, positive = np.zeros(400), np.arange(400) % 2 == 0
    assert choose_calibration(margin, positive, 0.5).name == "none"


def test_margins_that_are_too_bold_get_a_slope() -> None:
    choice = choose_calibration(3 * LOG_ODDS, POSITIVE, RATE)
    assert choice.name == "sigmoid"
    assert choice.calibration.slope == pytest.approx(1 / 3, rel=0.15)
    assert choice.log_loss["sigmoid"] < choice.log_loss["none"]


def test_beta_and_isotonic_mend_what_no_slope_mends_but_are_not_chosen() -> None:
    log_odds = RNG.normal(-1.5, 1.2, 20_000)
    positive = RNG.random(20_000) < 1 / (1 + np.exp(-log_odds))
    bent = np.where(log_odds > -1.5, log_odds, 6 * log_odds + 7.5)
    choice = choose_calibration(bent, positive, float(positive.mean()))
    assert choice.log_loss["isotonic"] < choice.log_loss["sigmoid"]
    assert choice.log_loss["beta"] < choice.log_loss["sigmoid"]
    assert choice.name in SERVABLE


@pytest.mark.parametrize("name", COMPARED)
def test_every_calibration_keeps_the_order_and_gives_probabilities(name: str) -> None:
    apply = fit(name, LOG_ODDS, POSITIVE, RATE)
    found = apply(np.linspace(-6, 4, 50))
    assert (np.diff(found) >= 0).all()
    assert ((found >= 0) & (found <= 1)).all()


def test_the_fit_is_the_maximum_of_the_likelihood() -> None:
    from sklearn.linear_model import LogisticRegression

    weights = RNG.uniform(0.5, 2, 3_000)
    known = LogisticRegression(C=1e9, tol=1e-10, max_iter=1_000).fit(LOG_ODDS.reshape(-1, 1), POSITIVE, sample_weight=weights)
    found = fit_calibration(LOG_ODDS, POSITIVE, weights)
    assert (found.slope, found.offset) == pytest.approx((known.coef_[0, 0], known.intercept_[0]), abs=1e-5)


def test_rows_that_a_threshold_separates_get_a_steep_slope_and_no_endless_search() -> None:
    margin = np.linspace(-1, 1, 100)
    found = fit_calibration(margin, margin > 0)
    assert found.slope > 10
    assert np.isfinite([found.slope, found.offset]).all()
    assert fit_calibration(np.ones(100), margin > 0) == Calibration()
