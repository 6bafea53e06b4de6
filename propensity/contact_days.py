"""What was contacted when, and what came of it: the history that a model follows, contact day by contact day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign
from propensity.following import traffic_term
from propensity.linear import CategoricalTerm, Linear, NumericTerm
from propensity.retraining import Retraining
from propensity.schema import Table
from propensity.snapshot import SnapshotData

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
# The last digits of a solver differ between processors.
_DIGITS = 10
WORKING_DAYS = 21
"""Of a month."""


@dataclass(frozen=True)
class ContactDay:
    """The customers of one day, in the order in which they were scored.

    Attributes
    ----------
    positive, known : bool arrays, shape (n,)
        The outcome, and whether it was ever observed. What ``positive`` says of a row that is not known is never read.
    traffic : float64 array, shape (n,)
        Contacts a day, as assumed when the row was scored (`propensity.following.traffic_seen`).
    """

    date: date
    table: Table
    positive: BoolArray
    known: BoolArray
    traffic: FloatArray

    def __len__(self) -> int:
        return len(self.traffic)

    @property
    def labels(self) -> BoolArray:
        """The known outcomes."""
        return self.positive[self.known]

    @cached_property
    def traffic_terms(self) -> FloatArray:
        return np.array([traffic_term(value) for value in self.traffic.tolist()])

    @cached_property
    def design(self) -> FloatArray:
        """What the effects are multiplied with, shape (n, effects): the declared spans, then a column per value of a learned feature."""
        return design_of(self.table)


def known_days(days: Sequence[ContactDay], at: date, delay_days: float) -> int:
    """How many of the first days have outcomes by the morning of ``at``, where an outcome takes so many days."""
    known = 0
    for day in days:
        if (at - day.date).days < max(delay_days, 1):
            break
        known += 1
    return known


def snapshot_days(data: SnapshotData) -> list[ContactDay]:
    """The months of a snapshot as contact days, each dated by its last day: finer than that a snapshot does not know.

    None where it has no calendar.
    """
    if data.months is None:
        return []
    found = []
    for month in np.unique(data.months):
        rows = np.flatnonzero(data.months == month)
        last: date = (month + 1).astype("datetime64[D]").item() - timedelta(days=1)
        traffic = np.full(len(rows), max(1.0, len(rows) / WORKING_DAYS))
        found.append(ContactDay(last, data.table.take(rows), data.label[rows], np.ones(len(rows), dtype=bool), traffic))
    return found


def design_of(table: Table) -> FloatArray:
    """See `ContactDay.design`. A missing value has no effect."""
    declared = table.campaign.retraining
    sizes = {feature.name: len(feature.values) for feature in table.campaign.categorical}
    columns = []
    for span in declared.spans:
        values = np.asarray(table.columns[span.name], dtype=np.float64)
        columns.append(np.nan_to_num((np.clip(values, span.low, span.high) - span.center) / span.scale))
    for name in declared.learned:
        codes = table.columns[name]
        columns += [(codes == at).astype(np.float64) for at in range(sizes[name])]
    return np.column_stack(columns) if columns else np.empty((len(table), 0))


def effects_of(campaign: Campaign) -> int:
    """Number of columns of `design_of`."""
    return len(campaign.retraining.spans) + sum(len(f.values) for f in campaign.categorical if f.name in campaign.retraining.learned)


def linear_of(campaign: Campaign, effects: FloatArray, average: FloatArray) -> Linear:
    """The linear member of a package with these effects: a feature that is not followed adds nothing.

    Parameters
    ----------
    average : float64 array, shape (effects,)
        Mean of `design_of` over the rows learned from: what an effect is measured against.
    """
    declared: Retraining = campaign.retraining
    values = [round(value, _DIGITS) for value in effects.tolist()]
    at = len(declared.spans)
    numeric = {feature.name: NumericTerm(float(feature.low), float(feature.high), 0.0, 1.0, 0.0, 0.0, 0.0) for feature in campaign.numeric}
    for place, span in enumerate(declared.spans):
        mean = values[place] * float(average[place])
        numeric[span.name] = NumericTerm(float(span.low), float(span.high), float(span.center), float(span.scale), values[place], 0.0, mean)
    categorical = {feature.name: CategoricalTerm((0.0,) * len(feature.values), 0.0, 0.0) for feature in campaign.categorical}
    for name in declared.learned:
        size = len(categorical[name].coefficients)
        mean = float(np.dot(effects[at : at + size], average[at : at + size]))
        categorical[name] = CategoricalTerm(tuple(values[at : at + size]), 0.0, mean)
        at += size
    return Linear(0.0, numeric, categorical)
