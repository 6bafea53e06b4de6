"""Boosters as XGBoost JSON: what is read, and what is looked at before anything is scored with it.

XGBoost trusts its models. A child that points out of its tree, a tree that turns back on itself or a column that does not exist ends the
process or never returns, at the first row that comes by: perhaps none of the canary rows does. So the trees themselves are walked here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import xgboost as xgb

from propensity.errors import ModelDamaged

Integers = npt.NDArray[np.int64]
# Explaining a row takes memory with the square of the depth; training stays below ten.
MAX_DEPTH = 64
LARGEST_LEAF = 1e30
_LEAF = -1


class _TreeParam(msgspec.Struct):
    num_nodes: str
    num_feature: str
    size_leaf_vector: str = "1"


class _Tree(msgspec.Struct):
    tree_param: _TreeParam
    left_children: list[int]
    right_children: list[int]
    split_indices: list[int]
    split_conditions: list[float]
    split_type: list[int]
    default_left: list[int]
    sum_hessian: list[float]
    base_weights: list[float]


class _Trees(msgspec.Struct):
    trees: list[_Tree]
    tree_info: list[int]
    cats: dict[str, list[Any]] = {}


class _Boosted(msgspec.Struct):
    name: str
    model: _Trees


class _LearnerParam(msgspec.Struct):
    num_class: str
    num_feature: str
    num_target: str = "1"


class _Learner(msgspec.Struct):
    learner_model_param: _LearnerParam
    gradient_booster: _Boosted


class _Document(msgspec.Struct):
    learner: _Learner


_DECODER = msgspec.json.Decoder(_Document)


def load_booster(model_json: bytes) -> xgb.Booster:
    """A booster whose trees were looked at. Raises ModelDamaged where the bytes are not such a model in XGBoost's JSON.

    For bytes of unknown origin a process to throw away does this first (`propensity.first_parse`): damage may end it.
    """
    check_trees(model_json)
    return read_booster(model_json)


def read_booster(model_json: bytes) -> xgb.Booster:
    """The same for bytes that were loaded before: parsed once, not twice. Raises ModelDamaged where XGBoost refuses them."""
    # XGBoost takes UBJSON as well, whatever it is called, and trusts it even more.
    if model_json[:1] == b"{" and model_json[1:2] != b'"':
        raise ModelDamaged("the booster of the model package cannot be read: it is not what XGBoost writes as JSON")
    booster = xgb.Booster({"nthread": 1})
    try:
        booster.load_model(bytearray(model_json))
    except (xgb.core.XGBoostError, ValueError) as exc:
        raise ModelDamaged("the booster of the model package cannot be read") from exc
    return booster


def check_trees(model_json: bytes, columns: int | None = None) -> None:
    """Raises ModelDamaged unless every tree is a tree over existing columns (``columns`` of them, where that is known), with one margin."""
    try:
        learner = _DECODER.decode(model_json).learner
        _check_params(learner, columns)
        _check_nodes(learner.gradient_booster.model.trees, int(learner.learner_model_param.num_feature))
    except (ValueError, OverflowError, RecursionError) as exc:
        raise ModelDamaged("the booster of the model package cannot be read: it is not what XGBoost writes as JSON") from exc


def _check_params(learner: _Learner, columns: int | None) -> None:
    param, boosted = learner.learner_model_param, learner.gradient_booster
    width = int(param.num_feature)
    if boosted.name != "gbtree" or int(param.num_class) not in (0, 1) or int(param.num_target) != 1:
        raise ModelDamaged("the booster of the model package is not one of trees with a single margin")
    if width < 1 or (columns is not None and width != columns):
        raise ModelDamaged(f"the booster of the model package reads {width} columns, not those of its campaign")
    if len(boosted.model.tree_info) != len(boosted.model.trees) or any(boosted.model.tree_info) or any(boosted.model.cats.values()):
        raise ModelDamaged("the booster of the model package has trees for other margins, or categories of its own")


def _check_nodes(trees: Sequence[_Tree], width: int) -> None:
    """Walk all trees at once, a level at a time: every child exists, no node is met twice, no path is too long."""
    if not trees:
        return
    sizes = np.array([len(tree.left_children) for tree in trees], dtype=np.int64)
    for tree, size in zip(trees, sizes.tolist(), strict=True):
        arrays = (tree.right_children, tree.split_indices, tree.split_conditions, tree.split_type, tree.default_left)
        whole = (
            all(len(array) == size for array in (*arrays, tree.sum_hessian, tree.base_weights)) and int(tree.tree_param.num_nodes) == size
        )
        if not whole or not size or int(tree.tree_param.size_leaf_vector) not in (0, 1) or any(tree.split_type):
            raise ModelDamaged("the booster of the model package has a tree whose parts do not belong together")
    starts = np.cumsum(sizes) - sizes
    left, right, column = (_joined(trees, pick) for pick in (_lefts, _rights, _columns))
    value = np.concatenate([np.array(tree.split_conditions, dtype=np.float64) for tree in trees])
    start, end = np.repeat(starts, sizes), np.repeat(starts + sizes, sizes)
    met = np.zeros(len(left), dtype=bool)
    level = starts
    for _ in range(MAX_DEPTH + 1):
        met[level] = True
        leaf = left[level] == _LEAF
        inner = level[~leaf]
        children = np.concatenate([left[inner] + start[inner], right[inner] + start[inner]])
        low, high = np.tile(start[inner], 2), np.tile(end[inner], 2)
        sound = (children > low).all() and (children < high).all() and not met[children].any() and len(np.unique(children)) == len(children)
        if not sound or (right[level][leaf] != _LEAF).any():
            raise ModelDamaged("the booster of the model package has a tree that is none: a child is missing, foreign or met twice")
        if (column[inner] < 0).any() or (column[inner] >= width).any() or not (np.abs(value[level]) <= LARGEST_LEAF).all():
            raise ModelDamaged("the booster of the model package splits by a column or holds a value that cannot be")
        if not len(inner):
            return
        level = children
    raise ModelDamaged(f"the booster of the model package has a tree deeper than {MAX_DEPTH} splits")


def _joined(trees: Sequence[_Tree], pick: Callable[[_Tree], list[int]]) -> Integers:
    return np.concatenate([np.array(pick(tree), dtype=np.int64) for tree in trees])


def _lefts(tree: _Tree) -> list[int]:
    return tree.left_children


def _rights(tree: _Tree) -> list[int]:
    return tree.right_children


def _columns(tree: _Tree) -> list[int]:
    return tree.split_indices
