"""The contact days of a campaign's real history: rows in order of date, of which only month and weekday are known.

A day is a run of rows of the same month and weekday. It gets the first date that fits: later than the day before, in its month, on its
weekday. Gaps of whole weeks within a month cannot be seen, so that a date may be too early by some weeks, never in another month or order.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from propensity.contact_days import ContactDay
from propensity.errors import DataError
from propensity.following import traffic_seen
from propensity.snapshot import SnapshotData

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEKDAY_COLUMN = "day_of_week"


def contact_days(data: SnapshotData, growth: float) -> list[ContactDay]:
    """The days of a snapshot, oldest first; every outcome is known. Raises DataError where it has no months or no weekdays."""
    campaign = data.table.campaign
    if data.months is None or WEEKDAY_COLUMN not in campaign.feature_names:
        raise DataError(f"campaign {campaign.name!r} cannot be replayed: its rows need a calendar and a column {WEEKDAY_COLUMN!r}")
    weekdays = [WEEKDAYS.index(str(value)) for value in data.table.values(WEEKDAY_COLUMN)]
    months = data.months
    changes = [0, *(at for at in range(1, len(weekdays)) if weekdays[at] != weekdays[at - 1] or months[at] != months[at - 1])]
    edges = np.array([*changes, len(weekdays)])
    number = np.repeat(np.arange(len(changes)), np.diff(edges)).astype(np.int64)
    traffic = traffic_seen(number, growth)
    days: list[ContactDay] = []
    for first, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        when = _date(days[-1].date if days else None, months[first], weekdays[first])
        rows = slice(first, end)
        known = np.ones(end - first, dtype=bool)
        days.append(ContactDay(when, data.table.take(np.arange(first, end)), data.label[rows], known, traffic[rows]))
    return days


def _date(before: date | None, month: np.datetime64, weekday: int) -> date:
    """The first date of that month and weekday after the day before. Raises DataError where the month has none left."""
    first: date = month.astype("datetime64[D]").item()
    when = first if before is None or before < first else before + timedelta(days=1)
    when += timedelta(days=(weekday - when.weekday()) % 7)
    if (when.year, when.month) != (first.year, first.month):
        raise DataError(f"the rows of {first:%Y-%m} are not in order of date: they change the weekday more often than the month has days")
    return when


def labels_of(days: list[ContactDay]) -> npt.NDArray[np.bool_]:
    """Every outcome in order."""
    return np.concatenate([day.positive for day in days])
