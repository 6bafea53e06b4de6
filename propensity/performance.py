"""How good predictions were, once their outcomes are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from propensity.campaign import Campaign, Gate
from propensity.drift import NO_DATA, STABLE, WARNING
from propensity.metrics import evaluate
from propensity.ports import LabelledPrediction, MonitorMetric

OBSERVED = "observed"
# Below this many rows of the rarer label a ROC-AUC is off by more than 0.05 by chance alone (standard error about 0.5 / sqrt(3 * n)).
MIN_RARER_LABEL = 30


@dataclass(frozen=True)
class Performance:
    """Figures of the predictions whose outcome is known.

    Attributes
    ----------
    labelled, predicted : int
        Predictions with a known outcome, and all of them.
    verdict : str
        ``no_data`` where no outcome is known; ``warning`` where a figure breaks a bound that the campaign's gates set for promotion
        and each label occurs at least `MIN_RARER_LABEL` times; else ``stable``.
    """

    labelled: int
    predicted: int
    verdict: str
    metrics: tuple[MonitorMetric, ...]

    @property
    def coverage(self) -> float:
        """Share of the predictions whose outcome is known; 0 where nothing was predicted."""
        return self.labelled / self.predicted if self.predicted else 0.0


def realised(campaign: Campaign, rows: Sequence[LabelledPrediction], predicted: int) -> Performance:
    """Evaluate the predictions whose outcome is known, out of ``predicted``.

    Where only contacted customers have outcomes, the figures describe those alone. Figures that one class alone cannot give are left out.
    """
    counts = [_number("predicted", predicted), _number("labelled", len(rows))]
    if not rows:
        return Performance(0, predicted, NO_DATA, (*counts, _number("coverage", 0.0)))
    scores = np.array([row.score for row in rows], dtype=np.float64)
    labels = np.array([row.label for row in rows], dtype=bool)
    figures = {name: value for name, value in evaluate(scores, labels, campaign.economics).items() if np.isfinite(value)}
    figures["calibration_gap"] = abs(float(scores.mean() - labels.mean()))
    enough = int(min(labels.sum(), (~labels).sum())) >= MIN_RARER_LABEL
    found = list(_figures(campaign, figures, enough))
    verdict = WARNING if any(metric.verdict == WARNING for metric in found) else STABLE
    coverage = _number("coverage", len(rows) / predicted if predicted else 0.0)
    return Performance(len(rows), predicted, verdict, (*counts, coverage, *found))


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
