"""From a snapshot to a model package, with honest figures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from propensity import candidate_figures
from propensity.calibrators import COMPARED
from propensity.campaign import Campaign
from propensity.candidate_figures import Held
from propensity.contest import Contest, Fitted, Plan
from propensity.errors import CampaignError, DataError, LeakSuspected
from propensity.families.base import Budget, Params
from propensity.manifest import needed_format
from propensity.metrics import evaluate
from propensity.model import Manifest, Model, canary, categories_of
from propensity.search import Found, search
from propensity.snapshot import SnapshotData, refuse_excluded
from propensity.splitting import Months, Split, random_split, time_split
from propensity.version import code_version
from propensity.zoo import FOREST, LIGHTGBM, LOGISTIC, NEURAL, SEARCHED, XGBOOST, Zoo, split_name, zoo_problems

Labels = npt.NDArray[np.bool_]
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
"""Of XGBoost."""
OTHER_PARAMS: Mapping[str, Params] = {
    LOGISTIC: {"C": 0.3},
    FOREST: {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "num_parallel_tree": 200,
        "max_depth": 9,
        "min_child_weight": 2,
        "subsample": 0.63,
        "colsample_bynode": 0.3,
    },
    LIGHTGBM: {
        "learning_rate": 0.03,
        "num_leaves": 15,
        "min_data_in_leaf": 40,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "lambda_l2": 5.0,
    },
    NEURAL: {"hidden_layer_sizes": (32,), "alpha": 1.0, "max_iter": 200, "n_iter_no_change": 5, "batch_size": 256},
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
    random_metrics : figures of the candidate that wins on the random split, mean over ``SEEDS``; made for the record and thrown away
    table : dict
        All candidates and the baselines on both splits, as JSON (`propensity.candidate_figures`).
    test_scores : float64, shape (rows of split.test,)
    """

    model: Model
    split: Split
    metrics: Mapping[str, float]
    random_metrics: Mapping[str, float]
    test_scores: npt.NDArray[np.float64]
    test_labels: Labels
    table: Mapping[str, Any]


def train(
    campaign: Campaign, data: SnapshotData, *, seed: int = 0, zoo: Zoo | None = None, progress: Progress = lambda _: None
) -> Training:
    """Train every candidate, evaluate, and package the winner.

    The split is time-ordered where the campaign has a calendar, else random. The random split is evaluated beside it and guards
    against leaks. The winner is chosen on training rows alone. The same snapshot, declaration and code give the same package digest.

    Parameters
    ----------
    zoo : Zoo or None
        None: the one that the campaign declares.

    Raises
    ------
    LeakSuspected
        The random-split ROC-AUC of a candidate is above the bound that the campaign declares.
    DataError
        The data holds a column that the campaign excludes, or a label occurs too rarely to be learned.
    CampaignError
        The zoo cannot be.
    """
    zoo = campaign.zoo if zoo is None else zoo
    for problem in zoo_problems(zoo):
        raise CampaignError(problem)
    refuse_excluded(campaign, data.table.columns)
    _enough(data.label, 10 * FOLDS, "the data")
    random, won_at_random = _random_record(campaign, data, zoo, progress)
    check_leak(campaign, max(found["roc_auc"] for found in random.values()))
    split = choose_split(campaign, data.label, data.months, seed)
    _enough(data.label[split.train], 2 * FOLDS, f"the part to learn from ({split.description})")
    progress(f"fitting: {split.description}")
    run = _Run(campaign, data, split, zoo, seed, progress)
    won = run.winner()
    model = _package(campaign, data, split, won, seed)
    scores = model.score(data.table.take(split.test))
    labels = data.label[split.test]
    metrics = evaluate(scores, labels, campaign.economics)
    recorded = {k: v for k, v in metrics.items() if np.isfinite(v)}
    model = replace(model, manifest=replace(model.manifest, metrics=recorded))
    return Training(model, split, metrics, random[won_at_random], scores, labels, run.table(won, random))


class _Run:
    """The candidates on the split that counts: those fitted on all its training rows, and on the earlier months of them."""

    def __init__(self, campaign: Campaign, data: SnapshotData, split: Split, zoo: Zoo, seed: int, progress: Progress) -> None:
        self._campaign, self._data, self._split, self._zoo, self._seed = campaign, data, split, zoo, seed
        train = np.flatnonzero(split.train)
        contest = Contest(data.table.take(train), data.label[train], _plan(), seed)
        self.searches = _searched(contest, zoo, seed, progress)
        plan = _plan({name: found.params for name, found in self.searches.items()})
        contest = Contest(data.table.take(train), data.label[train], replace(plan, calibrations=COMPARED), seed)
        self._fitted = [contest.fitted(candidate) for candidate in zoo.candidates]
        # One candidate alone wins without it.
        self._earlier_split = _earlier(campaign, data, split) if len(zoo.candidates) > 1 else None
        self._earlier: dict[str, Fitted] = {}
        if self._earlier_split is not None:
            progress(f"choosing: {self._earlier_split.description}")
            before = np.flatnonzero(self._earlier_split.train)
            earlier = Contest(data.table.take(before), data.label[before], plan, seed)
            self._earlier = {candidate: earlier.fitted(candidate) for candidate in zoo.candidates}
        self._held = {one.candidate: Held(one.held_out_log_loss, self._tomorrow(one.candidate)) for one in self._fitted}

    def winner(self) -> Fitted:
        """The servable candidate that does best on held-out training rows."""
        return candidate_figures.winner(self._fitted, self._held)

    def _tomorrow(self, candidate: str) -> float | None:
        if self._earlier_split is None:
            return None
        held = np.flatnonzero(self._earlier_split.test)
        return candidate_figures.log_loss_at_best_level(
            self._earlier[candidate].scores(self._data.table.take(held)), self._data.label[held]
        )

    def table(self, won: Fitted, random: Mapping[str, candidate_figures.Figures]) -> dict[str, Any]:
        """Everything that was compared, as JSON."""
        test, economics = self._split.test, self._campaign.economics
        held, labels = self._data.table.take(test), self._data.label[test]
        lines = []
        for one in self._fitted:
            found = candidate_figures.figures(one.scores(held), labels, economics)
            speed = candidate_figures.microseconds_per_row(one, one.encoding.matrix(held))
            by_split = {"test": found, "random": random[one.candidate]}
            lines.append(candidate_figures.entry(one, self._held[one.candidate], one is won, by_split, speed))
        return {
            "winner": won.candidate,
            "criterion": "mean log loss on training rows held out: cross-validated, and on the last months from those before",
            "test_split": self._split.description,
            "random_split": f"random stratified, {self._campaign.test_share:.0%} tested, mean of the seeds {', '.join(map(str, SEEDS))}",
            "label_delay": candidate_figures.LABEL_DELAY,
            "candidates": lines,
            "test_baselines": [candidate_figures.everyone(labels, economics), *self._time_baselines(won, held, labels)],
            "random_baselines": [candidate_figures.everyone(self._data.label, economics)],
            "searches": {name: {**vars(found), "params": dict(found.params)} for name, found in self.searches.items()},
        }

    def _time_baselines(self, won: Fitted, held: Any, labels: Labels) -> list[dict[str, Any]]:
        if self._data.months is None or self._split.kind != "time":
            return []
        economics = self._campaign.economics
        trailing = candidate_figures.trailing_rate(self._data.months, self._data.label, self._split.test)
        name = f"trailing rate: that of the last {candidate_figures.TRAILING_ROWS} rows of the months before"
        found = [candidate_figures.baseline(name, candidate_figures.figures(trailing, labels, economics))]
        if self._earlier_split is not None:
            frozen = candidate_figures.figures(self._earlier[won.candidate].scores(held), labels, economics)
            last = self._data.months[self._earlier_split.train].max()
            found.append(candidate_figures.baseline(f"frozen: {won.candidate} that learned until {last} and was left", frozen))
        return found


def _plan(searched: Mapping[str, Params] | None = None) -> Plan:
    return Plan(FOLDS, Budget(MAX_ROUNDS, PATIENCE_ROUNDS), {XGBOOST: PARAMS, **OTHER_PARAMS, **(searched or {})})


def _searched(contest: Contest, zoo: Zoo, seed: int, progress: Progress) -> dict[str, Found]:
    """Searched settings per family, where the zoo declares trials; found on the training rows of the split."""
    if not zoo.search_trials:
        return {}
    names = dict.fromkeys(name for name, _ in map(split_name, zoo.candidates) if name in SEARCHED)
    found = {}
    for name in names:
        progress(f"searching: {name}, {zoo.search_trials} trials")
        found[name] = search(contest, name, _plan().params[name], zoo.search_trials, seed)
    return found


def _earlier(campaign: Campaign, data: SnapshotData, split: Split) -> Split | None:
    """The training rows split by time once more, as masks over all rows; None where they have one month or too few of a label."""
    if data.months is None or split.kind != "time" or len(np.unique(data.months[split.train])) < 2:
        return None
    inner = time_split(data.months[split.train], campaign.test_share)
    masks = []
    for part in (inner.train, inner.test):
        mask = np.zeros(len(data.table), dtype=bool)
        mask[np.flatnonzero(split.train)[part]] = True
        masks.append(mask)
    rarest = min(min(data.label[mask].sum(), (~data.label[mask]).sum()) for mask in masks)
    return Split("time", masks[0], masks[1], inner.description) if rarest >= 2 * FOLDS else None


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


def _random_record(
    campaign: Campaign, data: SnapshotData, zoo: Zoo, progress: Progress
) -> tuple[dict[str, candidate_figures.Figures], str]:
    """Mean figures per candidate over the seeds, with the settings of this module: a search would have seen some of the test rows.

    And which candidate would win there: the servable one with the smallest cross-validated log loss on the splits' own training rows.
    """
    runs: dict[str, list[candidate_figures.Figures]] = {candidate: [] for candidate in zoo.candidates}
    today: dict[str, float] = {}
    for number, seed in enumerate(SEEDS, start=1):
        progress(f"random split for the record, {number} of {len(SEEDS)}")
        split = random_split(data.label, campaign.test_share, seed)
        contest = Contest(data.table.take(split.train), data.label[split.train], _plan(), seed)
        held, labels = data.table.take(split.test), data.label[split.test]
        for candidate in zoo.candidates:
            fitted = contest.fitted(candidate)
            runs[candidate].append(candidate_figures.figures(fitted.scores(held), labels, campaign.economics))
            if fitted.booster_json is not None:
                today[candidate] = today.get(candidate, 0.0) + fitted.held_out_log_loss
    return {candidate: _mean(found) for candidate, found in runs.items()}, min(today, key=lambda name: today[name])


def _mean(runs: Sequence[candidate_figures.Figures]) -> candidate_figures.Figures:
    return {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}


def _package(campaign: Campaign, data: SnapshotData, split: Split, won: Fitted, seed: int) -> Model:
    if won.booster_json is None:
        raise ValueError(f"the candidate {won.candidate!r} cannot be served: {won.not_servable}")
    months = None if data.months is None else data.months[split.train]
    manifest = Manifest(
        format=needed_format(won.families, won.linear, None),
        campaign=campaign.name,
        declaration_digest=campaign.digest(),
        features=campaign.feature_names,
        categories=categories_of(campaign),
        ranks=won.encoding.ranks,
        slope=won.calibration.calibration.slope,
        offset=won.calibration.calibration.offset,
        params={**won.params, "seed": seed, "candidate": won.candidate, "calibration": won.calibration.name},
        rounds=won.rounds,
        snapshot_id=data.manifest.snapshot_id,
        split=split.description,
        trained_months=None if months is None else (str(months.min()), str(months.max())),
        trained_rows=int(split.train.sum()),
        metrics={},
        code_version=code_version(),
        model_sha256=hashlib.sha256(won.booster_json).hexdigest(),
        canary={},
        families=won.families,
        linear=won.linear,
        weight_trees=won.weight_trees,
        weight_linear=won.weight_linear,
    )
    booster = xgb.Booster({"nthread": 1})
    booster.load_model(bytearray(won.booster_json))
    model = Model(campaign, manifest, booster, won.booster_json)
    held = data.table.take(split.test)
    return replace(model, manifest=replace(manifest, canary=canary(held, model.score(held))))
