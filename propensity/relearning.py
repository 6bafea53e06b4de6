"""Train again from outcomes, judge the result beside the live model, and follow the response rate in between.

A retrain learns the effects of the features from every outcome that is known, the older the less (`propensity.following`). It is judged
before it may go live: the same learning, ended at the middle of the outcomes that the live model's training had not seen, predicts the
newer half, and the campaign's gates compare it with the scores that were really given. A retrain that does not pass changes nothing.
A recalibration moves the offset alone: the level of the response rate, and what the contacts of a day say about it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from propensity.campaign import Campaign
from propensity.contact_days import ContactDay, effects_of, known_days, linear_of
from propensity.features import fit_encoding
from propensity.following import State, advance, sigmoid, start
from propensity.manifest import FORMAT_2, Manifest
from propensity.metrics import evaluate, roc_auc
from propensity.model import Model, canary, categories_of, recalibrated
from propensity.promotion import Judgement, judge
from propensity.retraining import Evidence, Retraining, Steps, roc_auc_error
from propensity.schema import Table
from propensity.version import code_version

FloatArray = npt.NDArray[np.float64]
Margin = Callable[[Table], FloatArray]
FAMILIES = ("following",)
LEARNED_UNTIL = "learned_until"
# Below this many outcomes of the rarer kind a comparison says nothing.
FEWEST = 10
# The newest outcomes that a retrain is judged on, at most.
MOST_JUDGED = 1_000
_CANARY_FROM = 1_000


class Following:
    """What is believed after each contact day, extended as outcomes become known.

    Parameters
    ----------
    days : sequence of ContactDay
        May grow; a day is not looked at before `until` reaches it.
    state : State
        The belief after the first ``after`` days.
    margin : from a table to log-odds, or None
        A frozen model: its effects stay, and the level and traffic alone are followed. None: the effects are followed as well.
    """

    def __init__(self, days: Sequence[ContactDay], steps: Steps, state: State, after: int = 0, margin: Margin | None = None) -> None:
        self._days, self._steps, self._margin, self._after = days, steps, margin, after
        self._states = [state]

    def until(self, days: int) -> State:
        """The belief once the outcomes of the first ``days`` days are known; no day after them is read."""
        while self._after + len(self._states) - 1 < days:
            self._states.append(self._next(self._days[self._after + len(self._states) - 1]))
        return self._states[max(0, days - self._after)]

    def _next(self, day: ContactDay) -> State:
        keep = day.known
        if self._margin is None:
            design, margin = day.design[keep], np.zeros(int(keep.sum()))
        else:
            table = day.table if keep.all() else day.table.take(keep)
            design, margin = np.empty((len(table), 0)), self._margin(table)
        return advance(self._states[-1], design, day.traffic_terms[keep], day.labels, margin, self._steps)


def learning(campaign: Campaign, days: Sequence[ContactDay], steps: Steps) -> Following:
    """A learning from the first outcome on."""
    return Following(days, steps, start(effects_of(campaign)))


def margin_of(model: Model) -> Margin:
    """What a model adds to the level: its calibrated log-odds without the offset."""
    return lambda table: model.log_odds(model.encode(table)) - model.manifest.offset if len(table) else np.empty(0)


def level_of(model: Model, days: Sequence[ContactDay], steps: Steps, state: State, after: int) -> Following:
    """Follow the level of a model that was learned from the first ``after`` days, which ended in ``state``."""
    return Following(days, steps, replace(state, mean=state.mean[:2], covariance=state.covariance[:2, :2]), after, margin_of(model))


def level_from(model: Model, days: Sequence[ContactDay], steps: Steps, after: int) -> Following:
    """Follow the level of a model that was trained otherwise, beginning with its own offset after the first ``after`` days."""
    state = start(0)
    mean = state.mean.copy()
    recalibration = model.manifest.recalibration
    mean[0] = model.manifest.offset if recalibration is None else recalibration.base_offset
    return Following(days, steps, replace(state, mean=mean), after, margin_of(model))


def package(campaign: Campaign, days: Sequence[ContactDay], known: int, state: State, steps: Steps, source: str, traffic: float) -> Model:
    """The package of what was learned from the first ``known`` days. ``source`` names where their rows come from (a snapshot's id)."""
    booster_json = _empty_booster(len(campaign.features))
    recent = _newest(days[:known])
    learned_from = np.concatenate([day.design[day.known] for day in days[:known]])
    positive = np.concatenate([day.labels for day in recent])
    table = joined(campaign, [day.table.take(day.known) for day in recent])
    manifest = Manifest(
        format=FORMAT_2,
        campaign=campaign.name,
        declaration_digest=campaign.digest(),
        features=campaign.feature_names,
        categories=categories_of(campaign),
        # No tree reads the ranks; the linear member finds its coefficients by them.
        ranks=fit_encoding(table, positive).ranks,
        slope=1.0,
        offset=round(state.offset(traffic), 10),
        params={
            "level_step": steps.level,
            "effects_step": steps.effects,
            "traffic_step": steps.traffic,
            LEARNED_UNTIL: str(days[known - 1].date),
        },
        rounds=1,
        snapshot_id=source,
        split=f"followed the outcomes of {known} contact days, {days[0].date} to {days[known - 1].date}",
        trained_months=(f"{days[0].date:%Y-%m}", f"{days[known - 1].date:%Y-%m}"),
        trained_rows=state.rows,
        metrics={},
        code_version=code_version(),
        model_sha256=hashlib.sha256(booster_json).hexdigest(),
        canary={},
        families=FAMILIES,
        linear=linear_of(campaign, state.mean[2:], learned_from.mean(axis=0)),
        weight_trees=0.0,
        weight_linear=1.0,
    )
    booster = xgb.Booster({"nthread": 1})
    booster.load_model(bytearray(booster_json))
    model = Model(campaign, manifest, booster, booster_json)
    return replace(model, manifest=replace(manifest, canary=canary(table, model.score(table))))


def recalibrate(model: Model, days: Sequence[ContactDay], known: int, state: State, traffic: float) -> Model:
    """The same model with the level of today: another offset, and what it comes from in the manifest."""
    offset = round(state.offset(traffic), 10)
    rate = float(sigmoid(np.array([offset]))[0])
    return recalibrated(model, offset, rate=rate, rows=max(1, state.rows), first=str(days[0].date), last=str(days[max(0, known - 1)].date))


@dataclass(frozen=True)
class Challenge:
    """A retrain's judgement, and the figures of both sides on the same rows."""

    judgement: Judgement
    challenger: dict[str, float]
    champion: dict[str, float]
    rows: int


def challenge(
    campaign: Campaign,
    learned: Following,
    days: Sequence[ContactDay],
    served: Callable[[int], FloatArray],
    *,
    trained: int,
    known: int,
    delay_days: float,
    steps: Steps,
) -> Challenge | None:
    """Judge a retrain on the newer half of the outcomes that the live model's training had not seen.

    Parameters
    ----------
    served : from the place of a day to the scores that were given on it, shape (n,)
    trained, known : int
        Days that the live model was learned from, and days whose outcomes are known now.

    Returns None where there are too few outcomes of either kind to compare anything.
    """
    middle = _middle(days, trained, known)
    state = learned.until(middle)
    candidate = package(campaign, days, middle, state, steps, "judged", 1.0) if middle else None
    if candidate is None or middle >= known:
        return None
    level = level_of(candidate, days, steps, state, middle)
    ours, theirs, labels = [], [], []
    for at in range(middle, known):
        day = days[at]
        belief = level.until(min(at, max(middle, known_days(days, day.date, delay_days))))
        table = day.table.take(day.known)
        offsets = belief.mean[0] + belief.mean[1] * day.traffic_terms[day.known]
        ours.append(sigmoid(margin_of(candidate)(table) + offsets))
        theirs.append(served(at)[day.known])
        labels.append(day.labels)
    positive = np.concatenate(labels)
    if min(int(positive.sum()), int((~positive).sum())) < FEWEST:
        return None
    challenger = evaluate(np.concatenate(ours), positive, campaign.economics)
    champion = evaluate(np.concatenate(theirs), positive, campaign.economics)
    return Challenge(judge(_compared(campaign), challenger, champion), challenger, champion, len(positive))


def _compared(campaign: Campaign) -> Campaign:
    """The gates for a retrain: those that compare with the live model, where there are any.

    Absolute ones are stated for the test part of a training from a snapshot. Some hundred outcomes of a single month do not reach the
    ROC-AUC of several mixed ones, whoever predicts them.
    """
    relative = tuple(gate for gate in campaign.gates if gate.versus_champion is not None)
    return replace(campaign, gates=relative or campaign.gates)


def _middle(days: Sequence[ContactDay], trained: int, known: int) -> int:
    """The day from which on the newer half of the outcomes since ``trained`` lies."""
    counts = np.cumsum([int(day.known.sum()) for day in days[trained:known]])
    if not len(counts):
        return known
    older = max(counts[-1] / 2, counts[-1] - MOST_JUDGED)
    return trained + int(np.searchsorted(counts, older)) + 1


def evidence(
    declared: Retraining,
    days: Sequence[ContactDay],
    served: Callable[[int], FloatArray],
    *,
    trained: int,
    known: int,
    promised: float = math.nan,
    drifted_share: float = math.nan,
) -> Evidence:
    """What the triggers are asked with: the outcomes since the last training beside the scores that were given."""
    fresh = range(trained, known)
    labels = sum(int(days[place].known.sum()) for place in fresh)
    seen = Evidence(days=days_new(days, trained, known), labels=labels, drifted_share=drifted_share, promised_roc_auc=promised)
    if labels < declared.min_labels:
        return seen
    scores = np.concatenate([served(place)[days[place].known] for place in fresh])
    positive = np.concatenate([days[place].labels for place in fresh])
    hits, auc = int(positive.sum()), roc_auc(scores, positive)
    return replace(
        seen,
        predicted=float(scores.sum()),
        observed=float(hits),
        variance=float((scores * (1 - scores)).sum()),
        roc_auc=auc,
        roc_auc_error=roc_auc_error(auc, hits, len(positive) - hits),
    )


def days_new(days: Sequence[ContactDay], trained: int, known: int) -> int:
    """Days from the newest outcome learned from to the newest that is known."""
    return (days[known - 1].date - days[max(0, trained - 1)].date).days if known else 0


def _newest(days: Sequence[ContactDay]) -> list[ContactDay]:
    """The newest days that together hold enough rows for canary rows and ranks."""
    picked: list[ContactDay] = []
    for day in reversed(days):
        picked.append(day)
        if sum(int(one.known.sum()) for one in picked) >= _CANARY_FROM:
            break
    return picked[::-1]


def joined(campaign: Campaign, tables: Sequence[Table]) -> Table:
    """The rows of several tables, one after the other."""
    columns = {name: np.concatenate([table.columns[name] for table in tables]) for name in campaign.feature_names}
    ids = tuple(one for table in tables for one in table.ids)
    return Table(campaign, ids, np.arange(1, len(ids) + 1), columns)


def _empty_booster(width: int) -> bytes:
    """A booster over so many columns whose one tree is a leaf of zero: a package always holds one."""
    nothing = xgb.DMatrix(np.zeros((1, width), dtype=np.float32), [0.5], nthread=1)
    params = {"objective": "binary:logistic", "base_score": 0.5, "nthread": 1}
    return bytes(xgb.train(params, nothing, 1).save_raw("json"))
