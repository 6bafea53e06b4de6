"""A search for better settings of a family, on training rows alone, with a declared number of trials.

Source: Akiba et al., "Optuna: A next-generation hyperparameter optimization framework", 2019. A trial that after a fold is worse than
half of those before it is given up (median pruning).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from propensity.contest import Contest
from propensity.families.base import Params
from propensity.zoo import FOREST, LIGHTGBM, LOGISTIC, XGBOOST

_STARTUP_TRIALS = 5


@dataclass(frozen=True)
class Found:
    """What a search found: the settings, the mean held-out log loss of them and of those it began with, and what it took."""

    params: Params
    log_loss: float
    log_loss_before: float
    trials: int
    pruned: int


def search(contest: Contest, name: str, before: Params, trials: int, seed: int) -> Found:
    """The best settings of the family among ``trials``, the first of which are those given. The same arguments find the same."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP_TRIALS),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP_TRIALS, n_warmup_steps=1),
    )

    def objective(trial: Any) -> float:
        params = before if trial.number == 0 else {**before, **_SPACES[name](trial)}
        losses: list[float] = []
        for loss in contest.fold_losses(name, params):
            losses.append(loss)
            trial.report(float(np.mean(losses)), len(losses))
            # The first is what all others are measured against.
            if trial.number and trial.should_prune():
                raise optuna.TrialPruned
        trial.set_user_attr("params", dict(params))
        return float(np.mean(losses))

    study.optimize(objective, n_trials=trials)
    pruned = sum(trial.state == optuna.trial.TrialState.PRUNED for trial in study.trials)
    best = study.best_trial
    return Found(best.user_attrs["params"], float(study.best_value), float(study.trials[0].value or np.nan), len(study.trials), pruned)


def _xgboost(trial: Any) -> dict[str, Any]:
    return {
        "max_depth": trial.suggest_int("max_depth", 3, 8),
        "eta": trial.suggest_float("eta", 0.02, 0.15, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1.0),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
        "min_child_weight": trial.suggest_float("min_child_weight", 1.0, 50.0, log=True),
        "reg_lambda": trial.suggest_float("reg_lambda", 0.5, 50.0, log=True),
    }


def _lightgbm(trial: Any) -> dict[str, Any]:
    return {
        "num_leaves": trial.suggest_int("num_leaves", 7, 63),
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.15, log=True),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.5, 1.0),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.3, 1.0),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 10, 200, log=True),
        "lambda_l2": trial.suggest_float("lambda_l2", 0.5, 50.0, log=True),
    }


def _forest(trial: Any) -> dict[str, Any]:
    return {
        "max_depth": trial.suggest_int("max_depth", 5, 12),
        "min_child_weight": trial.suggest_float("min_child_weight", 0.5, 20.0, log=True),
        "subsample": trial.suggest_float("subsample", 0.4, 0.9),
        "colsample_bynode": trial.suggest_float("colsample_bynode", 0.15, 0.7),
    }


def _logistic(trial: Any) -> dict[str, Any]:
    return {"C": trial.suggest_float("C", 1e-3, 30.0, log=True)}


_SPACES: dict[str, Callable[[Any], dict[str, Any]]] = {XGBOOST: _xgboost, LIGHTGBM: _lightgbm, FOREST: _forest, LOGISTIC: _logistic}
