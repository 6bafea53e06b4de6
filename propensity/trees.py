"""A booster's trees as flat arrays: the margins of a few rows without XGBoost's fixed cost, to the same bits.

For each call XGBoost prepares a view of every tree, which for one row takes far longer than the descent. Here all trees step down
one level at a time, each step a few array operations over all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

Positions = npt.NDArray[np.intp]
Floats32 = npt.NDArray[np.float32]
Bits = npt.NDArray[np.bool_]
OBJECTIVE = "binary:logistic"


class NotFlat(ValueError):
    """This booster cannot be written as flat trees; the message says why. It never leaves `propensity.engine`."""


@dataclass(frozen=True)
class Trees:
    """Every node of every tree, level by level: the roots first, in tree order, and each pair of children side by side.

    A test is a feature, a threshold and a side for missing values; equal tests of different nodes are asked once per row. The last
    test is never passed: a leaf has it, and stays where it is.

    Attributes
    ----------
    base : float32
        The margin before the first tree.
    depth : levels below the roots
    left : intp array, shape (nodes,)
        Where a row goes that does not pass the node's test; the next position where it does. A leaf: itself.
    test : intp array, shape (nodes,)
    value : float32 array, shape (nodes,)
        What a leaf adds to the margin.
    feature : intp array, shape (nodes,)
        -1 for a leaf.
    cover : float32 array, shape (nodes,)
        Sum of the second derivatives of the training rows that came through.
    column, threshold : shape (tests,)
        A row passes where its value is not below the threshold. Column f is feature f with missing values as minus infinity, column
        ``features + f`` the same with plus infinity.
    """

    features: int
    trees: int
    base: np.float32
    depth: int
    left: Positions
    test: Positions
    value: Floats32
    feature: Positions
    cover: Floats32
    column: Positions
    threshold: Floats32

    def passed(self, matrix: Floats32) -> Bits:
        """Which tests each row passes, shape (n, tests). Raises ValueError for a matrix of another width."""
        if matrix.dtype != np.float32 or matrix.ndim != 2 or matrix.shape[1] != self.features:
            raise ValueError(f"the trees read float32 rows of {self.features} features")
        both = np.empty((len(matrix), 2 * self.features), dtype=np.float32)
        np.fmax(matrix, -np.inf, out=both[:, : self.features])
        np.fmin(matrix, np.inf, out=both[:, self.features :])
        found: Bits = np.greater_equal(both.take(self.column, axis=1), self.threshold)
        return found

    def margin(self, matrix: Floats32) -> Floats32:
        """Margin per row, shape (n,), float32: the base, then each tree's leaf in tree order, as XGBoost adds them."""
        passed = self.passed(matrix)
        at = self._leaves(passed)
        parts = np.empty((len(matrix), self.trees + 1), dtype=np.float32)
        parts[:, 0] = self.base
        parts[:, 1:] = self.value.take(at)
        # A plain sum adds in pairs, and rounds otherwise.
        sums: Floats32 = np.add.accumulate(parts, axis=1)[:, -1]
        return sums

    def _leaves(self, passed: Bits) -> Positions:
        """Position of the leaf that each row reaches in each tree, shape (n, trees)."""
        at: Positions = self.left[: self.trees] + passed.take(self.test[: self.trees], axis=1)
        flat, first = passed.ravel(), (np.arange(len(passed)) * passed.shape[1])[:, None]
        for _ in range(self.depth - 1):
            asked = self.test.take(at)
            if len(passed) > 1:
                asked += first
            at = self.left.take(at)
            at += flat.take(asked)
        return at


def read_trees(model_json: bytes) -> Trees:
    """The trees of an XGBoost model in JSON.

    Raises NotFlat where it is not a sum of scalar trees with numeric splits under ``binary:logistic``.
    """
    try:
        whole = json.loads(model_json)
        learner = whole["learner"]
        _refuse_other_kinds(learner)
        model = learner["gradient_booster"]["model"]
        parts = _Nodes.of(model["trees"])
        features = int(learner["learner_model_param"]["num_feature"])
        return _flat(parts, features, _base_margin(whole, features))
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError, xgb.core.XGBoostError) as exc:
        raise exc if isinstance(exc, NotFlat) else NotFlat("the booster's JSON is not laid out as XGBoost 3 writes it") from exc


def _refuse_other_kinds(learner: Mapping[str, Any]) -> None:
    booster, model = learner["gradient_booster"]["name"], learner["gradient_booster"].get("model", {})
    if booster != "gbtree":
        raise NotFlat(f"the booster is {booster!r}, not 'gbtree'")
    if learner["objective"]["name"] != OBJECTIVE:
        raise NotFlat(f"the objective is {learner['objective']['name']!r}, not {OBJECTIVE!r}")
    if int(learner["learner_model_param"].get("num_target", 1)) > 1 or any(model["tree_info"]):
        raise NotFlat("the booster has several targets")
    if not model["trees"]:
        raise NotFlat("the booster has no trees")
    if any(any(tree["split_type"]) for tree in model["trees"]):
        raise NotFlat("the booster splits on sets of categories")
    if any(int(tree["tree_param"].get("size_leaf_vector", 1)) > 1 for tree in model["trees"]):
        raise NotFlat("the booster's leaves are vectors")


def _base_margin(whole: Mapping[str, Any], features: int) -> np.float32:
    """The margin before the first tree, as XGBoost itself computes it: that of the same booster with one leaf of value -0 for all trees.

    It is the log-odds of a stored probability, by a logarithm of XGBoost's own C library: another one may round to the next number, which
    shows in the margin of one row in thousands. To add -0 changes no number, and keeps the sign of a base of -0.
    """
    learner = whole["learner"]
    model = learner["gradient_booster"]["model"]
    first = model["trees"][0]
    leaf = {name: part[:1] if isinstance(part, list) else part for name, part in first.items()}
    leaf |= {"left_children": [-1], "right_children": [-1], "split_conditions": [-0.0], "base_weights": [-0.0]}
    leaf["tree_param"] = {**first["tree_param"], "num_nodes": "1", "num_deleted": "0"}
    alone = {
        "trees": [leaf],
        "tree_info": [0],
        "iteration_indptr": [0, 1],
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": "1"},
    }
    stump = {**whole, "learner": {**learner, "gradient_booster": {**learner["gradient_booster"], "model": {**model, **alone}}}}
    booster = xgb.Booster({"nthread": 1})
    booster.load_model(bytearray(json.dumps(stump).encode()))
    base: np.float32 = booster.inplace_predict(np.zeros((1, features), dtype=np.float32), predict_type="margin")[0]
    if not np.isfinite(base):
        raise NotFlat("the booster's base score is not a probability between 0 and 1")
    return base


@dataclass(frozen=True)
class _Nodes:
    """All nodes as XGBoost numbers them, tree after tree; children count from the first node of all."""

    roots: Positions
    left: Positions
    right: Positions
    feature: Positions
    number: Floats32
    default_left: Bits
    cover: Floats32

    @staticmethod
    def of(trees: list[Mapping[str, Any]]) -> _Nodes:
        sizes = [len(tree["left_children"]) for tree in trees]
        roots = np.cumsum([0, *sizes[:-1]], dtype=np.intp)
        shift = np.repeat(roots, sizes)

        def joined(name: str) -> npt.NDArray[Any]:
            return np.concatenate([np.asarray(tree[name]) for tree in trees])

        left, right = joined("left_children"), joined("right_children")
        return _Nodes(
            roots=roots,
            left=np.where(left < 0, -1, left + shift),
            right=np.where(left < 0, -1, right + shift),
            feature=joined("split_indices").astype(np.intp),
            number=_float32(joined("split_conditions")),
            default_left=joined("default_left").astype(np.bool_),
            cover=_float32(joined("sum_hessian")),
        )


def _float32(numbers: npt.NDArray[Any]) -> Floats32:
    """The float32 numbers that XGBoost wrote as at most nine decimal digits.

    They were read as float64. To round once more gives another number than reading at once only where float64 rounded to a point half-way
    between two float32 that the decimal did not mean. Raises NotFlat for such a number, and for one that is not finite.
    """
    wide = numbers.astype(np.float64)
    if not (np.abs(wide) <= np.finfo(np.float32).max).all():
        raise NotFlat("the booster holds a number that is not finite")
    narrow = wide.astype(np.float32)
    with np.errstate(over="ignore"):
        next_one = np.nextafter(narrow, np.where(wide > narrow, np.inf, -np.inf).astype(np.float32))
        half_way = wide[(wide != narrow) & (wide == (narrow.astype(np.float64) + next_one) / 2)]
    if any(Fraction(repr(number)) != Fraction(number) for number in half_way.tolist()):
        raise NotFlat("the booster holds a number that float64 cannot tell from one half-way between two others")
    return narrow


def _flat(nodes: _Nodes, features: int, base: np.float32) -> Trees:
    order, depth = _by_level(nodes)
    place = np.zeros(len(nodes.left), dtype=np.intp)
    place[order] = np.arange(len(order))
    leaf = nodes.left[order] < 0
    feature = np.where(leaf, -1, nodes.feature[order])
    if feature.max() >= features:
        raise NotFlat("the booster splits on a feature that it does not have")
    column = np.where(nodes.default_left[order], feature, features + feature)[~leaf]
    threshold = nodes.number[order][~leaf]
    # Compared as bits, so that -0.0 and 0.0 stay what they are.
    keys, which = np.unique(column.astype(np.int64) << 32 | threshold.view(np.uint32), return_inverse=True)
    test = np.full(len(order), len(keys), dtype=np.intp)
    test[~leaf] = which
    return Trees(
        features=features,
        trees=len(nodes.roots),
        base=base,
        depth=depth,
        left=np.where(leaf, np.arange(len(order)), place[nodes.left[order]]),
        test=test,
        value=np.where(leaf, nodes.number[order], np.float32(0)),
        feature=feature,
        cover=nodes.cover[order],
        column=np.append(keys >> 32, 0).astype(np.intp),
        threshold=np.append((keys & 0xFFFFFFFF).astype(np.uint32).view(np.float32), np.float32(np.nan)),
    )


def _by_level(nodes: _Nodes) -> tuple[Positions, int]:
    """The nodes that rows can reach, level by level, children side by side; and the number of levels below the roots."""
    levels, seen = [nodes.roots], len(nodes.roots)
    while True:
        inner = levels[-1][nodes.left[levels[-1]] >= 0]
        if not len(inner):
            return np.concatenate(levels), len(levels) - 1
        seen += 2 * len(inner)
        if seen > len(nodes.left):
            raise NotFlat("the booster's trees run in a circle")
        levels.append(np.stack([nodes.left[inner], nodes.right[inner]], axis=1).ravel())


def probe_rows(trees: Trees, n: int) -> Floats32:
    """Rows made of the trees' own thresholds, of the numbers next to them, and of missing values, shape (n, features).

    Always the same for the same trees. They reach the places where two ways to compute a margin would part.
    """
    rng = np.random.default_rng(0)
    rows = np.full((n, trees.features), np.nan, dtype=np.float32)
    owner = trees.column[:-1] % trees.features
    for feature in np.unique(owner):
        known = trees.threshold[:-1][owner == feature]
        drawn = known[rng.integers(0, len(known), n)]
        with np.errstate(over="ignore"):
            below, above = np.nextafter(drawn, np.float32(-np.inf)), np.nextafter(drawn, np.float32(np.inf))
        rows[:, feature] = np.choose(rng.integers(0, 8, n), [drawn, drawn, below, below, above, above, drawn, np.float32(np.nan)])
    return rows
