"""What contacting brought: the difference of two shares with its interval, and how many customers it takes to see one.

The interval is the score interval of Miettinen and Nurminen, "Comparative analysis of two rates", Statistics in Medicine 4, 1985, with the
restricted estimates in closed form, as in the appendix of Farrington and Manning, Statistics in Medicine 9, 1990. It holds its level with
few conversions and unequal arms, where Wald's does not (`python -m benchmarks.lift` counts it). The number of customers is that of Fleiss,
Levin and Paik, "Statistical Methods for Rates and Proportions", 3rd edition, 2003, chapter 4, with arms of unequal size and without a
correction for continuity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
CONFIDENCE = 0.95
_HALVINGS = 40
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Difference:
    """A difference of two shares, the first minus the second, and its interval; NaN where an arm is empty."""

    value: float
    low: float
    high: float
    confidence: float = CONFIDENCE

    @property
    def verdict(self) -> str:
        """``more``, ``less``, ``unclear`` (the interval holds 0) or ``no_data``."""
        if math.isnan(self.value):
            return "no_data"
        return "more" if self.low > 0 else "less" if self.high < 0 else "unclear"


def difference(hits: int, n: int, other_hits: int, other_n: int, *, confidence: float = CONFIDENCE) -> Difference:
    """The share ``hits / n`` minus ``other_hits / other_n``."""
    if not n or not other_n:
        return Difference(math.nan, math.nan, math.nan, confidence)
    counts = (np.array([float(count)]) for count in (hits, n, other_hits, other_n))
    low, high = intervals(*counts, confidence=confidence)
    return Difference(hits / n - other_hits / other_n, float(low[0]), float(high[0]), confidence)


def intervals(hits: Floats, n: Floats, other_hits: Floats, other_n: Floats, *, confidence: float = CONFIDENCE) -> tuple[Floats, Floats]:
    """Lower and upper ends for many pairs of counts at once, all of shape (k,); no ``n`` is 0."""
    z = _NORMAL.inv_cdf(0.5 + confidence / 2)
    found = hits / n - other_hits / other_n
    ends = []
    for edge in (-1.0, 1.0):
        inside, outside = found.copy(), np.full_like(found, edge)
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            held = np.abs(found - middle) <= z * _restricted_error(middle, hits, n, other_hits, other_n)
            inside, outside = np.where(held, middle, inside), np.where(held, outside, middle)
        ends.append(inside)
    return ends[0], ends[1]


def _restricted_error(delta: Floats, hits: Floats, n: Floats, other_hits: Floats, other_n: Floats) -> Floats:
    """Standard error of the difference, from the likeliest shares whose difference is ``delta``."""
    total, positive = n + other_n, hits + other_hits
    l2 = (n + 2 * other_n) * delta - total - positive
    l1 = (other_n * delta - total - 2 * other_hits) * delta + positive
    l0 = other_hits * delta * (1 - delta)
    q = l2**3 / (3 * total) ** 3 - l1 * l2 / (6 * total**2) + l0 / (2 * total)
    p = np.sign(q) * np.sqrt(np.maximum(0.0, l2**2 / (3 * total) ** 2 - l1 / (3 * total)))
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = np.where(p == 0, 0.0, q / p**3)
    angle = (math.pi + np.arccos(np.clip(cosine, -1.0, 1.0))) / 3
    second = np.clip(2 * p * np.cos(angle) - l2 / (3 * total), np.maximum(0.0, -delta), np.minimum(1.0, 1 - delta))
    first = np.clip(second + delta, 0.0, 1.0)
    error: Floats = np.sqrt((first * (1 - first) / n + second * (1 - second) / other_n) * total / (total - 1))
    return error


def share_bounds(n: int, share: float, *, confidence: float = 0.999) -> tuple[int, int]:
    """Between how many of ``n`` customers the control group lies by chance alone (normal approximation of the binomial)."""
    half = _NORMAL.inv_cdf(0.5 + confidence / 2) * math.sqrt(n * share * (1 - share)) + 0.5
    return max(0, math.floor(n * share - half)), min(n, math.ceil(n * share + half))


def share_p_value(held: int, n: int, share: float) -> float:
    """How often chance alone gives a control group so far from its share; 1 without customers (normal approximation)."""
    if not n:
        return 1.0
    away = max(0.0, abs(held - n * share) - 0.5) / math.sqrt(n * share * (1 - share))
    return math.erfc(away / math.sqrt(2))


@dataclass(frozen=True)
class Plan:
    """What it takes to see a lift.

    Attributes
    ----------
    customers : int
        Randomised ones, both arms together.
    contacted, held_out : int
    power : float
        How often the interval will not hold 0 if the lift is as large as said.
    """

    customers: int
    contacted: int
    held_out: int
    power: float
    share: float

    def weeks(self, per_week: float) -> int:
        """Whole weeks until so many customers were randomised."""
        return math.ceil(self.customers / per_week)


def plan(base_rate: float, lift: float, share: float, *, power: float = 0.8, confidence: float = CONFIDENCE) -> Plan:
    """How many customers show that contacting raises the share of conversions from ``base_rate`` by ``lift``.

    Parameters
    ----------
    base_rate : float
        Share of those left alone who convert all the same, above 0 and below 1.
    lift : float
        Difference of shares, not 0; ``base_rate + lift`` lies between 0 and 1.
    share : float
        Of the control group.
    """
    other = base_rate + lift
    contact = 1 - share
    mean = contact * other + share * base_rate
    apart = math.sqrt(other * (1 - other) / contact + base_rate * (1 - base_rate) / share)
    together = math.sqrt(mean * (1 - mean) * (1 / contact + 1 / share))
    n = math.ceil(((_z(confidence) * together + _NORMAL.inv_cdf(power) * apart) / lift) ** 2)
    held = math.ceil(n * share)
    return Plan(n, n - held, held, power, share)


def power_of(n: int, base_rate: float, lift: float, share: float, *, confidence: float = CONFIDENCE) -> float:
    """How often ``n`` customers show such a lift: the inverse of `plan`."""
    other, contact = base_rate + lift, 1 - share
    mean = contact * other + share * base_rate
    apart = math.sqrt(other * (1 - other) / contact + base_rate * (1 - base_rate) / share)
    together = math.sqrt(mean * (1 - mean) * (1 / contact + 1 / share))
    return _NORMAL.cdf((abs(lift) * math.sqrt(n) - _z(confidence) * together) / apart)


def smallest_lift(n: int, base_rate: float, share: float, *, power: float = 0.8, confidence: float = CONFIDENCE) -> float | None:
    """The smallest gain that ``n`` customers show with that power; None where they show none."""
    low, high = 0.0, 1.0 - base_rate
    if power_of(n, base_rate, high, share, confidence=confidence) < power:
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if power_of(n, base_rate, middle, share, confidence=confidence) >= power else (middle, high)
    return high


def _z(confidence: float) -> float:
    return _NORMAL.inv_cdf(0.5 + confidence / 2)


def as_json(value: Difference) -> dict[str, Any]:
    """A difference for replies; None where there is no data."""
    numbers = {"estimate": value.value, "low": value.low, "high": value.high}
    return {**{name: None if math.isnan(number) else number for name, number in numbers.items()}, "confidence": value.confidence}
