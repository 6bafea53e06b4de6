"""Ways to turn margins into probabilities, compared on rows that neither the model nor the calibration has seen. For training alone.

A package holds a slope and an offset: ``none``, ``prior-shift`` and ``sigmoid`` can win. ``beta`` and ``isotonic`` are not linear in the
margin, so that the effects of the features would no longer sum to the score: they are compared, to show what that costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensity.calibration import Calibration, fit_calibration, fit_logistic
from propensity.families.base import FloatArray, Labels
from propensity.families.treatments import prior_shift

Margins = npt.NDArray[np.floating]
SERVABLE = ("none", "prior-shift", "sigmoid")
COMPARED = (*SERVABLE, "beta", "isotonic")
FOLDS = 5
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Choice:
    """Which calibration was chosen, by log loss on rows that it had not seen; lower is better."""

    name: str
    calibration: Calibration
    log_loss: Mapping[str, float]


def choose_calibration(
    margin: Margins,
    positive: Labels,
    fitted_rate: float,
    weights: FloatArray | None = None,
    compared: Sequence[str] = COMPARED,
) -> Choice:
    """Compare them on margins of rows that the model had not seen; fit the best servable one on all of them.

    Parameters
    ----------
    fitted_rate : float
        The rate of positives that the model learned at: another than these rows' where it was treated.
    weights : float64 array or None
        What each row counts.
    compared : names
        At least those of `SERVABLE`.
    """
    wide: FloatArray = margin.astype(np.float64)
    losses: dict[str, list[FloatArray]] = {name: [] for name in compared}
    order: list[npt.NDArray[np.intp]] = []
    fold = _folds(positive)
    for number in range(FOLDS):
        seen, held = fold != number, fold == number
        order.append(np.flatnonzero(held))
        for name in compared:
            apply = fit(name, wide[seen], positive[seen], fitted_rate, None if weights is None else weights[seen])
            losses[name].append(_log_losses(apply(wide[held]), positive[held]))
    counted = None if weights is None else weights[np.concatenate(order)]
    mean = {name: float(np.average(np.concatenate(parts), weights=counted)) for name, parts in losses.items()}
    # Of equals the simplest: they stand in that order.
    best = min(SERVABLE, key=mean.__getitem__)
    return Choice(best, _servable(best, wide, positive, fitted_rate, weights), mean)


def fit(
    name: str, margin: FloatArray, positive: Labels, fitted_rate: float, weights: FloatArray | None = None
) -> Callable[[FloatArray], FloatArray]:
    """A calibration fitted on these rows, from margins to probabilities."""
    if name in SERVABLE:
        return _servable(name, margin, positive, fitted_rate, weights).probability
    return _beta(margin, positive, weights) if name == "beta" else _isotonic(margin, positive, weights)


def _servable(name: str, margin: FloatArray, positive: Labels, fitted_rate: float, weights: FloatArray | None) -> Calibration:
    if name == "sigmoid":
        return fit_calibration(margin, positive, weights)
    true_rate = float(np.average(positive, weights=weights))
    return Calibration(1.0, prior_shift(true_rate, fitted_rate)) if name == "prior-shift" else Calibration()


def _isotonic(margin: FloatArray, positive: Labels, weights: FloatArray | None) -> Callable[[FloatArray], FloatArray]:
    """Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability estimates", 2002."""
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(margin, positive.astype(np.float64), sample_weight=weights)

    def apply(new: FloatArray) -> FloatArray:
        found: FloatArray = fitted.predict(new)
        return found

    return apply


def _beta(margin: FloatArray, positive: Labels, weights: FloatArray | None) -> Callable[[FloatArray], FloatArray]:
    """log-odds = a ln p - b ln(1 - p) + c. Kull, Silva Filho, Flach, "Beta calibration", 2017, equation 5."""
    parts = _log_parts(margin)
    used = [0, 1]
    while True:
        offset, *slopes = fit_logistic([parts[at] for at in used], positive, weights)
        kept = [at for at, slope in zip(used, slopes, strict=True) if slope >= 0]
        if kept == used or not kept:
            break
        # As its authors do: a coefficient below zero would turn the order round, and is left out.
        used = kept

    def apply(new: FloatArray) -> FloatArray:
        found = np.full(len(new), offset)
        for at, slope in zip(used, slopes, strict=True):
            found += slope * _log_parts(new)[at]
        return Calibration().probability(found)

    return apply


def _log_parts(margin: FloatArray) -> tuple[FloatArray, FloatArray]:
    """ln p and -ln(1 - p) of the sigmoid of the margin."""
    return -np.logaddexp(0.0, -margin), np.logaddexp(0.0, margin)


def _log_losses(probability: FloatArray, positive: Labels) -> FloatArray:
    p = np.clip(probability, _SMALLEST, 1 - _SMALLEST)
    return -np.log(np.where(positive, p, 1 - p))


def _folds(positive: Labels) -> npt.NDArray[np.intp]:
    """Which fold each row belongs to: drawn, the same share of positives in each."""
    fold = np.empty(len(positive), dtype=np.intp)
    rng = np.random.default_rng(0)
    for label in (False, True):
        at = np.flatnonzero(positive == label)
        fold[rng.permutation(at)] = np.arange(len(at)) % FOLDS
    return fold
