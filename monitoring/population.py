"""Customers to try alarms on: a population whose law is known, unchanged or changed, as counts in the bins of a reference.

Twenty columns and a score, among them what makes trouble: a constant with rare exceptions, rare categories, many categories, ties, missing
values. Rows of a reference are really drawn; rows of a window are drawn as counts, which has the same law and no cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.campaign import Categorical, Feature, Numeric
from propensity.drift.bins import Counts, bins_of, numeric_bins
from propensity.drift.chance import Blocks, blocks_of
from propensity.drift.counted import PREDICTION, ColumnReference, Counted, Name, Reference

FloatArray = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], FloatArray]
CHANGES = ("shift 0.1 sd", "shift 0.25 sd", "shift 0.5 sd", "mix 10 points", "missing 5 points")
# The columns that change.
SHIFTED, MIXED, LOST = "normal 1", "category 4", "missing 1"
_TRUTH_ROWS = 1_000_000


def _normal(rng: np.random.Generator, n: int) -> FloatArray:
    return rng.normal(size=n)


def _skewed(rng: np.random.Generator, n: int) -> FloatArray:
    return rng.lognormal(size=n)


def _counts(rng: np.random.Generator, n: int) -> FloatArray:
    return rng.poisson(1.6, n).astype(np.float64)


def _mostly(rng: np.random.Generator, n: int) -> FloatArray:
    return np.where(rng.random(n) < 0.97, 999.0, rng.integers(1, 21, n))


def _often_missing(rng: np.random.Generator, n: int) -> FloatArray:
    return np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n))


def _score(rng: np.random.Generator, n: int) -> FloatArray:
    return rng.beta(1.5, 11, n)


def _category(shares: FloatArray) -> Draw:
    return lambda rng, n: rng.choice(len(shares), n, p=shares / shares.sum()).astype(np.float64)


def columns() -> dict[Name, tuple[Feature | None, Draw]]:
    """Every column: what it is and how it is drawn."""
    numbers: dict[str, Draw] = {f"normal {at}": _normal for at in range(1, 7)}
    numbers |= {"skewed 1": _skewed, "skewed 2": _skewed, "count 1": _counts, "count 2": _counts, "mostly 999": _mostly}
    numbers |= {"missing 1": _often_missing}
    found: dict[Name, tuple[Feature | None, Draw]] = {
        name: (Numeric(name, low=-1e9, high=1e9, nullable=True), draw) for name, draw in numbers.items()
    }
    for values in (2, 3, 4, 5, 8, 12, 20, 30):
        # From common to one in thousands.
        shares = np.asarray(0.6 ** np.arange(values), dtype=np.float64)
        found[f"category {values}"] = (Categorical(f"category {values}", tuple(range(values))), _category(shares))
    found[PREDICTION] = (None, _score)
    return found


@dataclass(frozen=True)
class Population:
    """A reference drawn from a known law, and that law in its bins: the chance of each fine bin, by column and by change."""

    reference: Reference
    usual: Mapping[Name, FloatArray]
    changed: Mapping[str, tuple[str, FloatArray]]

    def window(self, rng: np.random.Generator, n: int, parts: int, change: str | None = None) -> Counted:
        """``n`` rows spread over the parts, one day each."""
        sizes = np.full(parts, n // parts) + (np.arange(parts) < n % parts)
        laws = dict(self.usual)
        if change is not None:
            name, law = self.changed[change]
            laws[name] = law
        counts: dict[Name, Counts] = {name: rng.multinomial(sizes, law) for name, law in laws.items()}
        return Counted(counts, np.arange(parts), np.arange(parts))


_TRUTH: dict[str, FloatArray] = {}


def truth(name: Name, draw: Draw) -> FloatArray:
    """A million rows of a column, drawn once."""
    key = str(name)
    if key not in _TRUTH:
        _TRUTH[key] = draw(np.random.default_rng(abs(hash_of(key))), _TRUTH_ROWS)
    return _TRUTH[key]


def hash_of(text: str) -> int:
    """The same number for the same text in every process."""
    return int.from_bytes(text.encode()[-7:], "big")


def population(seed: int, rows: int, months: int) -> Population:
    """Draw a reference of so many rows in so many months."""
    rng = np.random.default_rng(seed)
    calendar = np.datetime64("2024-01", "M") + np.arange(rows) * months // rows if months else None
    blocks = blocks_of(rows, calendar)
    found: dict[Name, ColumnReference] = {}
    for name, (feature, draw) in columns().items():
        found[name] = referred(feature, draw(rng, rows), blocks)
    laws = {name: law(found[name], truth(name, draw)) for name, (_, draw) in columns().items()}
    changed = {
        **{f"shift {by:g} sd": (SHIFTED, law(found[SHIFTED], truth(SHIFTED, _normal) + by)) for by in (0.1, 0.25, 0.5)},
        "mix 10 points": (MIXED, moved(laws[MIXED], 0, 1, 0.1)),
        "missing 5 points": (LOST, lost(laws[LOST], 0.05)),
    }
    return Population(Reference(found, rows, months), laws, changed)


def referred(feature: Feature | None, values: FloatArray, blocks: Blocks) -> ColumnReference:
    """The values of a column as a reference."""
    bins = numeric_bins(values) if feature is None else bins_of(feature, values)
    return ColumnReference(feature, bins, bins.count_by(values, blocks.block, blocks.count), blocks.month)


def law(column: ColumnReference, values: FloatArray) -> FloatArray:
    """The share of each fine bin among many values."""
    counts = column.bins.count(values)
    return np.asarray(counts / counts.sum())


def moved(shares: FloatArray, source: int, target: int, by: float) -> FloatArray:
    """Some of one bin's share given to another."""
    out = shares.copy()
    out[source] -= by
    out[target] += by
    return out


def lost(shares: FloatArray, by: float) -> FloatArray:
    """Some more rows missing, whatever their value."""
    out = shares * (1 - by / (1 - shares[-1]))
    out[-1] = shares[-1] + by
    return np.asarray(out / out.sum())


def clustered(
    rng: np.random.Generator, *, months: int, days: int, rows: int, alike: float
) -> tuple[Reference, Callable[[int, int], Counted]]:
    """Columns whose rows of a day resemble each other (share ``alike`` of their variance), unchanged otherwise: reference and windows.

    The window function takes rows and parts; it has seven days.
    """
    blocks = blocks_of(months * days * rows, np.repeat(np.datetime64("2024-01", "M") + np.arange(months), days * rows))
    found: dict[Name, ColumnReference] = {}
    for name, (feature, _) in columns().items():
        values = rng.normal(size=months * days * rows) * np.sqrt(1 - alike)
        values += np.repeat(rng.normal(size=months * days) * np.sqrt(alike), rows)
        kind = None if feature is None else Numeric(feature.name, low=-1e9, high=1e9)
        found[name] = referred(kind, values, blocks)

    def window(n: int, parts: int) -> Counted:
        each = np.full(7, n // 7) + (np.arange(7) < n % 7)
        day = np.arange(7)
        counts: dict[Name, Counts] = {}
        for name, column in found.items():
            effect = np.repeat(rng.normal(size=7) * np.sqrt(alike), each)
            values = rng.normal(size=n) * np.sqrt(1 - alike) + effect
            counts[name] = column.bins.count_by(values, np.repeat(day, each), 7)
        return Counted(counts, day * parts // 7, day)

    return Reference(found, len(blocks.block), months), window


def declared() -> dict[str, Any]:
    """What the population is, for a report."""
    known = columns()
    return {"columns": sum(name is not PREDICTION for name in known), "names": [str(name) for name in known if name is not PREDICTION]}


__all__ = ["CHANGES", "Population", "clustered", "columns", "declared", "population"]
