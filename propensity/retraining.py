"""When a model is trained again, and how it follows its customers in between: what a campaign declares, and the triggers.

Standard library alone: a declaration is read by everything. A trigger is a number beside its bound, and says why in one sentence.

- ``schedule``: outcomes are known that are so many days newer than any that the model has learned from.
- ``drift``: the share of columns that the drift monitor calls drifted.
- ``label_gap``: predicted less observed conversions of the newest outcomes, in standard errors: what chance alone gives is known.
- ``performance``: the share by which the ROC-AUC above one half fell below what the last training promised, beyond its sampling error.

None but the schedule is asked before `Retraining.min_labels` outcomes are known that the training had not seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["schedule", "drift", "label_gap", "performance"]
# Normal quantile of 95 %.
_ONE_SIDED = 1.645


@dataclass(frozen=True, slots=True)
class Span:
    """A number that the linear member learns from: clipped to [low, high], then (value - center) / scale."""

    name: str
    low: float
    high: float
    center: float
    scale: float


@dataclass(frozen=True, slots=True)
class Steps:
    """How far what was learned may have moved by the next contact day, as variances in log-odds.

    Attributes
    ----------
    level : of the response rate of all customers: the larger, the shorter the trailing span that it is taken from
    effects : of what each feature adds; it plays the part of recency weights
    traffic : of what the number of contacts a day says about the rate
    """

    level: float
    effects: float
    traffic: float


FAST = Steps(level=0.03, effects=1e-3, traffic=3e-3)
SLOW = Steps(level=1e-3, effects=1e-4, traffic=1e-4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraining:
    """What a campaign declares about learning after its first training.

    Attributes
    ----------
    every_days : int or None
        Train again once outcomes are known that are so many days newer than those learned from. None: no schedule.
    drift_share, label_gap, performance_drop : float or None
        Bounds of the other triggers; None: not used. ``label_gap`` counts standard errors.
    min_labels : int
        Outcomes that no training has seen yet, below which only the schedule is asked.
    learned : tuple of str
        Categorical features whose effects are followed from outcome to outcome. Together with ``spans`` they make the linear member.
        None of them and no span: the campaign does not follow, and trains from snapshots alone.
    spans : tuple of Span
        Numbers that are followed likewise.
    fast, slow : Steps
        ``fast`` where outcomes are known within ``fast_label_days``; else ``slow``, which is the trailing rate switched off: a level of
        last month says less about today than the long run does.
    fast_label_days : float
        Days until nine of ten outcomes are known, as measured, up to which the trailing rate is used.
    traffic_growth : float
        A day's package assumes the contacts of the day before; it is made again whenever today's exceed what it assumes by this factor.
    """

    every_days: int | None = 30
    drift_share: float | None = None
    label_gap: float | None = 4.0
    performance_drop: float | None = 0.05
    min_labels: int = 30
    learned: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    fast: Steps = FAST
    slow: Steps = SLOW
    fast_label_days: float = 2.0
    traffic_growth: float = 1.5

    @property
    def follows(self) -> bool:
        """Whether the model moves with its outcomes between trainings."""
        return bool(self.learned or self.spans)

    def steps(self, label_delay_days: float) -> Steps:
        """The steps for outcomes that are known so many days after the contact, as measured (`measured_delay`)."""
        return self.fast if label_delay_days <= self.fast_label_days else self.slow


ON_SCHEDULE = Retraining()
"""What a campaign does that declares nothing: once a month, from its snapshots."""


def retraining_problems(declared: Retraining, numeric: frozenset[str], categorical: frozenset[str]) -> Iterator[str]:
    """Sentences, each about one contradiction with the features that a campaign declares."""
    for name in declared.learned:
        if name not in categorical:
            yield f"retraining learns {name!r}, which is not a categorical feature"
    for span in declared.spans:
        if span.name not in numeric:
            yield f"retraining learns {span.name!r}, which is not a numeric feature"
        elif not (span.low < span.high and span.scale > 0 and math.isfinite(span.center)):
            yield f"retraining, column {span.name!r}: low must be below high and the scale above zero"
    names = [*declared.learned, *(span.name for span in declared.spans)]
    if len(set(names)) != len(names):
        yield "retraining learns a column twice"
    if any(not 0 <= step <= 1 for steps in (declared.fast, declared.slow) for step in (steps.level, steps.effects, steps.traffic)):
        yield "retraining: a step is a variance in log-odds between 0 and 1"
    bounds = (declared.every_days, declared.drift_share, declared.label_gap, declared.performance_drop)
    if any(bound is not None and not bound > 0 for bound in bounds):
        yield "retraining: a bound of a trigger must be above zero; None switches it off"
    if declared.min_labels < 1 or declared.fast_label_days < 0 or not declared.traffic_growth > 1:
        yield "retraining: min_labels must be at least 1, fast_label_days not negative and traffic_growth above 1"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known when the triggers are asked. NaN or None: not measured.

    Attributes
    ----------
    days : from the newest outcome that the model has learned from to the newest that is known
    predicted, observed, variance : of the newest labelled predictions: sum of the scores, conversions, sum of score * (1 - score)
    labels : outcomes known that the training had not seen
    drifted_share : of the last drift run
    roc_auc, roc_auc_error : of the newest labelled predictions, and its standard error
    promised_roc_auc : what the judgement of the last training had measured
    """

    days: float
    labels: int
    predicted: float = math.nan
    observed: float = math.nan
    variance: float = math.nan
    drifted_share: float = math.nan
    roc_auc: float = math.nan
    roc_auc_error: float = math.nan
    promised_roc_auc: float = math.nan


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger's number and its bound. Not fired where the number is NaN: what was not measured triggers nothing."""

    kind: Kind
    value: float
    bound: float

    @property
    def fired(self) -> bool:
        return self.value >= self.bound

    @property
    def reason(self) -> str:
        texts = {
            "schedule": f"outcomes of {self.value:.0f} days were not learned from yet, {self.bound:g} declared",
            "drift": f"{self.value:.0%} of the columns drifted, {self.bound:.0%} declared",
            "label_gap": f"predicted and observed conversions are {self.value:.1f} standard errors apart, {self.bound:g} declared",
            "performance": f"the ROC-AUC above one half fell by {self.value:.0%} at the least, {self.bound:.0%} declared",
        }
        return texts[self.kind]


def triggers(declared: Retraining, seen: Evidence) -> tuple[Trigger, ...]:
    """Every declared trigger that may be asked, fired or not."""
    found: list[Trigger] = []
    if declared.every_days is not None:
        found.append(Trigger("schedule", seen.days, declared.every_days))
    if seen.labels < declared.min_labels:
        return tuple(found)
    if declared.drift_share is not None:
        found.append(Trigger("drift", seen.drifted_share, declared.drift_share))
    if declared.label_gap is not None:
        found.append(Trigger("label_gap", label_gap(seen.predicted, seen.observed, seen.variance), declared.label_gap))
    if declared.performance_drop is not None:
        found.append(
            Trigger("performance", performance_drop(seen.roc_auc, seen.roc_auc_error, seen.promised_roc_auc), declared.performance_drop)
        )
    return tuple(found)


def label_gap(predicted: float, observed: float, variance: float) -> float:
    """Absolute gap between predicted and observed conversions in standard errors; NaN where nothing was predicted.

    Source: Spiegelhalter, "Probabilistic prediction in patient management and clinical trials", 1986: if every score is right, the
    conversions have the sum of score * (1 - score) as their variance.
    """
    return abs(predicted - observed) / math.sqrt(variance) if variance > 0 else math.nan


def performance_drop(roc_auc: float, error: float, promised: float) -> float:
    """By which share the ROC-AUC above one half fell at the least, at the favourable end of its 90 % interval.

    NaN where a figure was not measured or nothing was promised. Without the error, thirty outcomes would seem to fall by 5 % most days.
    """
    return (promised - (roc_auc + _ONE_SIDED * error)) / (promised - 0.5) if promised > 0.5 else math.nan


def roc_auc_error(roc_auc: float, positives: int, negatives: int) -> float:
    """Standard error of a ROC-AUC; NaN without either kind of outcome.

    Source: Hanley, McNeil, "The meaning and use of the area under a receiver operating characteristic curve", 1982, equation 2.
    """
    if not (positives and negatives):
        return math.nan
    first, second = roc_auc / (2 - roc_auc), 2 * roc_auc**2 / (1 + roc_auc)
    spread = (positives - 1) * (first - roc_auc**2) + (negatives - 1) * (second - roc_auc**2)
    return math.sqrt((roc_auc * (1 - roc_auc) + spread) / (positives * negatives))


def measured_delay(days: Sequence[float]) -> float:
    """Days from contact until nine of ten outcomes are known; infinite where none is: nothing trailing can be trusted yet."""
    return sorted(days)[math.ceil(0.9 * len(days)) - 1] if days else math.inf
