"""The customers of the replayed year: rows of the campaign's data, day by day, with their dates shifted so that the year ends yesterday."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from propensity.adapters.object_store import FolderStore
from propensity.adapters.sources import read_source
from propensity.campaign import Campaign
from propensity.errors import DataError
from propensity.ingest import ingest
from propensity.raw import RawData
from propensity.snapshot import SnapshotData, read_snapshot
from replay.history import contact_days

# The last ones of the data. Of the public data that is December 2009 to November 2010; the bank called nobody in January and February.
MONTHS = 12
# So many customers of a month at most, evenly spread over it; every month of the public data's last year is smaller.
MOST_OF_A_MONTH = 400
# The last contact days with so many customers together are left for a list of today.
TODAY = 25


@dataclass(frozen=True)
class Day:
    """The customers of one day, and what came of each."""

    date: date
    rows: Sequence[Mapping[str, Any]]
    labels: Sequence[bool]


@dataclass(frozen=True)
class Month:
    """A month of the data between two shifted dates, the second one excluded. ``customers``: as many as the data holds of it."""

    name: str
    since: date
    until: date
    days: Sequence[Day]
    customers: int


@dataclass(frozen=True)
class Year:
    """What is replayed.

    Attributes
    ----------
    before : int
        Rows of the data before the year: what the first model learns from.
    shift_days : int
        By how much every date is later than in the data.
    today : Day
        Customers of the last contact days, who are sent as a list today. Their outcomes stay open.
    """

    months: Sequence[Month]
    before: int
    shift_days: int
    today: Day

    @property
    def customers(self) -> int:
        """Customers of the year, without those of today's list."""
        return sum(len(day.rows) for month in self.months for day in month.days)


def year_of(campaign: Campaign, raw: RawData, today: date) -> Year:
    """The year in some data, dated so that it ends the day before ``today``. Raises DataError where the data cannot be replayed."""
    data = _checked(campaign, raw)
    assert data.months is not None
    first = data.months.max() - (MONTHS - 1)
    rows, dates = np.flatnonzero(data.months >= first).tolist(), _dates(data)
    left = _left_for_today(dates, rows)
    before = int((data.months < first).sum())
    if not before or len(left) == len(rows):
        raise DataError(f"campaign {campaign.name!r} cannot be replayed: its data is not longer than a year, or its last year is one day")
    shift = (today - timedelta(days=1) - max(dates[at] for at in rows if at not in left)).days
    moved = timedelta(days=shift)
    months = []
    for month in np.arange(first, first + MONTHS):
        since, until = (value.astype("datetime64[D]").item() + moved for value in (month, month + 1))
        found = [at for at in np.flatnonzero(data.months == month).tolist() if at not in left]
        kept = found if len(found) <= MOST_OF_A_MONTH else [found[at] for at in _spread(len(found))]
        months.append(Month(str(month), since, min(until, today), list(_days(data, kept, dates, moved)), len(found)))
    return Year(months, before, shift, _day(data, sorted(left), today))


def write_before(raw: RawData, campaign: Campaign, rows: int, path: Path) -> None:
    """The first rows of the data as a file like the one they come from."""
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, delimiter=campaign.source.delimiter if campaign.source else ",")
        out.writerow(raw.columns)
        out.writerows(zip(*(column[:rows] for column in raw.columns.values()), strict=True))


def read(campaign: Campaign, source: str, *, data_dir: Path | None, home: Path) -> RawData:
    """The rows of a source as it holds them."""
    return read_source(source, campaign, data_dir=data_dir, home=home)


def _checked(campaign: Campaign, raw: RawData) -> SnapshotData:
    """The rows as every ingest checks them, in a store of their own: the platform must not hold what is still to come."""
    with tempfile.TemporaryDirectory(prefix="propensity-") as folder:
        store = FolderStore(Path(folder))
        made = ingest(campaign, raw, store)
        data = read_snapshot(store, campaign, made.manifest.snapshot_id)
    if made.refused or len(data.label) != raw.n or data.months is None:
        raise DataError(f"campaign {campaign.name!r} cannot be replayed: its data needs a calendar, and every row of it must be usable")
    return data


def _dates(data: SnapshotData) -> list[date]:
    """The day of each row: recovered from the weekdays where the rows are in order of date, else spread over the month's working days."""
    try:
        days = contact_days(data, data.table.campaign.retraining.traffic_growth)
    except DataError:
        return _spread_dates(data)
    return [day.date for day in days for _ in range(len(day))]


def _spread_dates(data: SnapshotData) -> list[date]:
    assert data.months is not None
    found: list[date] = []
    for month in np.unique(data.months):
        rows, first = int((data.months == month).sum()), month.astype("datetime64[D]").item()
        working = [day for at in range(31) if (day := first + timedelta(days=at)).month == first.month and day.weekday() < 5]
        found += [working[at * len(working) // rows] for at in range(rows)]
    return found


def _left_for_today(dates: Sequence[date], rows: Sequence[int]) -> frozenset[int]:
    """Rows of the last days, as many whole days as it takes."""
    left: list[int] = []
    while len(left) < TODAY and len(left) < len(rows):
        last = dates[rows[len(rows) - 1 - len(left)]]
        left += [at for at in rows if dates[at] == last]
    return frozenset(left)


def _spread(n: int) -> list[int]:
    return sorted({int(at) for at in np.linspace(0, n - 1, MOST_OF_A_MONTH)})


def _days(data: SnapshotData, rows: Sequence[int], dates: Sequence[date], moved: timedelta) -> Iterator[Day]:
    for day in sorted({dates[at] for at in rows}):
        yield _day(data, [at for at in rows if dates[at] == day], day + moved)


def _day(data: SnapshotData, rows: Sequence[int], when: date) -> Day:
    table = data.table.take(np.array(rows, dtype=np.int64))
    names = table.campaign.feature_names
    cells = zip(*(table.values(name) for name in names), strict=True)
    told = [{"id": customer, **dict(zip(names, row, strict=True))} for customer, row in zip(table.ids, cells, strict=True)]
    return Day(when, told, [bool(label) for label in data.label[np.array(rows, dtype=np.int64)]])
