"""Why a score is what it is, in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensity.campaign import Categorical, Feature
from propensity.model import Model
from propensity.schema import Table


@dataclass(frozen=True, slots=True)
class Reason:
    """One feature's part in one score.

    ``effect`` is in calibrated log-odds; positive raises the score. ``value`` is the customer's own, as sent.
    """

    feature: str
    value: object
    effect: float

    @property
    def direction(self) -> str:
        return "raises" if self.effect > 0 else "lowers"

    @property
    def text(self) -> str:
        """As in "poutcome = success raises the score"."""
        shown = "not known" if self.value is None else f"{self.value:g}" if isinstance(self.value, float) else str(self.value)
        return f"{self.feature} = {shown} {self.direction} the score"


def reasons(model: Model, table: Table, top: int) -> list[list[Reason]]:
    """For each row the ``top`` features that moved its score most, strongest first; features without effect are left out."""
    if not top or not len(table):
        return [[] for _ in range(len(table))]
    effects = model.contributions(table)[:, :-1]
    order = np.argsort(-np.abs(effects), axis=1, kind="stable")[:, :top]
    names = model.manifest.features
    columns = {at: table.values(names[at]) for at in np.unique(order).tolist()}
    return [
        [Reason(names[at], columns[at][row], float(effects[row, at])) for at in picked if effects[row, at]]
        for row, picked in enumerate(order.tolist())
    ]


def describe(feature: Feature) -> str:
    """A feature in one line, for documentation."""
    if isinstance(feature, Categorical):
        return ", ".join(str(v) for v in feature.values)
    return f"{feature.low:.15g} to {feature.high:.15g}" + (f" {feature.unit}" if feature.unit else "")


def global_effects(model: Model, table: Table) -> dict[str, float]:
    """Mean absolute contribution per feature over these rows, in log-odds, largest first."""
    mean: npt.NDArray[np.float64] = np.abs(model.contributions(table)[:, :-1]).mean(axis=0)
    return {model.manifest.features[at]: float(mean[at]) for at in np.argsort(-mean, kind="stable")}
