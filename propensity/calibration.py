"""From a model's margin (log-odds) to a probability that can be multiplied with money."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Platt scaling of the margin: log-odds = slope * margin + offset.

    It is linear in the margin, so that the contributions of the features still sum to the calibrated log-odds.
    Source: Platt, "Probabilistic outputs for support vector machines", 1999, equation 2.
    """

    slope: float = 1.0
    offset: float = 0.0

    def log_odds(self, margin: npt.NDArray[np.floating]) -> FloatArray:
        """Calibrated log-odds, float64."""
        return self.slope * margin.astype(np.float64) + self.offset

    def probability(self, margin: npt.NDArray[np.floating]) -> FloatArray:
        """Calibrated probability in [0, 1], float64, the same bits on every machine, for a row alone and in any list."""
        if margin.shape == (1,):
            return np.array([self._of_one(float(margin[0]))])
        # Beyond 700 the probability is 0 or 1 to all its digits, and exp would overflow.
        return 1.0 / (1.0 + _exp(np.clip(-self.log_odds(margin), -700.0, 700.0)))

    def _of_one(self, margin: float) -> float:
        """The same operations in the same order on one number: a twentieth of what twenty array operations cost."""
        log_odds = self.slope * margin + self.offset
        if math.isnan(log_odds):
            return math.nan
        return 1.0 / (1.0 + _exp_of_one(min(max(-log_odds, -700.0), 700.0)))


_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_EXP = (
    4.13813679705723846039e-08,
    -1.65339022054652515390e-06,
    6.61375632143793436117e-05,
    -2.77777777770155933842e-03,
    1.66666666666666019037e-01,
)


def _exp(x: FloatArray) -> FloatArray:
    """e to the x for abs(x) <= 700, by basic operations alone, error below 1 ulp.

    ``np.exp`` rounds differently with and without AVX-512, so that a model trained on one machine would miss its canary scores, and
    logged predictions theirs, on another. Source: Sun Microsystems, fdlibm, "e_exp.c", 1993: x = k ln 2 + r, then a rational
    approximation of e to the r.
    """
    k = np.rint(x * 1.44269504088896338700e00)
    high, low = x - k * _LN2_HIGH, k * _LN2_LOW
    r = high - low
    t = r * r
    p = np.full_like(t, _EXP[0])
    for coefficient in _EXP[1:]:
        p = p * t + coefficient
    c = r - t * p
    e: FloatArray = np.ldexp(1.0 - ((low - r * c / (2.0 - c)) - high), k.astype(np.int32))
    return e


def _exp_of_one(x: float) -> float:
    """`_exp` of one number, to the same bits: Python's floats and numpy's round each basic operation alike."""
    k = round(x * 1.44269504088896338700e00)
    high, low = x - k * _LN2_HIGH, k * _LN2_LOW
    r = high - low
    t = r * r
    p = _EXP[0]
    for coefficient in _EXP[1:]:
        p = p * t + coefficient
    c = r - t * p
    return math.ldexp(1.0 - ((low - r * c / (2.0 - c)) - high), k)


def fit_calibration(margin: FloatArray, positive: npt.NDArray[np.bool_], weights: FloatArray | None = None) -> Calibration:
    """Maximum-likelihood scaling on margins of rows that the model had not seen; ``weights``: what each row counts.

    A slope that is not positive would turn the ranking round: it means that the margins carry no signal here, and the identity is returned.
    """
    fitted = fit_logistic([margin], positive, weights)
    return Calibration(fitted[1], fitted[0]) if fitted[1] > 0 else Calibration()


def fit_logistic(columns: Sequence[FloatArray], positive: npt.NDArray[np.bool_], weights: FloatArray | None = None) -> list[float]:
    """Intercept and coefficients of a logistic regression on a few columns, by Newton's method, practically without penalty.

    No threads and no product of matrices: a calibration takes milliseconds, also where other work has the processors. A column without
    spread gets the coefficient 0.
    """
    counted = np.ones(len(positive)) if weights is None else weights
    rate = float(np.average(positive, weights=counted))
    centers = [float(np.average(column, weights=counted)) for column in columns]
    spreads = [float(np.sqrt(np.average((column - center) ** 2, weights=counted))) for column, center in zip(columns, centers, strict=True)]
    parts = [np.ones(len(positive))]
    parts += [(column - center) / (spread or 1.0) for column, center, spread in zip(columns, centers, spreads, strict=True)]
    found = np.zeros(len(parts))
    found[0] = math.log(rate / (1 - rate))
    loss = _loss(found, parts, positive, counted)
    for _ in range(_MOST_STEPS):
        step: FloatArray = _newton_step(found, parts, positive, counted)
        # The loss falls along the step; a shorter one is taken where the whole one is too long.
        while (new := _loss(found - step, parts, positive, counted)) > loss and np.abs(step).max() > _SMALLEST_STEP:
            step = step / 2
        found, loss = found - step, new
        if np.abs(step).max() <= _SMALLEST_STEP:
            break
    scaled = [float(coefficient) / (spread or 1.0) for coefficient, spread in zip(found[1:], spreads, strict=True)]
    return [float(found[0]) - sum(slope * center for slope, center in zip(scaled, centers, strict=True)), *scaled]


_MOST_STEPS, _SMALLEST_STEP, _RIDGE = 100, 1e-10, 1e-9


def _newton_step(at: FloatArray, parts: list[FloatArray], positive: npt.NDArray[np.bool_], counted: FloatArray) -> FloatArray:
    p: FloatArray = 1.0 / (1.0 + _exp(np.clip(-_sum(at, parts), -700.0, 700.0)))
    gradient = np.array([np.sum(counted * (p - positive) * part) for part in parts]) + _RIDGE * at
    curvature = counted * p * (1 - p)
    hessian = np.array([[np.sum(curvature * one * other) for other in parts] for one in parts]) + _RIDGE * np.eye(len(parts))
    step: FloatArray = np.linalg.solve(hessian, gradient).astype(np.float64)
    return step


def _loss(at: FloatArray, parts: list[FloatArray], positive: npt.NDArray[np.bool_], counted: FloatArray) -> float:
    log_odds = _sum(at, parts)
    return float(np.sum(counted * np.logaddexp(0.0, np.where(positive, -log_odds, log_odds))) + _RIDGE * np.sum(at * at) / 2)


def _sum(at: FloatArray, parts: list[FloatArray]) -> FloatArray:
    total: FloatArray = at[0] * parts[0]
    for coefficient, part in zip(at[1:], parts[1:], strict=True):
        total = total + coefficient * part
    return total
