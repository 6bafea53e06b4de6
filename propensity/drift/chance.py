"""How often chance alone gives a difference as large as the one seen, at every number of rows.

Rows of two sides are compared by the mean of some number per row: its rank, or whether it lies in one bin. Where nothing has changed, the
smaller side is a draw without replacement from both sides together. The chance that the mean of n such rows lies as far off as x is at
most ::

    exp(-n (t x - log mean exp(t value)))   for every t; the best t is taken

(Chernoff's bound, with Hoeffding, "Probability inequalities for sums of bounded random variables", 1963, theorem 4, for draws without
replacement). It is a bound and no approximation: it holds for fifty rows and rare categories, where chi-squared and normal tails do not.

Rows that come together resemble each other: those of a day share the weather and the list they came from, those of a month the season.
Each side therefore counts for its *effective* rows, n over the design effect (Kish, "Survey Sampling", 1965, section 5.4). It follows
from variance components of the reference (nested analysis of variance: months, neighbouring rows within months), where the part between
months is raised by what Student's t has over the normal quantile: a few months do not say well how much months differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
# So many rows of the reference that stand together are taken as one block, fewer than a day has: a block that holds two days would show
# half of what a day has in common. So many blocks at most.
NEIGHBOURS = 40
MOST_BLOCKS = 2_500
# With fewer than about six months Student's quantiles say that nothing can be known.
MOST_RAISED = 10.0


@dataclass(frozen=True)
class Blocks:
    """Which rows of a reference came together: ``block`` per row, ``month`` per block (0, 1, ...)."""

    block: npt.NDArray[np.intp]
    month: npt.NDArray[np.intp]

    @property
    def count(self) -> int:
        return len(self.month)

    @property
    def months(self) -> int:
        return int(self.month.max()) + 1 if len(self.month) else 0


def blocks_of(n: int, months: npt.NDArray[np.datetime64] | None) -> Blocks:
    """Blocks of neighbouring rows within months, in the order of the rows; where there is no calendar, all rows are one month."""
    of_row = np.zeros(n, dtype=np.intp) if months is None else np.unique(months, return_inverse=True)[1].astype(np.intp)
    size = max(NEIGHBOURS, -(-n // MOST_BLOCKS))
    order = np.argsort(of_row, kind="stable")
    starts = np.flatnonzero(np.diff(of_row[order], prepend=-1))
    within = np.arange(n) - np.repeat(starts, np.diff(np.append(starts, n)))
    # A rest too small for a block of its own belongs to the one before.
    sizes = np.repeat(np.diff(np.append(starts, n)), np.diff(np.append(starts, n)))
    number = np.minimum(within // size, np.maximum(1, sizes // size) - 1)
    key = of_row[order] * (n + 1) + number
    kept, at = np.unique(key, return_inverse=True)
    block = np.empty(n, dtype=np.intp)
    block[order] = at
    return Blocks(block, (kept // (n + 1)).astype(np.intp))


@dataclass(frozen=True)
class Components:
    """Variance components of one or several numbers per row (arrays of shape (k,)).

    Attributes
    ----------
    total, within : float64 array
        Variance of a row, and of a row within its block.
    block, month : float64 array
        Variance of what the rows of a block, and those of a month, have in common; ``month`` is not raised yet.
    between_months : float64 array
        Mean square between months, over ``month_rows``: what `month_part` raises.
    """

    total: FloatArray
    within: FloatArray
    block: FloatArray
    between_months: FloatArray
    month_rows: float
    months: int
    own_month_rows: float
    own_block_rows: float

    def month_part(self, level: float) -> FloatArray:
        """Variance between months, raised for how few they are, for a test at that level (two-sided)."""
        if self.months < 2:
            return np.zeros_like(self.total)
        lowered = raised(self.months, level) * self.between_months - self.within - self.own_block_rows * self.block
        return np.maximum(0.0, lowered / self.month_rows)

    def month_share(self) -> FloatArray:
        """Share of the variance that lies between months, 0 to 1, not raised."""
        if self.months < 2:
            return np.zeros_like(self.total)
        part = np.maximum(0.0, (self.between_months - self.within - self.own_block_rows * self.block) / self.month_rows)
        return np.divide(part, part + self.block + self.within, out=np.zeros_like(part), where=part + self.block + self.within > 0)

    def design_effect(self, rows: float, day_rows: float, level: float) -> FloatArray:
        """By how much the rows of a window count less than independent ones; ``day_rows`` is the mean size of a row's own day."""
        together = self.within + rows * self.month_part(level) + day_rows * self.block
        return np.maximum(1.0, np.divide(together, self.total, out=np.ones_like(together), where=self.total > 0))

    def own_design_effect(self, level: float) -> FloatArray:
        """The same for the reference itself."""
        together = self.within + self.own_month_rows * self.month_part(level) + self.own_block_rows * self.block
        return np.maximum(1.0, np.divide(together, self.total, out=np.ones_like(together), where=self.total > 0))


@cache
def raised(months: int, level: float) -> float:
    """(t / z) squared for that many months and a two-sided test at that level, at most `MOST_RAISED`."""
    from scipy import stats

    ratio = stats.t.isf(level / 2, months - 1) / stats.norm.isf(level / 2)
    return float(min(MOST_RAISED, ratio**2))


def components(rows: FloatArray, sums: FloatArray, squares: FloatArray, month: npt.NDArray[np.intp]) -> Components:
    """Variance components from rows per block (shape (b,)), sums and sums of squares per block (shape (b, k)), and each block's month.

    Source: Searle, Casella, McCulloch, "Variance Components", 1992, section 3.6 (nested, unequal numbers).
    """
    filled = rows > 0
    rows, sums, squares, month = rows[filled], sums[filled], squares[filled], month[filled]
    known, at = np.unique(month, return_inverse=True)
    of_month = np.bincount(at, weights=rows)
    month_sums = np.zeros((len(known), sums.shape[1]))
    np.add.at(month_sums, at, sums)
    n, blocks, months = float(rows.sum()), len(rows), len(known)
    levels = ((sums, rows), (month_sums, np.asarray(of_month, dtype=np.float64)), (sums.sum(axis=0)[None, :], np.array([n])))
    by_block, by_month, whole = ((part**2 / size[:, None]).sum(axis=0) for part, size in levels)
    within = (squares.sum(axis=0) - by_block) / max(1.0, n - blocks)
    total = (squares.sum(axis=0) - whole) / max(1.0, n - 1)
    block_rows = (n - float((rows**2 / of_month[at]).sum())) / max(1, blocks - months)
    block = np.zeros_like(total)
    if blocks > months and block_rows > 0:
        block = np.maximum(0.0, ((by_block - by_month) / (blocks - months) - within) / block_rows)
    own_month_rows, own_block_rows = float((of_month**2).sum() / n), float((rows**2).sum() / n)
    between = (by_month - whole) / max(1, months - 1)
    month_rows = (n - own_month_rows) / max(1, months - 1)
    return Components(total, np.maximum(0.0, within), block, between, month_rows, months, own_month_rows, own_block_rows)


def bin_chance(small: FloatArray, both: FloatArray, rows: FloatArray) -> FloatArray:
    """Chance, at most, of a share as far off as ``small`` among that many effective rows of a draw from ``both``; two-sided, per bin.

    The exponent is the relative entropy of the two shares.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = np.where(small > 0, small * np.log(small / both), 0.0)
        outside = np.where(small < 1, (1 - small) * np.log((1 - small) / (1 - both)), 0.0)
    entropy = np.maximum(0.0, np.nan_to_num(inside + outside, nan=0.0, posinf=np.inf))
    return np.asarray(np.minimum(1.0, 2 * np.exp(-rows * entropy)))


def mean_chance(values: FloatArray, shares: FloatArray, mean: float, rows: float) -> float:
    """Chance, at most, of a mean as far off as ``mean`` among ``rows`` effective rows drawn from ``values`` with ``shares``; two-sided."""
    held = shares > 0
    values, shares = values[held], shares[held]
    if len(values) < 2:
        return 1.0
    if not values.min() < mean < values.max():
        edge = shares[values == mean]
        return min(1.0, 2 * float(edge.sum()) ** rows) if len(edge) else 0.0
    exponent = _best_exponent(values - mean, shares)
    return min(1.0, 2 * float(np.exp(-rows * exponent)))


def _best_exponent(centred: FloatArray, shares: FloatArray) -> float:
    """The largest of -log mean exp(t centred) over t, by Newton's method on a convex function, with halved steps."""
    t, value = 0.0, 0.0
    for _ in range(60):
        weight = shares * np.exp(t * centred - (largest := float(np.max(t * centred))))
        mass = weight.sum()
        slope = float((weight * centred).sum() / mass)
        bend = float((weight * centred**2).sum() / mass) - slope**2
        value = -(largest + float(np.log(mass)))
        if bend <= 0 or slope**2 / bend < 1e-12:
            break
        step = -slope / bend
        while _log_mean(centred, shares, t + step) > -value and abs(step) > 1e-12:
            step /= 2
        t += step
    return max(0.0, value)


def _log_mean(centred: FloatArray, shares: FloatArray, t: float) -> float:
    largest = float(np.max(t * centred))
    return largest + float(np.log((shares * np.exp(t * centred - largest)).sum()))


def holm(chances: FloatArray) -> FloatArray:
    """Chances corrected for how many there are: the chance that any unchanged column falls below a level is at most that level.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979. It holds however
    the columns depend on each other.
    """
    order = np.argsort(chances, kind="stable")
    steps = chances[order] * np.arange(len(chances), 0, -1)
    out = np.empty_like(chances)
    out[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return out
