from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.adapters.sources import read_source
from propensity.campaign import Dates, MonthsInOrder, MonthsOfYear
from propensity.campaigns import campaign
from propensity.errors import DataError
from propensity.months import MONTH_NAMES, Months, month_number, recover_months

IN_ORDER = MonthsInOrder("month", first_month="2008-05")


def _texts(months: Months | None) -> list[str]:
    assert months is not None
    return [str(month) for month in months.values]


@pytest.mark.parametrize(("cell", "number"), [("may", 5), ("MAY", 5), ("June", 6), ("jun", 6), (" Sept ", 9), ("dec.", 12), ("January", 1)])
def test_month_names_are_read_in_any_case_short_or_full(cell: str, number: int) -> None:
    assert month_number(cell) == number


@pytest.mark.parametrize("cell", ["", "ma", "mayo", "13", 5, None, "jann"])
def test_other_cells_are_no_month(cell: object) -> None:
    assert month_number(cell) is None


def test_no_calendar_means_no_months() -> None:
    assert recover_months(None, ["may"]) is None


def test_a_month_that_runs_backwards_starts_a_new_year() -> None:
    months = recover_months(IN_ORDER, ["may", "may", "Jun", "december", "mar", "mar", "Feb"])
    assert _texts(months) == ["2008-05", "2008-05", "2008-06", "2008-12", "2009-03", "2009-03", "2010-02"]


def test_wrong_cells_are_issues_and_do_not_disturb_the_others() -> None:
    months = recover_months(IN_ORDER, ["secret", "may", None, "jun", "apr"], first_row=10)
    assert months is not None
    assert [(issue.row, issue.column) for issue in months.issues] == [(10, "month"), (12, "month")]
    assert _texts(months) == ["NaT", "2008-05", "NaT", "2008-06", "2009-04"]
    assert all("secret" not in str(issue) for issue in months.issues)


def test_only_wrong_cells_are_all_issues() -> None:
    months = recover_months(IN_ORDER, ["?", ""])
    assert months is not None
    assert len(months.issues) == 2


def test_the_first_row_must_fit_the_declared_month() -> None:
    with pytest.raises(DataError, match="2008-05"):
        recover_months(IN_ORDER, ["jun", "jul"])


def test_rows_that_cannot_be_in_order_are_refused() -> None:
    with pytest.raises(DataError, match="not sorted"):
        recover_months(IN_ORDER, ["may", "apr"] * 100)


@given(st.lists(st.integers(0, 11), max_size=60))
def test_any_history_without_a_gap_of_a_year_is_recovered(gaps: list[int]) -> None:
    truth = np.datetime64("2008-05", "M") + np.cumsum([0, *gaps])
    names = [MONTH_NAMES[int(month.astype(int)) % 12] for month in truth]
    months = recover_months(IN_ORDER, names)
    assert months is not None
    assert months.values.tolist() == truth.tolist()


def test_months_of_a_year() -> None:
    months = recover_months(MonthsOfYear("Month", year=2017), ["Feb", "June", "x", "Dec", "Jan"])
    assert _texts(months) == ["2017-02", "2017-06", "NaT", "2017-12", "2017-01"]
    assert months is not None
    assert [issue.row for issue in months.issues] == [3]


def test_dates_and_time_stamps_are_read_in_utc() -> None:
    cells = [
        "2024-02-29",
        "2024-03-31T23:30:00-02:00",
        "2024-03-01T00:30:00.5+01:00",
        "2024-03-01t00:00:00z",
        "2024-03-01 00:00",
        date(2024, 5, 1),
        datetime(2024, 6, 30, 23, tzinfo=UTC),
        datetime(2024, 6, 30, 23, tzinfo=timezone(timedelta(hours=-2))),
        datetime(2024, 8, 1),  # noqa: DTZ001 - databases without time zones give such
    ]
    months = recover_months(Dates("day"), cells)
    assert _texts(months) == ["2024-02", "2024-04", "2024-02", "2024-03", "2024-03", "2024-05", "2024-06", "2024-07", "2024-08"]


@pytest.mark.parametrize(
    "cell", ["2024-13-01", "2023-02-29", "20240101", "2024-W01", "01.02.2024", "", None, 20240101, "0001-01-01T00:00:00+09:00"]
)
def test_other_cells_are_no_date(cell: object) -> None:
    months = recover_months(Dates("day"), [cell, "2024-01-01"])
    assert _texts(months) == ["NaT", "2024-01"]
    assert months is not None
    assert [issue.code for issue in months.issues] == ["not_a_month"]


def test_no_rows_give_no_months() -> None:
    for calendar in (IN_ORDER, MonthsOfYear("Month", year=2017), Dates("day")):
        assert _texts(recover_months(calendar, [])) == []


@pytest.mark.real_data
@pytest.mark.skipif("PROPENSITY_DATA_DIR" not in os.environ, reason="PROPENSITY_DATA_DIR is not set: no real data")
def test_the_real_term_deposit_file_spans_26_months() -> None:
    term_deposit = campaign("term-deposit")
    raw = read_source("public", term_deposit, data_dir=Path(os.environ["PROPENSITY_DATA_DIR"]))
    months = recover_months(term_deposit.calendar, raw.columns["month"])
    assert months is not None
    assert not months.issues
    found = np.unique(months.values)
    assert (str(found[0]), str(found[-1]), len(found)) == ("2008-05", "2010-11", 26)
    absent = {"2008-09", "2009-01", "2009-02", "2010-01", "2010-02"}
    assert not absent & {str(month) for month in found}
    assert (np.diff(months.values.astype(int)) >= 0).all()
