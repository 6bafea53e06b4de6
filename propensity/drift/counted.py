"""Two sides of a comparison as counts: the reference with its bins and its blocks, a window by days and parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign, Categorical, Feature
from propensity.drift.bins import Bins, Column, Counts, FloatArray, as_numbers, bins_of, numeric_bins
from propensity.drift.chance import Blocks, Components, blocks_of, components
from propensity.errors import DataError
from propensity.months import MonthArray
from propensity.schema import Table

# The scores, among the columns.
PREDICTION = None
Name = str | None


@dataclass(frozen=True)
class ColumnReference:
    """One column of the reference: its bins, and its rows per block and fine bin (blocks, size). ``feature``: None for the scores."""

    feature: Feature | None
    bins: Bins
    by_block: Counts
    month: npt.NDArray[np.intp]

    @cached_property
    def fine(self) -> Counts:
        """Rows per fine bin."""
        return np.asarray(self.by_block.sum(axis=0))

    @cached_property
    def coarse(self) -> Counts:
        """Rows per coarse bin."""
        return self.bins.coarsen(self.fine)

    @property
    def missing_share(self) -> float:
        """Share of the rows without a value, 0 to 1."""
        return float(self.fine[-1] / max(1, self.fine.sum()))

    @cached_property
    def ranks(self) -> FloatArray:
        """Mean rank of a fine bin but the last among the rows that have a value, 0 to 1."""
        return mean_ranks(self.fine[:-1].astype(np.float64))

    @cached_property
    def bin_parts(self) -> Components:
        """Variance components of lying in each coarse bin."""
        by_block = self.bins.coarsen(self.by_block).astype(np.float64)
        return components(by_block.sum(axis=1), by_block, by_block, self.month)

    @cached_property
    def rank_parts(self) -> Components:
        """Variance components of the rank."""
        known = self.by_block[:, :-1].astype(np.float64)
        return components(known.sum(axis=1), (known @ self.ranks)[:, None], (known @ self.ranks**2)[:, None], self.month)

    @cached_property
    def month_share(self) -> float:
        """Share of a column's variance that lies between months, 0 to 1."""
        if self.bins.ordered:
            return float(self.rank_parts.month_share()[0])
        total = self.bin_parts.total
        return float((self.bin_parts.month_share() * total).sum() / total.sum()) if total.sum() > 0 else 0.0


@dataclass(frozen=True)
class Reference:
    """What windows are compared with. ``columns`` holds every feature and, under `PREDICTION`, the scores."""

    columns: Mapping[Name, ColumnReference]
    rows: int
    months: int


def mean_ranks(weights: FloatArray) -> FloatArray:
    """Mean rank of each of some ordered bins, 0 to 1, given the weight of each."""
    total = weights.sum()
    return (np.cumsum(weights) - weights / 2) / total if total > 0 else np.zeros_like(weights)


def reference_of(campaign: Campaign, table: Table, scores: FloatArray, months: MonthArray | None = None) -> Reference:
    """The reference made of these rows. Raises DataError where there are none."""
    if not len(table):
        raise DataError("drift needs rows on both sides: a window without rows has the verdict no_data")
    blocks = blocks_of(len(table), months)
    columns: dict[Name, ColumnReference] = {
        feature.name: _column(feature, bins_of(feature, table.columns[feature.name]), table.columns[feature.name], blocks)
        for feature in campaign.features
    }
    columns[PREDICTION] = _column(None, numeric_bins(scores), scores, blocks)
    return Reference(columns, len(table), blocks.months if months is not None else 0)


def _column(feature: Feature | None, bins: Bins, column: Column, blocks: Blocks) -> ColumnReference:
    values = as_numbers(column) if feature is None or isinstance(feature, Categorical) else np.asarray(column, dtype=np.float64)
    return ColumnReference(feature, bins, bins.count_by(values, blocks.block, blocks.count), blocks.month)


@dataclass(frozen=True)
class Counted:
    """A window in the bins of its reference.

    Attributes
    ----------
    columns : mapping of column to counts, shape (groups, fine bins)
        A group holds the rows of one day in one part of the window.
    part, day : int array, one entry per group
        Which part of the window, and which day.
    """

    columns: Mapping[Name, Counts]
    part: npt.NDArray[np.intp]
    day: npt.NDArray[np.intp]

    @property
    def rows(self) -> int:
        return int(self.columns[PREDICTION].sum())

    @cached_property
    def day_rows(self) -> float:
        """Mean size of a row's own day: what a day has in common is in so many rows at once."""
        by_day = np.bincount(self.day, weights=self.columns[PREDICTION].sum(axis=1))
        return float((by_day**2).sum() / max(1.0, by_day.sum()))

    def by_part(self, name: Name, parts: int) -> Counts:
        """Rows per part and fine bin, shape (parts, fine bins)."""
        counts = self.columns[name]
        out = np.zeros((parts, counts.shape[1]), dtype=np.int64)
        np.add.at(out, self.part, counts)
        return out


def count_table(reference: Reference, table: Table, scores: FloatArray) -> Counted:
    """A whole window that is in memory: one day, one part."""
    columns: dict[Name, Counts] = {
        name: column.bins.count(scores if name is None else as_numbers(table.columns[name]))[None, :]
        for name, column in reference.columns.items()
    }
    return Counted(columns, np.zeros(1, dtype=np.intp), np.zeros(1, dtype=np.intp))
