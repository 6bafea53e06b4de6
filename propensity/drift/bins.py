"""Bins that a reference decides, and rows counted in them.

Two grids per column. The *coarse* bins are those of the PSI:

- every category is a bin, and so is "missing";
- a number with few distinct values in the reference has a bin per value and one for each gap between them, so that a constant column
  (bins by quantile would be a single one, and its PSI zero for ever) shows any other value;
- any other number is cut at the deciles of the reference; a value that fills more than one decile has a bin of its own.

The *fine* bins of a number divide these at further quantiles of the reference; rows are counted there, and everything else is added up
from those counts: a window of any size is so many counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensity.campaign import Categorical, Feature
from propensity.schema import CodeArray

FloatArray = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Column = FloatArray | CodeArray
BINS = 10
FEW_VALUES = 20
FINE = 128


@dataclass(frozen=True)
class Bins:
    """The grid of one column.

    Attributes
    ----------
    cuts : float64 array
        Where fine bins of a number begin, ascending; bin 0 lies below the first, the last bin is "missing". Empty for categories, whose bin
        is their position, and whose last bin is "missing", too.
    coarse : int array, one entry per fine bin
        The coarse bin that a fine bin belongs to.
    ordered : bool
        Bins but the last stand in the order of their values.
    """

    cuts: FloatArray
    coarse: npt.NDArray[np.intp]
    ordered: bool

    @property
    def size(self) -> int:
        """How many fine bins there are, "missing" included."""
        return len(self.coarse)

    def positions(self, values: FloatArray) -> npt.NDArray[np.intp]:
        """The fine bin of each value; categories come as positions in the declared values; NaN: missing."""
        missing = np.isnan(values)
        if not self.ordered:
            return np.where(missing, self.size - 1, values).astype(np.intp)
        return np.where(missing, self.size - 1, np.searchsorted(self.cuts, values, side="right"))

    def count(self, values: FloatArray) -> Counts:
        """Rows per fine bin."""
        return np.bincount(self.positions(values), minlength=self.size).astype(np.int64)

    def count_by(self, values: FloatArray, block: npt.NDArray[np.intp], blocks: int) -> Counts:
        """Rows per block and fine bin, shape (blocks, size)."""
        flat = np.bincount(block * self.size + self.positions(values), minlength=blocks * self.size)
        return flat.reshape(blocks, self.size).astype(np.int64)

    def coarsen(self, fine: npt.NDArray[np.int64]) -> Counts:
        """Rows per coarse bin from rows per fine bin; any number of leading axes."""
        if not self.ordered:
            return fine
        # Coarse bins are runs of fine ones; each but perhaps the first begins somewhere.
        starts = np.searchsorted(self.coarse, np.arange(int(self.coarse[-1]) + 1))
        return np.asarray(np.add.reduceat(fine, starts, axis=-1))


def bins_of(feature: Feature, reference: Column) -> Bins:
    """The bins of a feature, given its values in the reference."""
    if isinstance(feature, Categorical):
        return Bins(np.empty(0), np.arange(len(feature.values) + 1), ordered=False)
    return numeric_bins(np.asarray(reference, dtype=np.float64))


def numeric_bins(reference: FloatArray) -> Bins:
    """The bins of a number, NaN meaning missing."""
    known = reference[~np.isnan(reference)]
    coarse = coarse_cuts(known)
    cuts = coarse
    if len(known):
        cuts = np.unique(np.concatenate([coarse, np.quantile(known, np.linspace(0, 1, FINE + 1)[1:-1], method="lower")]))
    starts = np.concatenate([[-np.inf], cuts])
    return Bins(cuts, np.append(np.searchsorted(coarse, starts, side="right"), len(coarse) + 1), ordered=True)


def coarse_cuts(known: FloatArray) -> FloatArray:
    """Where coarse bins begin, ascending; a pair (v, next number after v) gives the value v a bin of its own."""
    if not len(known):
        return np.empty(0)
    own = np.unique(known)
    between = np.empty(0)
    if len(own) > FEW_VALUES:
        edges = np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="lower")
        between, times = np.unique(edges, return_counts=True)
        own = between[times > 1]
    return np.unique(np.concatenate([between, own, np.nextafter(own, np.inf)]))


def as_numbers(column: Column) -> FloatArray:
    """A column of a table as float64 with NaN for missing: positions of categories (-1: missing) become numbers."""
    if column.dtype == np.int16:
        return np.where(column < 0, np.nan, column)
    return np.asarray(column, dtype=np.float64)
