"""Every candidate fitted on the same rows and the same folds, each with the calibration that it needs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from propensity.calibrators import SERVABLE, Choice, choose_calibration
from propensity.families.base import Budget, FloatArray, Labels, Params, Rows
from propensity.families.boosted import no_trees
from propensity.families.registry import family
from propensity.families.treatments import prior_shift, treated
from propensity.features import Encoding, Matrix, fit_encoding
from propensity.linear import Linear
from propensity.schema import Table
from propensity.zoo import AVERAGE, LOGISTIC, XGBOOST, split_name

Positions = npt.NDArray[np.intp]
# What the average is made of, each with half the weight of its calibrated log-odds.
AVERAGED = (XGBOOST, LOGISTIC)


@dataclass(frozen=True)
class Plan:
    """How candidates are fitted.

    Attributes
    ----------
    folds : int
        Of the cross-validation that chooses the rounds and gives the margins to calibrate on.
    params : mapping of family to its settings
    calibrations : tuple of str
        Those that are compared (`propensity.calibrators`); only servable ones are chosen.
    """

    folds: int
    budget: Budget
    params: Mapping[str, Params]
    calibrations: tuple[str, ...] = SERVABLE


@dataclass(frozen=True)
class Fitted:
    """A candidate, ready to be judged; packaged where it can be served.

    Attributes
    ----------
    encoding : learned from the rows that it was fitted on
    margin : from an encoded matrix to log-odds before calibration
    calibration : Choice
        By log loss on margins of rows that the model had not seen.
    booster_json : bytes
        One leaf of value 0 where the linear member is all there is; None where the candidate cannot be served.
    fit_s : float
        Cross-validation and calibration included; of the average its own part alone.
    """

    candidate: str
    families: tuple[str, ...]
    encoding: Encoding
    margin: Callable[[Matrix], npt.NDArray[np.floating]]
    calibration: Choice
    params: Params
    rounds: int
    fit_s: float
    size_bytes: int
    not_servable: str
    booster_json: bytes | None = None
    linear: Linear | None = None
    weight_trees: float = 1.0
    weight_linear: float = 0.0

    @property
    def held_out_log_loss(self) -> float:
        """Of the chosen calibration, on rows that neither the model nor the calibration had seen."""
        return self.calibration.log_loss[self.calibration.name]

    def scores(self, table: Table) -> FloatArray:
        """Probability per row, to the bits that the package gives."""
        return self.calibration.calibration.probability(self.margin(self.encoding.matrix(table)))


@dataclass(frozen=True)
class _CrossFitted:
    """Margins of every row from a model that had not seen it."""

    margins: FloatArray
    rounds: int
    fitted_rate: float


class Contest:
    """Fits candidates on the same rows; what two of them need is fitted once.

    Parameters
    ----------
    weights : float64 array, shape (n,), or None
        What each row counts, as where recent rows count more.
    """

    def __init__(self, table: Table, positive: Labels, plan: Plan, seed: int, weights: FloatArray | None = None) -> None:
        from sklearn.model_selection import StratifiedKFold

        self._table, self._positive, self._plan, self._seed, self._weights = table, positive, plan, seed, weights
        splitter = StratifiedKFold(plan.folds, shuffle=True, random_state=seed)
        self._folds: list[tuple[Positions, Positions]] = list(splitter.split(np.zeros(len(table)), positive))
        self._done: dict[str, tuple[Fitted, _CrossFitted]] = {}

    def fitted(self, candidate: str) -> Fitted:
        """The candidate, fitted at the first call."""
        return self._both(candidate)[0]

    def fold_losses(self, candidate: str, params: Params) -> Iterator[float]:
        """Log loss of the rows held out with these settings, fold by fold; uncalibrated."""
        for train, held in self._folds:
            _, margin, _ = self._one_fold(candidate, train, held, params)
            signed = np.where(self._positive[held], -margin.astype(np.float64), margin)
            yield float(np.average(np.logaddexp(0.0, signed), weights=_part(self._weights, held)))

    def _both(self, candidate: str) -> tuple[Fitted, _CrossFitted]:
        if candidate not in self._done:
            self._done[candidate] = self._averaged() if candidate == AVERAGE else self._single(candidate)
        return self._done[candidate]

    def _single(self, candidate: str) -> tuple[Fitted, _CrossFitted]:
        began = time.perf_counter()
        name, treatment = split_name(candidate)
        kind, params = family(name), self._plan.params[name]
        crossed = self._cross_fit(candidate)
        choice = choose_calibration(crossed.margins, self._positive, crossed.fitted_rate, self._weights, self._plan.calibrations)
        rows = treated(Rows.of(self._table, self._positive, self._weights), treatment, self._seed)
        member = kind.fit(rows, crossed.rounds, params, self._seed)
        width = rows.matrix.shape[1]
        fitted = Fitted(
            candidate=candidate,
            families=(name,),
            encoding=rows.encoding,
            margin=member.margin,
            calibration=choice,
            params={**params, "treatment": treatment} if treatment else params,
            rounds=crossed.rounds,
            fit_s=time.perf_counter() - began,
            size_bytes=member.size_bytes,
            not_servable=kind.not_servable,
            booster_json=no_trees(width) if member.linear is not None else member.booster_json,
            linear=member.linear,
            weight_trees=0.0 if member.linear is not None else 1.0,
            weight_linear=1.0 if member.linear is not None else 0.0,
        )
        return fitted, crossed

    def _cross_fit(self, candidate: str) -> _CrossFitted:
        """Fold by fold, side by side, each by one thread: the result does not depend on the number of cores, and threads that wait for
        each other inside a library slow each other down where the machine has other work.
        """
        params = self._plan.params[split_name(candidate)[0]]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            results = list(pool.map(lambda fold: self._one_fold(candidate, fold[0], fold[1], params), self._folds))
        margins = np.empty(len(self._table))
        for (_, held), (_, margin, _) in zip(self._folds, results, strict=True):
            margins[held] = margin
        rounds = max(1, round(float(np.mean([best for best, _, _ in results]))))
        return _CrossFitted(margins, rounds, float(np.mean([rate for _, _, rate in results])))

    def _one_fold(self, candidate: str, train: Positions, held: Positions, params: Params) -> tuple[int, npt.NDArray[np.floating], float]:
        """Best number of rounds and the margins of the rows held out; encoding and treatment, too, are learned without them."""
        name, treatment = split_name(candidate)
        table, positive = self._table.take(train), self._positive[train]
        seen = Rows.of(table, positive, _part(self._weights, train), fit_encoding(table, positive))
        unseen = Rows.of(self._table.take(held), self._positive[held], _part(self._weights, held), seen.encoding)
        changed = treated(seen, treatment, self._seed)
        if treatment:
            # What stops the rounds must have the rate that they are fitted at.
            unseen = unseen.weighed(float(np.exp(-prior_shift(seen.rate, changed.rate))))
        best, margin = family(name).held_out(changed, unseen, params, self._seed, self._plan.budget)
        return best, margin, changed.rate

    def _averaged(self) -> tuple[Fitted, _CrossFitted]:
        (trees, of_trees), (linear, of_linear) = (self._both(name) for name in AVERAGED)
        began = time.perf_counter()
        weight_trees, weight_linear = (0.5 * part.calibration.calibration.slope for part in (trees, linear))
        margins = weight_trees * of_trees.margins + weight_linear * of_linear.margins
        rate = float(np.average(self._positive, weights=self._weights))
        crossed = _CrossFitted(margins, of_trees.rounds, rate)

        def margin(matrix: Matrix) -> npt.NDArray[np.floating]:
            return weight_trees * trees.margin(matrix).astype(np.float64) + weight_linear * linear.margin(matrix)

        fitted = replace(
            trees,
            candidate=AVERAGE,
            families=AVERAGED,
            margin=margin,
            calibration=choose_calibration(margins, self._positive, rate, self._weights, self._plan.calibrations),
            params={**trees.params, **{f"{LOGISTIC}_{name}": value for name, value in linear.params.items()}},
            size_bytes=trees.size_bytes + linear.size_bytes,
            linear=linear.linear,
            weight_trees=weight_trees,
            weight_linear=weight_linear,
        )
        return replace(fitted, fit_s=time.perf_counter() - began), crossed


def _part(weights: FloatArray | None, at: Positions) -> FloatArray | None:
    return None if weights is None else weights[at]
