from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
import xgboost as xgb

from propensity import shapley
from propensity.shapley import NoTables, Tables, build_tables
from propensity.trees import Trees, read_trees
from tests.boosters import FEATURES, KINDS, Rows, as_json, booster, rows

Floats = npt.NDArray[np.float64]
TABLED = [kind for kind in KINDS if kind not in ("unbalanced", "weights of zero")]


@cache
def made(kind: str) -> tuple[Trees, Tables]:
    trees = read_trees(as_json(booster(kind)))
    return trees, build_tables(trees)


def contributions(kind: str, matrix: Rows) -> Floats:
    trees, tables = made(kind)
    return tables.contributions(trees.passed(matrix))


def by_xgboost(kind: str, matrix: Rows) -> Floats:
    found: Rows = booster(kind).predict(xgb.DMatrix(matrix, nthread=1), pred_contribs=True)
    return found.astype(np.float64)


def expected(trees: Trees, row: Rows, known: frozenset[int], at: int) -> float:
    """Mean value of a tree where some features are known: the others go both ways by cover. Lundberg 2020, algorithm 1."""
    feature = int(trees.feature[at])
    if feature < 0:
        return float(trees.value[at])
    left = int(trees.left[at])
    if feature in known:
        return expected(trees, row, known, left + int(trees.passed(row[None])[0, trees.test[at]]))
    shares = trees.cover[left : left + 2].astype(np.float64) / trees.cover[at]
    return float(shares[0] * expected(trees, row, known, left) + shares[1] * expected(trees, row, known, left + 1))


def brute_force(trees: Trees, row: Rows) -> list[float]:
    """Shapley values by their definition: over every coalition of the other features."""
    n = trees.features
    worth = {
        frozenset(some): sum(expected(trees, row, frozenset(some), root) for root in range(trees.trees))
        for k in range(n + 1)
        for some in itertools.combinations(range(n), k)
    }
    values = [
        sum(
            math.factorial(len(some)) * math.factorial(n - 1 - len(some)) / math.factorial(n) * (worth[some | {feature}] - worth[some])
            for some in worth
            if feature not in some
        )
        for feature in range(n)
    ]
    return [*values, worth[frozenset()] + float(trees.base)]


@pytest.mark.parametrize("kind", TABLED)
class TestContributions:
    def test_they_are_those_of_xgboost(self, kind: str) -> None:
        matrix = rows(300, seed=11)
        found, sound = contributions(kind, matrix), by_xgboost(kind, matrix)
        assert found.shape == (300, FEATURES + 1)
        np.testing.assert_allclose(found, sound, atol=1e-5 * max(1.0, float(np.abs(sound).max())))

    def test_they_sum_to_the_margin(self, kind: str) -> None:
        matrix = rows(300, seed=12)
        margin = made(kind)[0].margin(matrix)
        np.testing.assert_allclose(contributions(kind, matrix).sum(axis=1), margin, atol=1e-5)

    def test_a_row_has_the_same_bits_alone_and_in_any_list(self, kind: str) -> None:
        matrix = rows(120, seed=13)
        whole = contributions(kind, matrix)
        for n in (1, 7, 50):
            parts = [contributions(kind, matrix[at : at + n]) for at in range(0, 120, n)]
            assert np.concatenate(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize("params", [{"max_depth": 2}, {"max_depth": 3}, {"max_depth": 5, "max_leaves": 6, "grow_policy": "lossguide"}])
def test_they_are_the_shapley_values_by_definition(params: dict[str, object]) -> None:
    """Few features and many levels: most paths ask a feature twice."""
    matrix = rows(400, seed=2)[:, :3].copy()
    labels = np.nan_to_num(matrix[:, 0]) ** 2 > 0.5
    data = xgb.DMatrix(matrix, labels, nthread=1)
    trees = read_trees(as_json(xgb.train({"objective": "binary:logistic", "nthread": 1, "min_child_weight": 0} | params, data, 3)))
    found = build_tables(trees).contributions(trees.passed(matrix[:12]))
    for at in range(12):
        np.testing.assert_allclose(found[at], brute_force(trees, matrix[at]), atol=2e-7)


def test_a_child_that_no_training_row_reached_counts_for_nothing() -> None:
    trees = made("one level")[0]
    cover = trees.cover.copy()
    left = trees.left[0]
    cover[left], cover[left + 1] = 0.0, cover[0]
    bare = replace(trees, cover=cover)
    found = build_tables(bare).contributions(bare.passed(rows(50)))
    assert np.isfinite(found).all()
    for at in (0, 1, 2):
        np.testing.assert_allclose(found[at], brute_force(bare, rows(50)[at]), atol=1e-6)


def test_trees_that_split_where_no_training_row_came_have_no_tables() -> None:
    trees = made("deep")[0]
    cover = trees.cover.copy()
    cover[np.flatnonzero(trees.feature >= 0)[-1]] = 0.0
    with pytest.raises(NoTables, match="no training row"):
        build_tables(replace(trees, cover=cover))


def test_tables_that_would_be_too_large_are_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    size = made("as trained here")[1].table.nbytes
    monkeypatch.setattr(shapley, "MAX_TABLE_BYTES", size)
    build_tables(made("as trained here")[0])
    monkeypatch.setattr(shapley, "MAX_TABLE_BYTES", size - 1)
    with pytest.raises(NoTables, match="MiB"):
        build_tables(made("as trained here")[0])


def test_no_rows_have_no_contributions() -> None:
    assert contributions("one level", rows(0)).shape == (0, FEATURES + 1)
