"""The families by name."""

from __future__ import annotations

from propensity.families.base import Family
from propensity.families.boosted import Forest, XGBoost
from propensity.families.lightgbm_trees import LightGBM
from propensity.families.logistic import Logistic
from propensity.families.neural import Neural

_KNOWN: tuple[Family, ...] = (XGBoost(), Logistic(), Forest(), LightGBM(), Neural())


def family(name: str) -> Family:
    """Raises KeyError where there is none; the average is made of others and is none itself."""
    return {known.name: known for known in _KNOWN}[name]
