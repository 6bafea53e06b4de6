"""A linear member of a model: what each feature adds to the log-odds, computed to the same bits for a row alone, in a list and in a file.

It reads the matrix that the trees read (`propensity.features`): a number as float32, a category as its rank, NaN for missing. Every step
is an elementwise operation that IEEE 754 rounds in one way only, and the terms are added in declared order. A product of matrices would
add in an order of its own for each size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.features import Matrix

FloatArray = npt.NDArray[np.float64]
# Products and sums of numbers within it stay finite in float64.
LARGEST = 1e30
_TOGETHER = 4_096


@dataclass(frozen=True)
class NumericTerm:
    """``coefficient * (clip(value, low, high) - center) / scale``, or ``missing`` where there is no value.

    ``average`` is the mean of the term over the training rows: what an effect is measured against.
    """

    low: float
    high: float
    center: float
    scale: float
    coefficient: float
    missing: float
    average: float


@dataclass(frozen=True)
class CategoricalTerm:
    """One coefficient per declared value, in declared order, or ``missing``; ``average`` as in `NumericTerm`."""

    coefficients: tuple[float, ...]
    missing: float
    average: float


@dataclass(frozen=True)
class Linear:
    """The intercept and a term for every feature."""

    intercept: float
    numeric: Mapping[str, NumericTerm]
    categorical: Mapping[str, CategoricalTerm]

    @staticmethod
    def read(raw: Mapping[str, Any]) -> Linear:
        """From what `dataclasses.asdict` gave. Raises KeyError, TypeError, ValueError or AttributeError where it is something else."""
        if set(raw) != {"intercept", "numeric", "categorical"}:
            raise ValueError("a linear member has an intercept, numeric and categorical terms")
        categorical = {
            name: CategoricalTerm(**{**term, "coefficients": tuple(term["coefficients"])}) for name, term in raw["categorical"].items()
        }
        return Linear(raw["intercept"], {name: NumericTerm(**term) for name, term in raw["numeric"].items()}, categorical)

    def problem(self, features: Sequence[str], values: Mapping[str, Sequence[object]]) -> str | None:
        """What does not fit these features, of which those in ``values`` are categorical; None where all fits."""
        if set(self.numeric) != set(features) - set(values) or set(self.categorical) != set(values):
            return "the linear member has not exactly one term for each feature"
        if any(len(term.coefficients) != len(values[name]) for name, term in self.categorical.items()):
            return "the linear member has not exactly one coefficient for each declared value"
        if not all(isinstance(number, float) and abs(number) <= LARGEST for number in self._numbers()):
            return f"the linear member holds what is not a number between -{LARGEST:g} and {LARGEST:g}"
        if not all(term.scale >= 1 / LARGEST and term.low <= term.high for term in self.numeric.values()):
            return "the linear member has a scale that is not positive or bounds in the wrong order"
        return None

    def _numbers(self) -> Iterable[object]:
        yield self.intercept
        for number in self.numeric.values():
            yield from (number.low, number.high, number.center, number.scale, number.coefficient, number.missing, number.average)
        for category in self.categorical.values():
            yield from (*category.coefficients, category.missing, category.average)


class LinearScorer:
    """A linear member made ready for matrices of one encoding. Safe to share between threads.

    Parameters
    ----------
    features : names in the order of the matrix's columns
    ranks : mapping of categorical feature to rank per declared value
        Each a permutation of 0 to the number of values less one; ValueError where one is not.
    """

    def __init__(self, linear: Linear, features: Sequence[str], ranks: Mapping[str, Sequence[int]]) -> None:
        self._intercept = linear.intercept
        self._width = len(features)
        self._numbers = np.array([at for at, name in enumerate(features) if name in linear.numeric], dtype=np.intp)
        terms = [linear.numeric[features[at]] for at in self._numbers.tolist()]
        self._low, self._high, self._center, self._scale, self._coefficient, self._missing = (
            np.array([getattr(term, part) for term in terms], dtype=np.float64)
            for part in ("low", "high", "center", "scale", "coefficient", "missing")
        )
        self._categories = np.array([at for at, name in enumerate(features) if name in linear.categorical], dtype=np.intp)
        looked_up = [_by_rank(linear.categorical[features[at]], ranks[features[at]]) for at in self._categories.tolist()]
        ends = np.cumsum([len(part) for part in looked_up], dtype=np.intp)
        self._ends = ends - 1
        self._starts = ends - np.array([len(part) for part in looked_up], dtype=np.intp)
        self._values: FloatArray = np.concatenate(looked_up) if looked_up else np.empty(0)
        averages = {name: term.average for name, term in linear.numeric.items()}
        averages |= {name: term.average for name, term in linear.categorical.items()}
        self._average = np.array([averages[name] for name in features], dtype=np.float64)
        self._base = math.fsum((linear.intercept, *self._average.tolist()))

    def margin(self, matrix: Matrix) -> FloatArray:
        """The intercept, then each feature's term in the order of the columns; float64, shape (n,)."""
        out = np.empty(len(matrix))
        for start in range(0, len(matrix), _TOGETHER):
            part = matrix[start : start + _TOGETHER]
            sums = np.empty((len(part), self._width + 1))
            sums[:, 0] = self._intercept
            sums[:, 1:] = self._terms(part)
            # A plain sum adds in pairs, and rounds otherwise.
            out[start : start + len(part)] = np.add.accumulate(sums, axis=1)[:, -1]
        return out

    def contributions(self, matrix: Matrix) -> FloatArray:
        """What each feature adds to the margin beyond its average over the training rows, shape (n, features + 1); last the base value."""
        out = np.empty((len(matrix), self._width + 1))
        out[:, :-1] = self._terms(matrix) - self._average
        out[:, -1] = self._base
        return out

    def _terms(self, matrix: Matrix) -> FloatArray:
        if matrix.ndim != 2 or matrix.shape[1] != self._width:
            raise ValueError(f"the linear member reads rows of {self._width} features")
        out = np.empty(matrix.shape)
        numbers = matrix[:, self._numbers].astype(np.float64)
        steps = (np.minimum(np.maximum(numbers, self._low), self._high) - self._center) / self._scale
        out[:, self._numbers] = np.where(np.isnan(numbers), self._missing, self._coefficient * steps)
        ranks = matrix[:, self._categories]
        out[:, self._categories] = self._values[np.where(np.isnan(ranks), self._ends, ranks + self._starts).astype(np.intp)]
        return out


def _by_rank(term: CategoricalTerm, ranks: Sequence[int]) -> FloatArray:
    """Coefficients by rank; the last place is that of a missing value."""
    if sorted(ranks) != list(range(len(term.coefficients))):
        raise ValueError("the ranks of a categorical feature are not a permutation of its values")
    out = np.empty(len(ranks) + 1)
    out[list(ranks)] = term.coefficients
    out[-1] = term.missing
    return out
