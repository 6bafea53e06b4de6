"""XGBoost, and a random forest of the same trees."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from propensity.families.base import Budget, Member, Params, Rows
from propensity.features import Matrix
from propensity.zoo import FOREST, XGBOOST

# Of the rows of the whole forest, by which a leaf's rate is drawn to the base rate.
_PRIOR_ROWS = 5.0


class XGBoost:
    """Boosted trees; rows held out choose how many."""

    name = XGBOOST
    not_servable = ""

    def held_out(self, seen: Rows, unseen: Rows, params: Params, seed: int, budget: Budget) -> tuple[int, npt.NDArray[np.floating]]:
        held = matrix_of(unseen)
        booster = xgb.train(
            with_seed(params, seed),
            matrix_of(seen),
            budget.rounds,
            evals=[(held, "held")],
            early_stopping_rounds=budget.patience_rounds,
            verbose_eval=False,
        )
        best = booster.best_iteration + 1
        margin: npt.NDArray[np.float32] = booster.predict(held, output_margin=True, iteration_range=(0, best))
        return best, margin

    def fit(self, rows: Rows, rounds: int, params: Params, seed: int) -> Member:
        booster = xgb.train(with_seed(params, seed), matrix_of(rows), rounds)
        return of_booster(bytes(booster.save_raw("json")), rounds)


class Forest:
    """A random forest grown by XGBoost side by side (``num_parallel_tree``), so that it is served as any booster.

    One Newton step from the base rate leaves in each leaf a number that is linear in its rate. A sum of those is no log-odds: rates near
    0 come out far too high. So each leaf gets the log-odds of its rate instead, and the forest is their mean.
    """

    name = FOREST
    not_servable = ""

    def held_out(self, seen: Rows, unseen: Rows, params: Params, seed: int, budget: Budget) -> tuple[int, npt.NDArray[np.floating]]:  # noqa: ARG002
        return 1, self.fit(seen, 1, params, seed).margin(unseen.matrix)

    def fit(self, rows: Rows, rounds: int, params: Params, seed: int) -> Member:  # noqa: ARG002
        base = min(max(rows.rate, 1e-6), 1 - 1e-6)
        grown = {**with_seed(params, seed), "eta": 1.0, "reg_lambda": 0.0, "base_score": base}
        booster = xgb.train(grown, matrix_of(rows), 1)
        return of_booster(_mean_log_odds(bytes(booster.save_raw("json")), base), 1)


def _mean_log_odds(model_json: bytes, base: float) -> bytes:
    """Each leaf's Newton step replaced by the log-odds of its rate less those of the base rate, over the number of trees."""
    document: dict[str, Any] = json.loads(model_json)
    trees = document["learner"]["gradient_booster"]["model"]["trees"]
    base_log_odds = np.log(base / (1 - base))
    for tree in trees:
        left = np.array(tree["left_children"])
        value = np.array(tree["split_conditions"], dtype=np.float64)
        hessian = np.array(tree["sum_hessian"], dtype=np.float64)
        rows = hessian / (base * (1 - base))
        rate = np.clip(base + value * len(trees) * base * (1 - base), 0.0, 1.0)
        drawn = (rate * rows + _PRIOR_ROWS * base) / (rows + _PRIOR_ROWS)
        leaf = ((np.log(drawn / (1 - drawn)) - base_log_odds) / len(trees)).astype(np.float32)
        tree["split_conditions"] = [float(str(new)) if at < 0 else old for new, old, at in zip(leaf, value.tolist(), left, strict=True)]
    return as_xgboost_writes(document)


def as_xgboost_writes(document: dict[str, Any]) -> bytes:
    """A document through XGBoost itself: what it has read, written its own way."""
    booster = xgb.Booster({"nthread": 1})
    booster.load_model(bytearray(json.dumps(document).encode()))
    return bytes(booster.save_raw("json"))


def of_booster(model_json: bytes, rounds: int) -> Member:
    """The member whose margins are those of the packaged bytes."""
    booster = xgb.Booster({"nthread": 1})
    booster.load_model(bytearray(model_json))

    def margin(matrix: Matrix) -> npt.NDArray[np.floating]:
        found: npt.NDArray[np.float32] = booster.inplace_predict(matrix, predict_type="margin")
        return found

    return Member(margin, rounds, len(model_json), booster_json=model_json)


def no_trees(features: int) -> bytes:
    """A booster of one leaf of value 0, for a package whose linear member is all there is."""
    labels = np.array([0, 1])
    params = {"objective": "binary:logistic", "base_score": 0.5, "nthread": 1}
    return bytes(xgb.train(params, xgb.DMatrix(np.zeros((2, features), dtype=np.float32), labels, nthread=1), 1).save_raw("json"))


def with_seed(params: Params, seed: int) -> dict[str, Any]:
    """One thread: the result does not depend on the number of cores."""
    return {**params, "seed": seed, "nthread": 1}


def matrix_of(rows: Rows) -> xgb.DMatrix:
    return xgb.DMatrix(rows.matrix, rows.positive, weight=rows.weights, nthread=1)
