"""How good predictions were, once their outcomes are known.

Only mature cohorts count: of younger ones the quick outcomes are known and the slow ones are not, and a quick outcome is not any outcome.
What is known of young cohorts is told apart, as preliminary.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign, Gate
from propensity.drift import NO_DATA, STABLE, WARNING
from propensity.metrics import evaluate
from propensity.outcome_rules import OutcomeRules
from propensity.ports import LabelledRequest, MonitorMetric, OutcomeStore

OBSERVED, WEIGHTED, PRELIMINARY = "observed", "weighted", "preliminary"
# Below this many rows of the rarer label a ROC-AUC is off by more than 0.05 by chance alone (standard error about 0.5 / sqrt(3 * n)).
MIN_RARER_LABEL = 30
_EARLY_FIGURES = ("roc_auc", "brier", "positive_rate")
_Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Known:
    """Predictions of some cohorts, and those of them whose label is known.

    Attributes
    ----------
    predicted, predicted_contacts : int
        All of them, and those whose decision was to contact.
    told : int
        Labels that were told; the others were read from the absence of an outcome, as the campaign declares it.
    scores, labels, contact : arrays of shape (n,)
        Of the n predictions whose label is known.
    by_model : dict of digest to int
        How many of these each model scored.
    """

    predicted: int
    predicted_contacts: int
    told: int
    scores: npt.NDArray[np.float64]
    labels: _Bools
    contact: _Bools
    by_model: dict[str, int]

    @property
    def coverage(self) -> float:
        """Share of the predictions whose label is known; 0 where nothing was predicted."""
        return len(self.scores) / self.predicted if self.predicted else 0.0


def collect(requests: Iterable[LabelledRequest]) -> Known:
    """What is known of these requests, which pass by one at a time."""
    predicted = contacts = told = 0
    scores, labels, contact = [np.empty(0)], [np.empty(0, dtype=np.bool_)], [np.empty(0, dtype=np.bool_)]
    by_model: dict[str, int] = {}
    for request in requests:
        predicted, contacts, told = predicted + len(request.scores), contacts + int(request.contact.sum()), told + int(request.told.sum())
        if request.known.any():
            scores.append(request.scores[request.known])
            labels.append(request.labels[request.known])
            contact.append(request.contact[request.known])
            by_model[request.model_digest] = by_model.get(request.model_digest, 0) + len(scores[-1])
    return Known(predicted, contacts, told, np.concatenate(scores), np.concatenate(labels), np.concatenate(contact), by_model)


def mature_edge(since: datetime, until: datetime, rules: OutcomeRules, now: datetime) -> datetime:
    """The moment of [since, until] before which predictions are mature now."""
    return min(max(rules.mature_until(now), since), until)


def known_of(
    outcomes: OutcomeStore, campaign: str, since: datetime, until: datetime, rules: OutcomeRules, now: datetime
) -> tuple[Known, Known]:
    """What is known at that moment of the predictions made in [since, until): of the mature ones, and of the younger ones."""
    edge = mature_edge(since, until, rules, now)
    mature = outcomes.requests(campaign, since, edge, rules=rules) if since < edge else ()
    # Of these, that nothing was told means nothing yet.
    young = outcomes.requests(campaign, edge, until) if edge < until else ()
    return collect(mature), collect(young)


@dataclass(frozen=True)
class Performance:
    """Figures of the predictions whose label is known.

    Attributes
    ----------
    labelled, predicted : int
        Mature predictions with a known label, and all mature ones.
    verdict : str
        ``no_data`` where no label is known; ``warning`` where a figure breaks a bound that the campaign's gates set for promotion
        and each label occurs at least `MIN_RARER_LABEL` times; else ``stable``.
    """

    labelled: int
    predicted: int
    verdict: str
    metrics: tuple[MonitorMetric, ...]

    @property
    def coverage(self) -> float:
        """Share of the mature predictions whose label is known; 0 where there is none."""
        return self.labelled / self.predicted if self.predicted else 0.0


def realised(campaign: Campaign, mature: Known, young: Known | None = None) -> Performance:
    """Evaluate mature predictions, and tell how many are too young.

    Where customers who were contacted have labels more often than others, the figures describe those more than these: how often each has
    is told (``coverage_contacts``, ``coverage_others``), and some figures are given for all customers, too, as ``..._all``, each known row
    weighted by how many it stands for. Where no other customer has a label (``contacts_only`` 1), nothing is
    known of them, and no weight can help. Figures that one class alone cannot give are left out.
    """
    counts = [*_counts(mature), *(_early(campaign, young) if young is not None else ())]
    if not len(mature.scores):
        return Performance(0, mature.predicted, NO_DATA, tuple(counts))
    figures = {name: value for name, value in evaluate(mature.scores, mature.labels, campaign.economics).items() if np.isfinite(value)}
    figures["calibration_gap"] = abs(float(mature.scores.mean() - mature.labels.mean()))
    enough = int(min(mature.labels.sum(), (~mature.labels).sum())) >= MIN_RARER_LABEL
    found = list(_figures(campaign, figures, enough))
    verdict = WARNING if any(metric.verdict == WARNING for metric in found) else STABLE
    return Performance(len(mature.scores), mature.predicted, verdict, (*counts, *found, *_for_all(mature)))


def _counts(mature: Known) -> Iterator[MonitorMetric]:
    others, labelled_contacts = mature.predicted - mature.predicted_contacts, int(mature.contact.sum())
    yield _number("predicted", mature.predicted)
    yield _number("labelled", len(mature.scores))
    yield _number("read_from_absence", len(mature.scores) - mature.told)
    yield _number("coverage", mature.coverage)
    if mature.predicted_contacts:
        yield _number("coverage_contacts", labelled_contacts / mature.predicted_contacts)
    if others:
        yield _number("coverage_others", (len(mature.scores) - labelled_contacts) / others)
    if len(mature.scores):
        yield _number("contacts_only", float(others > 0 and labelled_contacts == len(mature.scores)))


def _early(campaign: Campaign, young: Known) -> Iterator[MonitorMetric]:
    yield _number("not_yet_mature", young.predicted)
    yield _number("labelled_not_yet_mature", len(young.scores))
    if len(young.scores):
        figures = evaluate(young.scores, young.labels, campaign.economics)
        for name in _EARLY_FIGURES:
            if np.isfinite(figures[name]):
                yield MonitorMetric(None, f"preliminary_{name}", PRELIMINARY, figures[name], None, None, STABLE)


def _for_all(mature: Known) -> Iterator[MonitorMetric]:
    """Figures of all customers: each known row stands for as many as were predicted of its kind, contacted or not, per known one."""
    weights = np.zeros(len(mature.scores))
    for of_kind, predicted in (
        (mature.contact, mature.predicted_contacts),
        (~mature.contact, mature.predicted - mature.predicted_contacts),
    ):
        if predicted and not of_kind.any():
            return
        weights[of_kind] = predicted / max(1, int(of_kind.sum()))
    rate, score = (float(np.average(values, weights=weights)) for values in (mature.labels, mature.scores))
    brier = float(np.average((mature.scores - mature.labels) ** 2, weights=weights))
    for name, value in (("positive_rate", rate), ("calibration_gap", abs(score - rate)), ("brier", brier)):
        yield MonitorMetric(None, f"{name}_all", WEIGHTED, value, None, None, STABLE)


def _figures(campaign: Campaign, figures: dict[str, float], enough: bool) -> Iterator[MonitorMetric]:
    gates = {gate.metric: gate for gate in campaign.gates}
    for name, value in figures.items():
        gate = gates.get(name)
        bound = None if gate is None else gate.at_least if gate.at_least is not None else gate.at_most
        broken = gate is not None and enough and _breaks(gate, value)
        yield MonitorMetric(None, name, OBSERVED, value, bound, None, WARNING if broken else STABLE)


def _breaks(gate: Gate, value: float) -> bool:
    too_low = gate.at_least is not None and value < gate.at_least
    return too_low or (gate.at_most is not None and value > gate.at_most)


def _number(name: str, value: float) -> MonitorMetric:
    return MonitorMetric(None, name, OBSERVED, float(value), None, None, STABLE)
