"""The one transform between typed columns and the matrix a model sees, shared by training, scoring and drift.

Categories become the rank of their smoothed positive rate in the training rows. For trees, which split on order, this is the
optimal ordering of a binary target (Fisher, "On grouping for maximum homogeneity", 1958), and scoring takes less than half the
time of XGBoost's native categoricals (docs/decisions.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign
from propensity.errors import ModelDamaged
from propensity.schema import RawColumns, Table

Matrix = npt.NDArray[np.float32]
Plan = tuple[tuple[str, Matrix | None], ...]
Flat = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp], Matrix]
PRIOR_ROWS = 20.0
_TOGETHER = 4_096


@dataclass(frozen=True)
class Encoding:
    """For each categorical feature, the rank of each declared value, in declared order."""

    ranks: Mapping[str, tuple[int, ...]]

    def matrix(self, table: Table) -> Matrix:
        """Encode a table as float32, shape (n, features), columns in declared order; NaN means missing.

        Raises ModelDamaged where the ranks do not fit the campaign's declared categories.
        """
        if isinstance(table.columns, RawColumns):
            return self._from_raw(table.campaign, table.columns.raw)
        out = np.empty((len(table), len(table.campaign.features)), dtype=np.float32)
        plan = [(table.columns[name], lookup) for name, lookup in self._plan(table.campaign)]
        # Some rows at a time stay in the processor's cache while their columns are put side by side: a third of the time.
        for start in range(0, len(out), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            for at, (column, lookup) in enumerate(plan):
                out[part, at] = column[part] if lookup is None else lookup[column[part]]
        return out

    def _from_raw(self, campaign: Campaign, raw: npt.NDArray[np.float64]) -> Matrix:
        """All categories of all rows in one look-up: for few rows the number of calls is what costs."""
        out = raw.astype(np.float32)
        places, starts, missing, values = self._flat(campaign)
        if len(places):
            codes = raw[:, places]
            at = np.where(np.isnan(codes), missing, codes + starts).astype(np.intp)
            out[:, places] = values[at]
        return out

    def _flat(self, campaign: Campaign) -> Flat:
        """The look-ups of `_plan` one after the other: places of the columns, where each begins, where its missing value is, values."""
        known: tuple[Campaign, Flat] | None = self.__dict__.get("_known_flat")
        if known is None or known[0] is not campaign:
            looked_up = [(at, lookup) for at, (_, lookup) in enumerate(self._plan(campaign)) if lookup is not None]
            sizes = np.array([len(lookup) for _, lookup in looked_up], dtype=np.intp)
            ends = np.cumsum(sizes)
            values = np.concatenate([lookup for _, lookup in looked_up]) if looked_up else np.empty(0, dtype=np.float32)
            places = np.array([at for at, _ in looked_up], dtype=np.intp)
            known = self.__dict__["_known_flat"] = (campaign, (places, ends - sizes, ends - 1, values))
        return known[1]

    def _plan(self, campaign: Campaign) -> Plan:
        """How each feature of a campaign is encoded; made once, since a model meets one campaign."""
        known: tuple[Campaign, Plan] | None = self.__dict__.get("_known")
        if known is None or known[0] is not campaign:
            plan = tuple((name, self._lookup(campaign, name) if name in self.ranks else None) for name in campaign.feature_names)
            # Written whole, so that another thread sees a campaign with its own plan or nothing.
            known = self.__dict__["_known"] = (campaign, plan)
        return known[1]

    def _lookup(self, campaign: Campaign, name: str) -> Matrix:
        ranks = self.ranks[name]
        declared = len(getattr(campaign.feature(name), "values", ()))
        if len(ranks) != declared:
            raise ModelDamaged(f"the model ranks {len(ranks)} values of {name!r}; the campaign declares {declared}: train again")
        # The last place stands for code -1, so that a missing value indexes it.
        return np.array([*ranks, np.nan], dtype=np.float32)


def fit_encoding(table: Table, positive: npt.NDArray[np.bool_]) -> Encoding:
    """Rank each categorical feature's values by their smoothed positive rate in these rows, lowest first.

    A value's rate is (positives + PRIOR_ROWS * base rate) / (rows + PRIOR_ROWS): a value never seen stands at the base rate.
    """
    base = float(positive.mean())
    ranks = {}
    for feature in table.campaign.categorical:
        codes = table.columns[feature.name]
        known = codes >= 0
        rows = np.bincount(codes[known], minlength=len(feature.values))
        hits = np.bincount(codes[known], weights=positive[known], minlength=len(feature.values))
        rate = (hits + PRIOR_ROWS * base) / (rows + PRIOR_ROWS)
        order = np.argsort(rate, kind="stable")
        ranks[feature.name] = tuple(int(r) for r in np.argsort(order, kind="stable"))
    return Encoding(ranks)
