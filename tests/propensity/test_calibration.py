from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import propensity
from propensity.calibration import Calibration, fit_calibration

IDENTITY = Calibration()


@pytest.mark.parametrize("log_odds", [-30.0, -2.5, -1e-9, 0.0, 0.3, 1.0, 17.0, 36.0])
def test_the_probability_is_the_logistic_function(log_odds: float) -> None:
    assert IDENTITY.probability(np.array([log_odds]))[0] == pytest.approx(1 / (1 + math.exp(-log_odds)), rel=4e-16)


@pytest.mark.parametrize(("margin", "expected"), [(1e30, 1.0), (np.inf, 1.0), (-1e30, 0.0), (-np.inf, 0.0)])
def test_extreme_margins_give_zero_or_one_without_a_warning(margin: float, expected: float) -> None:
    assert IDENTITY.probability(np.array([margin], dtype=np.float32))[0] == pytest.approx(expected, abs=1e-300)


@given(st.lists(st.floats(-750, 750, width=32), min_size=1, max_size=40))
def test_probabilities_lie_in_0_to_1_and_keep_the_order(margins: list[float]) -> None:
    sent = np.sort(np.array(margins, dtype=np.float32))
    found = Calibration(1.3, -0.2).probability(sent)
    assert found.dtype == np.float64
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) >= 0).all()


@given(st.lists(st.floats(-80, 80, width=32), min_size=1, max_size=70))
def test_a_probability_has_the_same_bits_alone_and_in_any_list(margins: list[float]) -> None:
    sent = np.array(margins, dtype=np.float32)
    calibration = Calibration(0.93, 0.07)
    alone = np.concatenate([calibration.probability(sent[at : at + 1]) for at in range(len(sent))])
    assert calibration.probability(sent).tobytes() == alone.tobytes()
    assert calibration.probability(np.repeat(sent, 2)[::2]).tobytes() == alone.tobytes()


@given(st.floats(allow_nan=False, width=32), st.floats(0.01, 5), st.floats(-5, 5))
def test_one_margin_has_the_bits_of_a_list(margin: float, slope: float, offset: float) -> None:
    calibration = Calibration(slope, offset)
    assert (
        calibration.probability(np.array([margin], np.float32)).tobytes()
        == calibration.probability(np.array([margin] * 2, np.float32))[:1].tobytes()
    )


PRINT_BITS = """
import hashlib
import numpy as np
from propensity.calibration import Calibration
margins = np.random.default_rng(0).normal(0, 3, 50_000).astype(np.float32)
print(hashlib.sha256(Calibration(1.1, -0.3).probability(margins).tobytes()).hexdigest())
"""


def test_a_probability_has_the_same_bits_on_a_processor_without_wide_vectors() -> None:
    root = Path(propensity.__file__).parents[1]
    features = np._core._multiarray_umath.__cpu_dispatch__  # type: ignore[attr-defined]
    found = {
        subprocess.run([sys.executable, "-W", "ignore", "-c", PRINT_BITS], env=environment, check=True, capture_output=True).stdout
        for disabled in ("", " ".join(features))
        for environment in [{**os.environ, "PYTHONPATH": str(root), "NPY_DISABLE_CPU_FEATURES": disabled}]
    }
    assert len(found) == 1


def test_calibration_mends_margins_that_are_too_bold() -> None:
    rng = np.random.default_rng(3)
    log_odds = rng.normal(-1, 1, 20_000)
    positive = rng.random(20_000) < 1 / (1 + np.exp(-log_odds))
    fitted = fit_calibration(2.5 * log_odds + 1, positive)
    assert fitted.slope == pytest.approx(1 / 2.5, rel=0.05)
    assert fitted.offset == pytest.approx(-1 / 2.5, abs=0.05)
    assert fitted.probability(2.5 * log_odds + 1).mean() == pytest.approx(positive.mean(), abs=1e-4)


def test_margins_that_rank_the_wrong_way_are_left_as_they_are() -> None:
    margin = np.linspace(-3, 3, 200)
    assert fit_calibration(margin, margin < 0.5) == Calibration()
    assert fit_calibration(np.zeros(200), margin < 0.5) == Calibration()


def test_log_odds_are_linear_in_the_margin() -> None:
    assert Calibration(2.0, -1.0).log_odds(np.array([0.5, 1.0], dtype=np.float32)).tolist() == [0.0, 1.0]
