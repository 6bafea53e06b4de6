"""What families learn from and what they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign
from propensity.features import Encoding, Matrix, fit_encoding
from propensity.linear import Linear
from propensity.schema import Table

FloatArray = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]
Params = Mapping[str, Any]


@dataclass(frozen=True)
class Rows:
    """Encoded rows with their labels.

    Attributes
    ----------
    weights : float64 array, shape (n,), or None
        What each row counts; None: all the same.
    """

    campaign: Campaign
    encoding: Encoding
    matrix: Matrix
    positive: Labels
    weights: FloatArray | None = None

    @staticmethod
    def of(table: Table, positive: Labels, weights: FloatArray | None = None, encoding: Encoding | None = None) -> Rows:
        """The rows of a table; None: the encoding is learned from these rows and no others."""
        encoding = encoding or fit_encoding(table, positive)
        return Rows(table.campaign, encoding, encoding.matrix(table), positive, weights)

    @property
    def rate(self) -> float:
        """Share of positives by weight."""
        return float(np.average(self.positive, weights=self.weights))

    def weighed(self, positives: float) -> Rows:
        """The same rows with every positive counting ``positives`` times as much."""
        counted = np.ones(len(self.positive)) if self.weights is None else self.weights
        return replace(self, weights=np.where(self.positive, positives * counted, counted))


@dataclass(frozen=True)
class Budget:
    """How long boosted families may learn: at most ``rounds``, and ``patience_rounds`` without gain on the rows held out."""

    rounds: int
    patience_rounds: int


@dataclass(frozen=True)
class Member:
    """A fitted model of one family.

    Attributes
    ----------
    margin : from an encoded matrix to log-odds, float32 or float64, shape (n,)
        To the bits that the package of it gives.
    rounds : int
        Boosting rounds; 0 where the family has none.
    booster_json, linear
        What a package serves; both None where the family cannot be served.
    size_bytes : int
    """

    margin: Callable[[Matrix], npt.NDArray[np.floating]]
    rounds: int
    size_bytes: int
    booster_json: bytes | None = None
    linear: Linear | None = None

    @property
    def servable(self) -> bool:
        return self.booster_json is not None or self.linear is not None


class Family(Protocol):
    """One way to learn. Everything is determined by its arguments, and by no number of cores."""

    name: str
    not_servable: str
    """Why it cannot win; empty where it can."""

    def held_out(self, seen: Rows, unseen: Rows, params: Params, seed: int, budget: Budget) -> tuple[int, npt.NDArray[np.floating]]:
        """Learn from ``seen``; the best number of rounds and the margins of ``unseen``, whose labels only stop the rounds."""

    def fit(self, rows: Rows, rounds: int, params: Params, seed: int) -> Member:
        """Learn from all ``rows``, boosted families for so many rounds."""
