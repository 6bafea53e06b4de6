"""What moves the scores, in words: exact contributions (SHAP) of each feature over a sample of logged rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from propensity.campaign import Categorical, Feature, Numeric
from propensity.model import Model
from propensity.report.tree import Driver, Effect
from propensity.report.words import band_labels, titled
from propensity.scoring import table_from_raw

Floats = npt.NDArray[np.float64]
NOT_KNOWN = "not known"
# A feature that moves the odds by less than a thousandth on average has no direction worth telling.
_LEAST = 0.001
_BANDS = 6
_CLEAR = 0.6
# Customers differ by less than this share of what a feature does to all of them.
_ALIKE = 0.25
_LEAST_ROWS = 5


def drivers(model: Model, rows: Floats) -> tuple[Driver, ...]:
    """Every feature by its mean absolute contribution over these rows, strongest first. ``rows`` are raw, as they are logged."""
    campaign = model.campaign
    table = table_from_raw(campaign, rows, ("",) * len(rows), np.arange(1, len(rows) + 1))
    effects = model.fast_contributions(model.encode(table))[:, :-1]
    strength = np.abs(effects).mean(axis=0)
    order = np.argsort(-strength, kind="stable").tolist()
    return tuple(_driver(campaign.features[at], rows[:, at], effects[:, at], float(strength[at])) for at in order)


def _driver(feature: Feature, values: Floats, effects: Floats, strength: float) -> Driver:
    missing = np.isnan(values)
    known, of_known = values[~missing], effects[~missing]
    found = _of_values(feature, known, of_known) if isinstance(feature, Categorical) else _of_bands(feature, known, of_known)
    if missing.any():
        found.append(Effect(label=NOT_KNOWN, rows=int(missing.sum()), effect=float(effects[missing].mean())))
    title, note = titled(feature)
    spread = float(np.abs(effects - effects.mean()).mean())
    return Driver(
        feature=feature.name,
        title=title,
        note=note,
        strength=strength,
        spread=spread,
        alike=spread < _ALIKE * strength,
        says=_alike(strength, spread, float(effects.mean())) or _says(feature, known, of_known, found),
        effects=tuple(found),
    )


def _of_values(feature: Categorical, values: Floats, effects: Floats) -> list[Effect]:
    codes = values.astype(np.intp)
    rows = np.bincount(codes, minlength=len(feature.values))
    sums = np.bincount(codes, weights=effects, minlength=len(feature.values))
    found = [
        Effect(label=str(value), rows=int(n), effect=float(total / n))
        for value, n, total in zip(feature.values, rows, sums, strict=True)
        if n
    ]
    return sorted(found, key=lambda effect: -effect.effect)


def _of_bands(feature: Numeric, values: Floats, effects: Floats) -> list[Effect]:
    if not len(values):
        return []
    cuts = np.unique(np.quantile(values, np.arange(1, _BANDS) / _BANDS, method="higher"))
    cuts = cuts[cuts > values.min()]
    at = np.searchsorted(cuts, values, side="right")
    rows, sums = np.bincount(at, minlength=len(cuts) + 1), np.bincount(at, weights=effects, minlength=len(cuts) + 1)
    labels = band_labels(cuts.tolist(), feature.low, feature.high, whole=feature.integer)
    return [Effect(label=label, rows=int(n), effect=float(total / n)) for label, n, total in zip(labels, rows, sums, strict=True) if n]


def _alike(strength: float, spread: float, mean: float) -> str:
    """What there is to say where customers hardly differ; empty where they do."""
    if strength < _LEAST:
        return "Hardly moves any score."
    if spread < _ALIKE * strength:
        return f"{'Raises' if mean > 0 else 'Lowers'} the scores of nearly all customers alike, and so hardly sets them apart."
    return ""


def _says(feature: Feature, values: Floats, effects: Floats, found: list[Effect]) -> str:
    """The direction as a sentence."""
    told = [effect for effect in found if effect.rows >= _LEAST_ROWS] or found
    if len(told) < 2:
        return "The same for all customers here."
    top, bottom = max(told, key=lambda e: e.effect), min(told, key=lambda e: e.effect)
    if isinstance(feature, Numeric) and len(np.unique(values)) > 2:
        slope = _rank_correlation(values, effects)
        if abs(slope) >= _CLEAR:
            return f"The higher it is, the {'higher' if slope > 0 else 'lower'} the score."
    return f"Scores are highest with “{top.label}” and lowest with “{bottom.label}”."


def _rank_correlation(values: Floats, effects: Floats) -> float:
    """Spearman's coefficient, 0 where one of the two does not vary."""
    a, b = _ranks(values), _ranks(effects)
    spread = float(a.std() * b.std())
    return float(((a - a.mean()) * (b - b.mean())).mean()) / spread if spread else 0.0


def _ranks(values: Floats) -> Floats:
    """Ranks from 0, equal values sharing their mean one."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    means: Floats = np.cumsum(counts) - (counts + 1) / 2
    return means[inverse]
