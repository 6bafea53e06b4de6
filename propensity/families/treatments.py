"""What is done about a rare label, to the rows that a model learns from and to no others (He and Garcia, 2009).

Sources: Chawla et al., "SMOTE: Synthetic Minority Over-sampling Technique", 2002; Tomek, "Two modifications of CNN", 1976; Batista,
Prati, Monard, "A study of the behavior of several methods for balancing machine learning training data", 2004.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.families.base import FloatArray, Labels, Rows
from propensity.features import Matrix


def treated(rows: Rows, treatment: str, seed: int) -> Rows:
    """The rows with the rarer label made to weigh as much as the other (``tomek``: only cleared of its nearest strangers).

    Synthetic rows and rows taken away would need weights of their own: with row weights only ``weights`` can be used (ValueError).
    """
    if not treatment:
        return rows
    if treatment == "weights":
        return rows.weighed((1 - rows.rate) / rows.rate)
    if rows.weights is not None:
        raise ValueError(f"the treatment {treatment!r} cannot be combined with row weights")
    matrix, positive = rows.matrix, rows.positive
    if "smote" in treatment:
        matrix, positive = _with_synthetic(rows, seed)
    if "tomek" in treatment:
        kept = _without_links(rows, matrix, positive)
        matrix, positive = matrix[kept], positive[kept]
    return replace(rows, matrix=matrix, positive=positive)


def prior_shift(true_rate: float, fitted_rate: float) -> float:
    """What to add to log-odds learned at one rate of positives, where the true one is another (Saerens, Latinne, Decaestecker, 2002)."""
    return float(np.log(true_rate / (1 - true_rate)) - np.log(fitted_rate / (1 - fitted_rate)))


def _with_synthetic(rows: Rows, seed: int) -> tuple[Matrix, Labels]:
    """The rows and synthetic ones of the rarer label, each between a row and one of its nearest; categories are those of neighbours."""
    from imblearn.over_sampling import SMOTE, SMOTEN, SMOTENC

    filled, categories = _filled(rows.matrix), _categories(rows)
    sampler: Any
    if not categories:
        sampler = SMOTE(random_state=seed)
    elif len(categories) == filled.shape[1]:
        sampler = SMOTEN(random_state=seed)
    else:
        sampler = SMOTENC(categories, random_state=seed)
    matrix, positive = sampler.fit_resample(filled, rows.positive.astype(np.int8))
    made = np.concatenate([rows.matrix, matrix[len(rows.matrix) :].astype(np.float32)])
    return made, positive.astype(bool)


def _without_links(rows: Rows, matrix: Matrix, positive: Labels) -> npt.NDArray[np.bool_]:
    """Which rows stay: a row of the commoner label goes where it and one of the other label are each other's nearest."""
    from sklearn.neighbors import NearestNeighbors

    scaled = _comparable(rows, _filled(matrix))
    nearest = NearestNeighbors(n_neighbors=2).fit(scaled).kneighbors(scaled, return_distance=False)
    own = np.arange(len(scaled))
    # Among equal rows the first column need not be the row itself.
    other = np.where(nearest[:, 0] == own, nearest[:, 1], nearest[:, 0])
    linked = (other[other] == own) & (positive[other] != positive)
    commoner = positive.mean() > 0.5
    kept: npt.NDArray[np.bool_] = ~(linked & (positive == commoner)) if positive.mean() != 0.5 else ~linked
    return kept


def _comparable(rows: Rows, matrix: Matrix) -> FloatArray:
    """Numbers by their standard deviation, categories one column each so that two of them are as far apart as one standard deviation."""
    categories = _categories(rows)
    numbers = [at for at in range(matrix.shape[1]) if at not in categories]
    spread = matrix[:, numbers].std(axis=0)
    columns = [matrix[:, numbers] / np.where(spread > 0, spread, 1.0)]
    for at in categories:
        columns.append((matrix[:, [at]] == np.unique(matrix[:, at])) / np.sqrt(2.0))
    return np.column_stack(columns)


def _filled(matrix: Matrix) -> Matrix:
    """Gaps become the column's median, or its commonest rank rounded: distances need a number everywhere."""
    out = matrix.copy()
    for at in range(out.shape[1]):
        gap = np.isnan(out[:, at])
        if gap.any():
            out[gap, at] = 0.0 if gap.all() else np.float32(np.rint(np.nanmedian(out[:, at])))
    return out


def _categories(rows: Rows) -> list[int]:
    return [at for at, name in enumerate(rows.campaign.feature_names) if name in rows.encoding.ranks]
