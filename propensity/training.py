"""From a snapshot to a model package, with honest figures."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from propensity.calibration import Calibration, fit_calibration
from propensity.campaign import Campaign
from propensity.errors import DataError, LeakSuspected
from propensity.features import Encoding, fit_encoding
from propensity.metrics import evaluate
from propensity.model import FORMAT, Manifest, Model, canary, categories_of
from propensity.schema import Table
from propensity.snapshot import SnapshotData, refuse_excluded
from propensity.splitting import Months, Split, random_split, time_split
from propensity.version import code_version

Labels = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.intp]
SEEDS = (42, 0, 1)
FOLDS = 5
MAX_ROUNDS = 1_000
PATIENCE_ROUNDS = 40
PARAMS: Mapping[str, Any] = {
    "objective": "binary:logistic",
    "eval_metric": "logloss",
    "tree_method": "hist",
    "max_depth": 5,
    "eta": 0.03,
    "subsample": 0.7,
    "colsample_bytree": 0.5,
    "min_child_weight": 10,
    "reg_lambda": 5,
}
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Training:
    """What one training run produced.

    Attributes
    ----------
    model : Model
        Trained on ``split.train`` alone: its figures are those of rows that it never saw.
    metrics : figures on ``split.test``
    random_metrics : figures of the random split, mean over ``SEEDS``; models made for the record and thrown away
    test_scores : float64, shape (rows of split.test,)
    """

    model: Model
    split: Split
    metrics: Mapping[str, float]
    random_metrics: Mapping[str, float]
    test_scores: npt.NDArray[np.float64]
    test_labels: Labels


@dataclass(frozen=True)
class _Fitted:
    encoding: Encoding
    calibration: Calibration
    booster: xgb.Booster
    rounds: int


def train(campaign: Campaign, data: SnapshotData, *, seed: int = 0, progress: Progress = lambda _: None) -> Training:
    """Train, evaluate and package.

    The split is time-ordered where the campaign has a calendar, else random. The random split is evaluated beside it and guards
    against leaks. The same snapshot, declaration and code give the same package digest.

    Raises
    ------
    LeakSuspected
        The random-split ROC-AUC is above the bound that the campaign declares.
    DataError
        The data holds a column that the campaign excludes, or a label occurs too rarely to be learned.
    """
    refuse_excluded(campaign, data.table.columns)
    _enough(data.label, 10 * FOLDS, "the data")
    random_metrics = _random_record(campaign, data, progress)
    check_leak(campaign, random_metrics["roc_auc"])
    split = choose_split(campaign, data.label, data.months, seed)
    _enough(data.label[split.train], 2 * FOLDS, f"the part to learn from ({split.description})")
    progress(f"fitting: {split.description}")
    fitted = _fit(data.table.take(split.train), data.label[split.train], seed)
    model = _package(campaign, data, split, fitted, seed)
    scores = model.score(data.table.take(split.test))
    labels = data.label[split.test]
    metrics = evaluate(scores, labels, campaign.economics)
    recorded = {k: v for k, v in metrics.items() if np.isfinite(v)}
    model = replace(model, manifest=replace(model.manifest, metrics=recorded))
    return Training(model, split, metrics, random_metrics, scores, labels)


def choose_split(campaign: Campaign, positive: Labels, months: Months | None, seed: int) -> Split:
    """Time-ordered where the rows have months, else random."""
    if months is None or len(np.unique(months)) < 2:
        return random_split(positive, campaign.test_share, seed)
    return time_split(months, campaign.test_share)


def check_leak(campaign: Campaign, roc_auc: float) -> None:
    """Raises LeakSuspected where a random split gives more than honest data allows."""
    guard = campaign.leak_guard
    if guard is not None and roc_auc > guard.roc_auc_above:
        raise LeakSuspected(
            f"campaign {campaign.name!r}: the random-split ROC-AUC is {roc_auc:.4f}, above {guard.roc_auc_above}: "
            "a feature knows something that is known only after the contact. Nothing was registered"
        )


def _enough(positive: Labels, needed: int, where: str) -> None:
    rarest = int(min(positive.sum(), (~positive).sum()))
    if rarest < needed:
        raise DataError(f"the rarer label occurs in {rarest} rows of {where}; training needs at least {needed}")


def _random_record(campaign: Campaign, data: SnapshotData, progress: Progress) -> dict[str, float]:
    runs = []
    for number, seed in enumerate(SEEDS, start=1):
        progress(f"random split for the record, {number} of {len(SEEDS)}")
        split = random_split(data.label, campaign.test_share, seed)
        fitted = _fit(data.table.take(split.train), data.label[split.train], seed)
        margin = fitted.booster.inplace_predict(fitted.encoding.matrix(data.table.take(split.test)), predict_type="margin")
        runs.append(evaluate(fitted.calibration.probability(margin), data.label[split.test], campaign.economics))
    return {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}


def _fit(table: Table, positive: Labels, seed: int) -> _Fitted:
    """Cross-validation chooses the rounds and gives out-of-fold margins for the calibration; the booster is then fitted on all rows.

    Every booster is fitted by one thread, the folds side by side: the result does not depend on the number of cores, and threads that
    wait for each other inside XGBoost slow each other down where the machine has other work.
    """
    from sklearn.model_selection import StratifiedKFold

    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(np.zeros(len(table)), positive))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda fold: _fit_fold(table, positive, seed, *fold), folds))
    margins = np.empty(len(table))
    for (_, held), (_, margin) in zip(folds, results, strict=True):
        margins[held] = margin
    rounds = max(1, round(float(np.mean([best for best, _ in results]))))
    encoding = fit_encoding(table, positive)
    booster = xgb.train(_params(seed), _matrix(encoding, table, positive), rounds)
    return _Fitted(encoding, fit_calibration(margins, positive), booster, rounds)


def _fit_fold(table: Table, positive: Labels, seed: int, train: Positions, held: Positions) -> tuple[int, npt.NDArray[np.float32]]:
    """Best number of rounds and the margins of the rows held out; the encoding, too, is learned without them."""
    encoding = fit_encoding(table.take(train), positive[train])
    seen = _matrix(encoding, table.take(train), positive[train])
    unseen = _matrix(encoding, table.take(held), positive[held])
    booster = xgb.train(
        _params(seed), seen, MAX_ROUNDS, evals=[(unseen, "held")], early_stopping_rounds=PATIENCE_ROUNDS, verbose_eval=False
    )
    best = booster.best_iteration + 1
    return best, booster.predict(unseen, output_margin=True, iteration_range=(0, best))


def _params(seed: int) -> dict[str, Any]:
    return {**PARAMS, "seed": seed, "nthread": 1}


def _matrix(encoding: Encoding, table: Table, positive: Labels) -> xgb.DMatrix:
    return xgb.DMatrix(encoding.matrix(table), positive, nthread=1)


def _package(campaign: Campaign, data: SnapshotData, split: Split, fitted: _Fitted, seed: int) -> Model:
    model_json = bytes(fitted.booster.save_raw("json"))
    months = None if data.months is None else data.months[split.train]
    manifest = Manifest(
        format=FORMAT,
        campaign=campaign.name,
        declaration_digest=campaign.digest(),
        features=campaign.feature_names,
        categories=categories_of(campaign),
        ranks=fitted.encoding.ranks,
        slope=fitted.calibration.slope,
        offset=fitted.calibration.offset,
        params={**PARAMS, "seed": seed},
        rounds=fitted.rounds,
        snapshot_id=data.manifest.snapshot_id,
        split=split.description,
        trained_months=None if months is None else (str(months.min()), str(months.max())),
        trained_rows=int(split.train.sum()),
        metrics={},
        code_version=code_version(),
        model_sha256=hashlib.sha256(model_json).hexdigest(),
        canary={},
    )
    booster = xgb.Booster({"nthread": 1})
    booster.load_model(bytearray(model_json))
    model = Model(campaign, manifest, booster, model_json)
    held = data.table.take(split.test)
    return replace(model, manifest=replace(manifest, canary=canary(held, model.score(held))))
