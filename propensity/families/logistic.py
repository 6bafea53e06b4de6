"""Logistic regression, as the linear member of a package."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from propensity.families.base import Budget, FloatArray, Member, Params, Rows
from propensity.features import Matrix
from propensity.linear import CategoricalTerm, Linear, LinearScorer, NumericTerm
from propensity.zoo import LOGISTIC

# The last digits of a solver differ between processors.
_DIGITS = 10


class Logistic:
    """Numbers standardised within the range that was seen, one coefficient per category, ridge penalty.

    A missing value has a coefficient of its own where it occurs, else 0: the mean of what was seen.
    """

    name = LOGISTIC
    not_servable = ""

    def held_out(self, seen: Rows, unseen: Rows, params: Params, seed: int, budget: Budget) -> tuple[int, npt.NDArray[np.floating]]:  # noqa: ARG002
        return 0, self.fit(seen, 0, params, seed).margin(unseen.matrix)

    def fit(self, rows: Rows, rounds: int, params: Params, seed: int) -> Member:  # noqa: ARG002
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits

        design = Design(rows)
        with threadpool_limits(1):
            fitted = LogisticRegression(C=params["C"], solver="newton-cholesky", tol=1e-8, max_iter=200)
            fitted.fit(design.of(rows.matrix), rows.positive, sample_weight=rows.weights)
        linear = design.linear([_rounded(v) for v in fitted.coef_[0].tolist()], _rounded(float(fitted.intercept_[0])), rows)
        scorer = LinearScorer(linear, rows.campaign.feature_names, rows.encoding.ranks)
        return Member(scorer.margin, 0, 8 * (1 + len(fitted.coef_[0])), linear=linear)


class Design:
    """How encoded rows become columns for a linear model: numbers standardised, a column per category, a column per kind of gap."""

    def __init__(self, rows: Rows) -> None:
        names = rows.campaign.feature_names
        self._sizes = {at: len(rows.encoding.ranks[name]) for at, name in enumerate(names) if name in rows.encoding.ranks}
        self._numbers = [at for at in range(len(names)) if at not in self._sizes]
        self._gaps = {at: bool(np.isnan(rows.matrix[:, at]).any()) for at in range(len(names))}
        self._scales = {at: _scale(rows.matrix[:, at], rows.weights) for at in self._numbers}

    def of(self, matrix: Matrix) -> FloatArray:
        """float64, shape (n, columns): the numbers with their gaps in order, then the categories with theirs."""
        columns = []
        for at in self._numbers:
            low, high, center, scale = self._scales[at]
            value = matrix[:, at].astype(np.float64)
            gap = np.isnan(value)
            columns.append(np.where(gap, 0.0, (np.clip(value, low, high) - center) / scale))
            columns += [gap.astype(np.float64)] if self._gaps[at] else []
        for at, size in self._sizes.items():
            columns += [(matrix[:, at] == rank).astype(np.float64) for rank in range(size)]
            columns += [np.isnan(matrix[:, at]).astype(np.float64)] if self._gaps[at] else []
        return np.column_stack(columns)

    def linear(self, coefficients: list[float], intercept: float, rows: Rows) -> Linear:
        """The member with these coefficients, in the order of `of`."""
        names, left = rows.campaign.feature_names, iter(coefficients)
        numeric, categorical = {}, {}
        for at in self._numbers:
            coefficient = next(left)
            missing = next(left) if self._gaps[at] else 0.0
            numeric[names[at]] = NumericTerm(*self._scales[at], coefficient, missing, 0.0)
        for at, size in self._sizes.items():
            by_rank = [next(left) for _ in range(size)]
            missing = next(left) if self._gaps[at] else 0.0
            categorical[names[at]] = CategoricalTerm(tuple(by_rank[rank] for rank in rows.encoding.ranks[names[at]]), missing, 0.0)
        return with_averages(Linear(intercept, numeric, categorical), rows)


def with_averages(linear: Linear, rows: Rows) -> Linear:
    """The member with the mean of each term over these rows, against which effects are measured."""
    names = rows.campaign.feature_names
    scorer = LinearScorer(linear, names, rows.encoding.ranks)
    # Averages are 0 here, so that contributions are the terms themselves.
    means = np.average(scorer.contributions(rows.matrix)[:, :-1], axis=0, weights=rows.weights).tolist()
    mean = {name: _rounded(value) for name, value in zip(names, means, strict=True)}
    return Linear(
        linear.intercept,
        {name: replace(term, average=mean[name]) for name, term in linear.numeric.items()},
        {name: replace(term, average=mean[name]) for name, term in linear.categorical.items()},
    )


def _scale(column: Matrix, weights: FloatArray | None) -> tuple[float, float, float, float]:
    """Low, high, mean and standard deviation of what is there; a column without spread keeps the scale 1."""
    there = ~np.isnan(column)
    known = column[there].astype(np.float64)
    counted = None if weights is None else weights[there]
    if not len(known):
        return 0.0, 0.0, 0.0, 1.0
    center = float(np.average(known, weights=counted))
    spread = float(np.sqrt(np.average((known - center) ** 2, weights=counted)))
    return float(known.min()), float(known.max()), _rounded(center), _rounded(spread) if spread > 1e-9 * max(1.0, abs(center)) else 1.0


def _rounded(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")
