"""A logistic model that moves: its level and its effects follow the outcomes, contact day by contact day.

A state is what is believed after some days: the mean and covariance of the coefficients. Between two contact days each coefficient may
have moved by a random step (`propensity.retraining.Steps`); the outcomes of a day then pull the belief towards what they show, as far
as their number can. This is the trailing response rate with its sampling error taken into account, and for effects it is what recency
weights approximate. Source: West, Harrison, Migon, "Dynamic generalized linear models and Bayesian forecasting", 1985; the posterior
of a day is found by Newton's method and approximated by its curvature (Laplace).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensity.retraining import Steps

FloatArray = npt.NDArray[np.float64]
LEVEL, TRAFFIC = 0, 1
"""Places of the level and of the effect of the traffic; the features' effects come after them."""
START_RATE, START_LEVEL_VARIANCE, START_EFFECT_VARIANCE = 0.1, 1.0, 0.25
TYPICAL_TRAFFIC = 50.0
_NEWTON, _CLOSE, _FARTHEST = 8, 1e-3, 2.0


@dataclass(frozen=True)
class State:
    """What is believed after some contact days.

    Attributes
    ----------
    mean : float64 array, shape (2 + effects,)
        Log-odds: level, effect of the traffic, effects of the features.
    covariance : float64 array, shape (2 + effects, 2 + effects)
    days, rows, positives : int
        Contact days, outcomes and conversions that it comes from.
    """

    mean: FloatArray
    covariance: FloatArray
    days: int = 0
    rows: int = 0
    positives: int = 0

    def offset(self, traffic: float) -> float:
        """Log-odds of a customer without any effect, on a day of that traffic."""
        return float(self.mean[LEVEL] + self.mean[TRAFFIC] * traffic_term(traffic))


def traffic_term(traffic: float) -> float:
    """What stands for a number of contacts a day in the model."""
    return math.log(max(traffic, 1.0) / TYPICAL_TRAFFIC)


def start(effects: int) -> State:
    """The belief before any outcome."""
    variances = np.full(2 + effects, START_EFFECT_VARIANCE)
    variances[LEVEL] = START_LEVEL_VARIANCE
    mean = np.zeros(2 + effects)
    mean[LEVEL] = math.log(START_RATE / (1 - START_RATE))
    return State(mean, np.diag(variances))


def advance(
    state: State, design: FloatArray, traffic: FloatArray, positive: npt.NDArray[np.bool_], margin: FloatArray, steps: Steps
) -> State:
    """The belief after one more contact day.

    Parameters
    ----------
    design : float64 array, shape (n, effects)
        What the features' effects are multiplied with. No columns: the level and the traffic alone are followed.
    traffic : float64 array, shape (n,)
        `traffic_term` of each row.
    positive : bool array, shape (n,)
        The outcomes of the day that are known. None at all is a day like any other: only the uncertainty grows.
    margin : float64 array, shape (n,)
        Log-odds that others add and that is not learned here, such as that of a frozen model.
    """
    covariance = state.covariance + np.diag(_variances(len(state.mean), steps))
    if not len(positive):
        return State(state.mean, covariance, state.days + 1, state.rows, state.positives)
    x = np.column_stack([np.ones(len(positive)), traffic, design])
    precision = np.linalg.inv(covariance)
    mean = state.mean.copy()
    for _ in range(_NEWTON):
        p = sigmoid(margin + x @ mean)
        curvature = (x * (p * (1 - p))[:, None]).T @ x + precision
        step = np.linalg.solve(curvature, x.T @ (positive - p) - precision @ (mean - state.mean))
        # A first step from far away overshoots: no row may move farther than the curvature can be trusted.
        step *= min(1.0, _FARTHEST / max(float(np.abs(x @ step).max()), 1e-9))
        mean += step
        if float(np.abs(step).max()) < _CLOSE:
            break
    p = sigmoid(margin + x @ mean)
    covariance = np.linalg.inv((x * (p * (1 - p))[:, None]).T @ x + precision)
    return State(mean, (covariance + covariance.T) / 2, state.days + 1, state.rows + len(positive), state.positives + int(positive.sum()))


def sigmoid(z: FloatArray) -> FloatArray:
    """Probability of log-odds; what is beyond 30 is 0 or 1 for learning."""
    p: FloatArray = 1.0 / (1.0 + np.exp(-np.clip(z, -30.0, 30.0)))
    return p


def _variances(size: int, steps: Steps) -> FloatArray:
    variances = np.full(size, steps.effects)
    variances[LEVEL], variances[TRAFFIC] = steps.level, steps.traffic
    return variances


def traffic_seen(day: npt.NDArray[np.int64], growth: float) -> FloatArray:
    """For rows in order of time, the contacts a day that the package of their moment assumed; float64, shape (n,).

    It begins with the contacts of the day before and is raised to today's number so far whenever that exceeds it by ``growth``. Only
    rows before a row have a say in it.
    """
    seen = np.empty(len(day))
    edges = np.flatnonzero(np.diff(day, prepend=day[:1] - 1))
    ends = np.append(edges, len(day))[1:]
    assumed = 1.0
    for first, end in zip(edges.tolist(), ends.tolist(), strict=True):
        for at in range(first, end):
            if at - first >= growth * assumed:
                assumed = float(at - first)
            seen[at] = assumed
        assumed = float(end - first)
    return seen
