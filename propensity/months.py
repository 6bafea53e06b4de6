"""Which calendar month each row belongs to, recovered as the campaign's calendar says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt

from propensity.campaign import Calendar, Dates, MonthsInOrder, MonthsOfYear
from propensity.errors import DataError, RowIssue

MonthArray = npt.NDArray[np.datetime64]
MONTH_NAMES = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_NUMBERS = {name: at for at, full in enumerate(MONTH_NAMES, start=1) for name in (full, full[:3])} | {"sept": 9}
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})([Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?([Zz]|[+-]\d{2}:\d{2})?)?")
_NAME_MESSAGE = "must be the English name of a month, in full or its first three letters"
_DATE_MESSAGE = "must be a date, YYYY-MM-DD, or an RFC 3339 time stamp"
LONGEST_HISTORY_YEARS = 50


@dataclass(frozen=True)
class Months:
    """A month for each row (NaT where it cannot be told) and the rows where it cannot."""

    values: MonthArray
    issues: tuple[RowIssue, ...]


def month_number(cell: object) -> int | None:
    """1 to 12 for an English month name in any case (``may``, ``June``, ``Sept``); None for anything else."""
    return _NUMBERS.get(cell.strip().rstrip(".").lower()) if isinstance(cell, str) else None


def recover_months(calendar: Calendar | None, cells: Sequence[object], *, first_row: int = 1) -> Months | None:
    """The calendar month of every row.

    Parameters
    ----------
    calendar : Calendar or None
        The campaign's declaration. None: the data has no time, and so has the result.
    cells : sequence of n values
        The calendar's column, as the source holds it.
    first_row : int
        Number of the first row, for the issues.

    Raises
    ------
    DataError
        The rows are said to be in order of date, but do not begin in the declared month or cannot be in order.
    """
    if calendar is None:
        return None
    if isinstance(calendar, Dates):
        found = [_month_of_date(cell) for cell in cells]
        return _result(calendar.column, np.array(found, dtype="datetime64[M]"), _DATE_MESSAGE, first_row)
    numbers = [month_number(cell) for cell in cells]
    if isinstance(calendar, MonthsOfYear):
        months = [None if number is None else f"{calendar.year:04d}-{number:02d}" for number in numbers]
        return _result(calendar.column, np.array(months, dtype="datetime64[M]"), _NAME_MESSAGE, first_row)
    return _result(calendar.column, _in_order(calendar, numbers), _NAME_MESSAGE, first_row)


def _result(column: str, months: MonthArray, message: str, first_row: int) -> Months:
    wrong = np.flatnonzero(np.isnat(months)).tolist()
    return Months(months, tuple(RowIssue(first_row + at, column, "not_a_month", message) for at in wrong))


def _in_order(calendar: MonthsInOrder, numbers: Sequence[int | None]) -> MonthArray:
    given = np.array([number is not None for number in numbers], dtype=bool)
    known = np.array([number for number in numbers if number is not None], dtype=np.int64)
    months = np.full(len(numbers), np.datetime64("NaT"), dtype="datetime64[M]")
    if not len(known):
        return months
    first = np.datetime64(calendar.first_month, "M")
    if known[0] != int(calendar.first_month[5:]):
        raise DataError(
            f"column {calendar.column!r}: the rows must be sorted by date from {calendar.first_month} on, "
            f"but the first row is not of {MONTH_NAMES[int(calendar.first_month[5:]) - 1].capitalize()}"
        )
    # A month that runs backwards can only belong to the next year.
    years = np.concatenate([[0], np.cumsum(np.diff(known) < 0)])
    if years[-1] > LONGEST_HISTORY_YEARS:
        raise DataError(
            f"column {calendar.column!r}: the rows are not sorted by date: read as sorted, they would span "
            f"more than {LONGEST_HISTORY_YEARS} years"
        )
    months[given] = first + (known - known[0] + 12 * years).astype("timedelta64[M]")
    return months


def _month_of_date(cell: object) -> str | None:
    """``YYYY-MM`` in UTC; a time without an offset is taken as UTC."""
    if isinstance(cell, datetime):
        return _utc_month(cell)
    if isinstance(cell, date):
        return f"{cell.year:04d}-{cell.month:02d}"
    if not isinstance(cell, str) or not (match := _DATE.fullmatch(cell.strip())):
        return None
    try:
        return _utc_month(datetime.fromisoformat(match.group().upper()))
    except (ValueError, OverflowError):
        return None


def _utc_month(moment: datetime) -> str:
    moment = moment if moment.tzinfo is None else moment.astimezone(UTC)
    return f"{moment.year:04d}-{moment.month:02d}"
