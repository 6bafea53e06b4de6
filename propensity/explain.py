"""Why a score is what it is, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from propensity.campaign import Categorical, Feature
from propensity.features import Matrix
from propensity.model import Model
from propensity.schema import Table

Features = npt.NDArray[np.intp]
Effects = npt.NDArray[np.float64]


class Reason(msgspec.Struct, frozen=True):
    """One feature's part in one score. As JSON it is an object with these keys, in this order.

    ``effect`` is in calibrated log-odds; positive raises the score. ``value`` is the customer's own, as sent. ``direction`` and ``text``
    follow from the others and are given only by who has them at hand; text is as in "poutcome = success raises the score".
    """

    feature: str
    value: object
    effect: float
    direction: str = ""
    text: str = ""

    def __post_init__(self) -> None:
        if not self.text:
            direction = "raises" if self.effect > 0 else "lowers"
            msgspec.structs.force_setattr(self, "direction", direction)
            msgspec.structs.force_setattr(self, "text", f"{self.feature} = {_shown(self.value)} {direction} the score")


def _shown(value: object) -> str:
    return "not known" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def top_reasons(model: Model, matrix: Matrix, top: int) -> tuple[Features, Effects]:
    """The ``top`` features that moved each encoded row's score most, strongest first, and their effects; both of shape (n, top).

    Equal strengths keep the declared order of the features. Where fewer features have an effect, the rest has effect 0.
    """
    effects = model.fast_contributions(matrix)[:, :-1]
    top = min(top, effects.shape[1])
    rows, left = np.arange(len(effects)), np.abs(effects)
    picked = np.empty((len(effects), top), dtype=np.intp)
    for place in range(top):
        # The first of the largest: for a few places far less work than to sort.
        picked[:, place] = left.argmax(axis=1)
        left[rows, picked[:, place]] = -1.0
    return picked, effects[rows[:, None], picked]


_NONE: tuple[Sequence[Reason]] = ((),)


def reasons(model: Model, table: Table, top: int) -> Sequence[Sequence[Reason]]:
    """For each row the ``top`` features that moved its score most, strongest first; features without effect are left out.

    From tables (propensity.shapley) where the model has them, else from XGBoost; both are exact.
    """
    if not top or not len(table):
        return _NONE * len(table)
    return in_words(table, *top_reasons(model, model.encode(table), top))


def in_words(table: Table, picked: Features, effects: Effects) -> list[list[Reason]]:
    """What `top_reasons` found, with values and texts; features without effect are left out."""
    found: list[Reason | None] = [None] * picked.size
    flat, strengths = picked.ravel(), effects.ravel()
    for at in np.unique(flat).tolist():
        places = np.flatnonzero(flat == at)
        feature = table.campaign.features[at]
        column = table.columns[feature.name][places // picked.shape[1]]
        words = _category_reasons if isinstance(feature, Categorical) else _number_reasons
        for place, made in zip(places.tolist(), words(feature, column.tolist(), strengths[places].tolist()), strict=True):
            found[place] = made
    width = picked.shape[1]
    return [[made for made in found[start : start + width] if made and made.effect] for start in range(0, len(found), width)]


def _category_reasons(feature: Feature, codes: list[int], effects: list[float]) -> list[Reason]:
    values: tuple[object, ...] = (*getattr(feature, "values", ()), None)  # the last place stands for code -1
    name = feature.name
    raises, lowers = ([f"{name} = {_shown(value)} {way} the score" for value in values] for way in ("raises", "lowers"))
    return [
        Reason(name, values[code], effect, "raises", raises[code])
        if effect > 0
        else Reason(name, values[code], effect, "lowers", lowers[code])
        for code, effect in zip(codes, effects, strict=True)
    ]


def _number_reasons(feature: Feature, numbers: list[float], effects: list[float]) -> list[Reason]:
    name, whole = feature.name, getattr(feature, "integer", False)
    values: list[object] = [None if math.isnan(v) else int(v) if whole else v for v in numbers]
    ways = ["raises" if effect > 0 else "lowers" for effect in effects]
    return [
        Reason(name, value, effect, way, f"{name} = {_shown(value)} {way} the score")
        for value, effect, way in zip(values, effects, ways, strict=True)
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
