"""A small neural network, for comparison alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from propensity.families.base import Budget, Member, Params, Rows
from propensity.families.logistic import Design
from propensity.features import Matrix
from propensity.zoo import NEURAL


class Neural:
    """One hidden layer on the columns of the logistic regression; a tenth of the rows to learn from stops it."""

    name = NEURAL
    not_servable = "products of matrices round by the number of rows: a row would not have the same bits alone and in a list"

    def held_out(self, seen: Rows, unseen: Rows, params: Params, seed: int, budget: Budget) -> tuple[int, npt.NDArray[np.floating]]:  # noqa: ARG002
        return 0, self.fit(seen, 0, params, seed).margin(unseen.matrix)

    def fit(self, rows: Rows, rounds: int, params: Params, seed: int) -> Member:  # noqa: ARG002
        from sklearn.neural_network import MLPClassifier
        from threadpoolctl import threadpool_limits

        design = Design(rows)
        with threadpool_limits(1):
            network = MLPClassifier(**params, early_stopping=True, random_state=seed)
            network.fit(design.of(rows.matrix), rows.positive, sample_weight=rows.weights)

        def margin(matrix: Matrix) -> npt.NDArray[np.floating]:
            p = np.clip(network.predict_proba(design.of(matrix))[:, 1], 1e-12, 1 - 1e-12)
            found: npt.NDArray[np.float64] = np.log(p / (1 - p))
            return found

        return Member(margin, 0, 8 * sum(part.size for part in (*network.coefs_, *network.intercepts_)))
