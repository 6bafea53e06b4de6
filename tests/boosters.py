"""Boosters of many kinds, for tests of what reads them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

Rows = npt.NDArray[np.float32]
FEATURES = 6

KINDS: dict[str, dict[str, Any]] = {
    "one level": {"max_depth": 1},
    "as trained here": {"max_depth": 5, "eta": 0.03, "subsample": 0.7, "colsample_bytree": 0.5, "min_child_weight": 10, "rounds": 80},
    "deep": {"max_depth": 8, "min_child_weight": 0, "rounds": 15},
    "unbalanced": {"max_depth": 14, "max_leaves": 20, "grow_policy": "lossguide", "min_child_weight": 0, "rounds": 20},
    "single leaves": {"gamma": 1e9, "rounds": 5},
    "pruned": {"tree_method": "exact", "gamma": 2.0, "rounds": 40},
    "several trees a round": {"num_parallel_tree": 3, "subsample": 0.5, "rounds": 12},
    "another base": {"base_score": 0.013, "max_depth": 3},
    "many": {"max_depth": 3, "eta": 0.01, "rounds": 600},
    "weights of zero": {"max_depth": 4, "min_child_weight": 0, "zero_weights": True},
}


def rows(n: int, seed: int = 0) -> Rows:
    """Rows with numbers, few distinct values, missing values, zeros of both signs, tiny and huge numbers."""
    rng = np.random.default_rng(seed)
    made = rng.normal(size=(n, FEATURES)).astype(np.float32)
    made[:, 1] = np.round(made[:, 1] * 2)
    made[:, 2] *= np.float32(1e-40)
    made[:, 3] *= np.float32(1e30)
    made[rng.random(made.shape) < 0.1] = np.nan
    made[rng.random(made.shape) < 0.03] = -0.0
    made[rng.random(made.shape) < 0.03] = 0.0
    return made


@cache
def booster(kind: str, n: int = 800) -> xgb.Booster:
    """A booster of a kind, as it comes back from its JSON."""
    params = {"objective": "binary:logistic", "tree_method": "hist", "eta": 0.3, "nthread": 1, "seed": 1} | KINDS[kind]
    made, rng = rows(n, seed=7), np.random.default_rng(8)
    labels = np.nan_to_num(made[:, 0]) + np.sign(np.nan_to_num(made[:, 2])) + rng.normal(size=n) > 0.5
    weights = np.where(rng.random(n) < 0.5, 0.0, 1.0) if params.pop("zero_weights", False) else None
    rounds = params.pop("rounds", 30)
    return again(xgb.train(params, xgb.DMatrix(made, labels, weight=weights, nthread=1), rounds))


def as_json(made: xgb.Booster) -> bytes:
    return bytes(made.save_raw("json"))


def again(made: xgb.Booster) -> xgb.Booster:
    """The booster as it comes back from its JSON, with one thread."""
    read = xgb.Booster({"nthread": 1})
    read.load_model(bytearray(as_json(made)))
    return read
