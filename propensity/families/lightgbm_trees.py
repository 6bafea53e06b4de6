"""LightGBM, its trees written as XGBoost's, so that a package serves them.

LightGBM asks ``value <= threshold`` in float64, XGBoost ``value < threshold`` in float32. The matrix is float32, so that with the
threshold rounded down to float32 and its successor taken, both give every row the same answer: every row reaches the same leaf. Leaves
become float32 and are summed as XGBoost does; what is judged and served are these trees.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.families.base import Budget, Member, Params, Rows
from propensity.families.boosted import as_xgboost_writes, no_trees, of_booster
from propensity.features import Matrix
from propensity.zoo import LIGHTGBM

_LEAF = -1
# Above what a campaign can declare (`propensity.campaign.LARGEST`), below what float32 holds: nine digits must not round it to infinity.
_LARGEST = np.float32(3.4e38)


class LightGBM:
    """Boosted trees grown leaf by leaf; rows held out choose how many."""

    name = LIGHTGBM
    not_servable = ""

    def held_out(self, seen: Rows, unseen: Rows, params: Params, seed: int, budget: Budget) -> tuple[int, npt.NDArray[np.floating]]:
        import lightgbm as lgb

        data = _dataset(seen)
        held = lgb.Dataset(unseen.matrix, unseen.positive.astype(np.int32), weight=unseen.weights, reference=data)
        stop = lgb.early_stopping(budget.patience_rounds, verbose=False)
        booster = lgb.train(_with_seed(params, seed), data, budget.rounds, valid_sets=[held], callbacks=[stop])
        best = max(1, int(booster.best_iteration))
        return best, of_booster(to_xgboost(booster, unseen.matrix.shape[1], best), best).margin(unseen.matrix)

    def fit(self, rows: Rows, rounds: int, params: Params, seed: int) -> Member:
        import lightgbm as lgb

        booster = lgb.train(_with_seed(params, seed), _dataset(rows), rounds)
        return of_booster(to_xgboost(booster, rows.matrix.shape[1], rounds), rounds)


def to_xgboost(booster: Any, features: int, rounds: int) -> bytes:
    """The first ``rounds`` trees of a LightGBM booster as XGBoost's JSON.

    Raises ValueError where a split is none of numbers, or a missing value would go by what XGBoost cannot say.
    """
    dumped = booster.dump_model(num_iteration=rounds)
    document: dict[str, Any] = json.loads(no_trees(features))
    model = document["learner"]["gradient_booster"]["model"]
    model["trees"] = [_tree(at, info["tree_structure"], features) for at, info in enumerate(dumped["tree_info"])]
    model["tree_info"] = [0] * len(model["trees"])
    model["iteration_indptr"] = list(range(len(model["trees"]) + 1))
    model["gbtree_model_param"] = {"num_parallel_tree": "1", "num_trees": str(len(model["trees"]))}
    return as_xgboost_writes(document)


def _tree(number: int, root: dict[str, Any], features: int) -> dict[str, Any]:
    nodes = _by_level(root)
    place = {id(node): at for at, node in enumerate(nodes)}
    inner = ["split_feature" in node for node in nodes]
    left = [place[id(node["left_child"])] if split else _LEAF for node, split in zip(nodes, inner, strict=True)]
    right = [place[id(node["right_child"])] if split else _LEAF for node, split in zip(nodes, inner, strict=True)]
    parents = [2**31 - 1] * len(nodes)
    for at, split in enumerate(inner):
        if split:
            parents[left[at]] = parents[right[at]] = at
    n = len(nodes)
    return {
        "base_weights": [_value(node) for node in nodes],
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
        "default_left": [int(split and _default_left(node)) for node, split in zip(nodes, inner, strict=True)],
        "id": number,
        "left_children": left,
        "loss_changes": [float(node.get("split_gain", 0.0)) for node in nodes],
        "parents": parents,
        "right_children": right,
        "split_conditions": [_threshold(node) if split else _value(node) for node, split in zip(nodes, inner, strict=True)],
        "split_indices": [int(node["split_feature"]) if split else 0 for node, split in zip(nodes, inner, strict=True)],
        "split_type": [0] * n,
        # A tree that is one leaf says nothing of its rows.
        "sum_hessian": [float(node.get("internal_weight", node.get("leaf_weight", 1.0))) for node in nodes],
        "tree_param": {"num_deleted": "0", "num_feature": str(features), "num_nodes": str(n), "size_leaf_vector": "1"},
    }


def _by_level(root: dict[str, Any]) -> list[dict[str, Any]]:
    nodes, at = [root], 0
    while at < len(nodes):
        if "split_feature" in nodes[at]:
            nodes += [nodes[at]["left_child"], nodes[at]["right_child"]]
        at += 1
    return nodes


def _threshold(node: dict[str, Any]) -> float:
    """The float32 number below which, in float32, lies exactly what is not above the threshold."""
    if node["decision_type"] != "<=":
        raise ValueError("LightGBM split on a set of categories")
    wide = float(node["threshold"])
    with np.errstate(over="ignore"):
        narrow = np.float32(wide)
        if float(narrow) > wide:
            narrow = np.nextafter(narrow, np.float32(-np.inf))
        # "Every number" is a threshold beyond float32; no campaign allows a number as large as this.
        return float(min(np.nextafter(narrow, np.float32(np.inf)), _LARGEST))


def _default_left(node: dict[str, Any]) -> bool:
    """Where a missing value goes. Without gaps in the training rows LightGBM takes it for 0."""
    if node["missing_type"] == "NaN":
        return bool(node["default_left"])
    if node["missing_type"] == "None":
        return float(node["threshold"]) >= 0.0
    raise ValueError("LightGBM took zero for a missing value")


def _value(node: dict[str, Any]) -> float:
    return float(np.float32(node.get("leaf_value", node.get("internal_value", 0.0))))


def _dataset(rows: Rows) -> Any:
    import lightgbm as lgb

    return lgb.Dataset(rows.matrix, rows.positive.astype(np.int32), weight=rows.weights, free_raw_data=False)


def _with_seed(params: Params, seed: int) -> dict[str, Any]:
    fixed = {"objective": "binary", "metric": "binary_logloss", "verbose": -1, "num_threads": 1, "deterministic": True}
    return {**fixed, "force_row_wise": True, **params, "seed": seed}


def leaves(booster: Any, matrix: Matrix) -> npt.NDArray[np.int64]:
    """LightGBM's own leaf of each row in each tree, shape (n, trees)."""
    found: npt.NDArray[np.int64] = np.asarray(booster.predict(matrix, pred_leaf=True), dtype=np.int64)
    return found.reshape(len(matrix), -1)
