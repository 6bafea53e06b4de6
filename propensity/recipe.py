"""How synthetic customers of a campaign are drawn: a declaration, not code.

A recipe lists one draw per column, in an order in which a later column may depend on an earlier one, and the effects by which
columns move the log-odds of the label. ``propensity.synthetic`` turns it into rows. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Normal:
    """A normal number, clipped to the feature's range."""

    mean: float
    sd: float


@dataclass(frozen=True, slots=True)
class LogNormal:
    """A positive, right-skewed number, clipped to the feature's range; ``sigma`` is the sd of its logarithm."""

    median: float
    sigma: float


@dataclass(frozen=True, slots=True)
class Uniform:
    """A number between ``low`` and ``high``, both included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Poisson:
    """A count; ``offset`` is added to it."""

    mean: float
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value in every row."""

    value: float | int | str


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values; weights need not sum to one."""

    weights: Mapping[str | int, float]


@dataclass(frozen=True, slots=True)
class Mixture:
    """One of several draws, chosen per row by weight."""

    parts: tuple[tuple[float, Draw], ...]


@dataclass(frozen=True, slots=True)
class Given:
    """A draw that depends on the value of an earlier categorical column."""

    column: str
    cases: Mapping[str | int, Draw]
    otherwise: Draw


@dataclass(frozen=True, slots=True)
class Path:
    """A number that drifts: points spread evenly over the months, linear between them, with noise per row."""

    points: tuple[float, ...]
    sd: float = 0.0


@dataclass(frozen=True, slots=True)
class MonthOf:
    """The calendar month of the row, written as the campaign's month column writes it."""


Draw = Normal | LogNormal | Uniform | Poisson | Constant | Choice | Mixture | Given | Path | MonthOf


@dataclass(frozen=True, slots=True)
class Slope:
    """A number's effect: ``per_unit`` log-odds for each unit above ``around``."""

    column: str
    per_unit: float
    around: float


@dataclass(frozen=True, slots=True)
class Lift:
    """A category's effect: log-odds added for the values named."""

    column: str
    by_value: Mapping[str | int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything needed to draw a data set with a known signal.

    Attributes
    ----------
    draws : mapping of column to draw
        Every feature, in drawing order; columns that the campaign excludes may be drawn as well.
    effects : tuple of Slope or Lift
        The signal. A model trained on enough rows must find it.
    intercept : float
        Log-odds of the label where every effect is zero.
    first_month, months
        Calendar span of the rows, ``YYYY-MM`` and a count.
    rows : int
        Rows drawn when nobody says how many.
    """

    draws: Mapping[str, Draw]
    effects: tuple[Slope | Lift, ...]
    intercept: float
    first_month: str
    months: int
    rows: int = 20_000
    excluded_draws: Mapping[str, Draw] = field(default_factory=dict)
