from __future__ import annotations

import pytest

from propensity.campaign import Numeric
from propensity.csv_numbers import settle_decimals
from propensity.csv_text import read_csv

MONEY = Numeric("money", low=0, high=1_000_000)
RATE = Numeric("rate", low=-5, high=5)
PAGES = Numeric("pages", low=0, high=5_000, integer=True)


def settled(*, by_commas: bool = False, **columns: list[str]) -> tuple[dict[str, list[str]], dict[int, str]]:
    faults = settle_decimals(columns, (MONEY, RATE, PAGES), by_commas=by_commas)
    return columns, {at: code for at, (_, code, _) in faults.items()}


@pytest.mark.parametrize(
    ("cell", "becomes"),
    [("3,14", "3.14"), ("-0,5", "-0.5"), ("0,234", "0.234"), (",5", ".5"), ("1234,567", "1234.567"), ("1,5E+05", "1.5E+05"), ("7,", "7.")],
)
def test_a_decimal_comma_that_can_be_nothing_else_is_read(cell: str, becomes: str) -> None:
    assert settled(money=[cell]) == ({"money": [becomes]}, {})


@pytest.mark.parametrize("cell", ["1,234", "1.234", "12,345", "999.999", "-1,000", "+1.000"])
def test_a_number_that_could_be_two_is_refused(cell: str) -> None:
    columns, faults = settled(money=["5", cell])
    assert (columns["money"], faults) == (["5", cell], {1: "ambiguous_number"})


@pytest.mark.parametrize("cell", ["1,234,567", "1.234.567", "1,234.5", "1.234,5", "-12,345.67", "1.234.567,8"])
def test_thousands_separators_are_refused(cell: str) -> None:
    assert settled(money=[cell])[1] == {0: "thousands_separator"}


def test_the_range_of_a_column_decides() -> None:
    # 1234 is no rate: the comma is a decimal one, and then so are the others of the file.
    assert settled(rate=["1,234", "0"], money=["9", "1,234"]) == ({"rate": ["1.234", "0"], "money": ["9", "1.234"]}, {})
    assert settled(rate=["1.234", "0"], money=["9", "1.234"]) == ({"rate": ["1.234", "0"], "money": ["9", "1.234"]}, {})


def test_a_range_that_allows_neither_decides_nothing() -> None:
    assert settled(rate=["9,999"], money=["1"])[1] == {0: "ambiguous_number"}
    assert settled(pages=["1,000"])[1] == {0: "ambiguous_number"}


def test_other_cells_of_the_file_decide() -> None:
    assert settled(money=["0,5", "1,234"]) == ({"money": ["0.5", "1.234"]}, {})
    assert settled(money=["0.5", "1.234"]) == ({"money": ["0.5", "1.234"]}, {})
    assert settled(money=["0.5", "1,234"])[1] == {1: "ambiguous_number"}
    assert settled(money=["0,5", "1.234"])[1] == {1: "ambiguous_number"}
    assert settled(pages=["1.234"], money=["0,5"])[1] == {0: "ambiguous_number"}


def test_commas_and_points_together_settle_nothing() -> None:
    columns, faults = settled(money=["0.5", "0,5", "1.234", "1,234", "7"])
    assert faults == {1: "ambiguous_number", 2: "ambiguous_number", 3: "ambiguous_number"}
    assert columns["money"][4] == "7"


def test_in_a_file_separated_by_commas_a_point_is_decimal() -> None:
    assert settled(by_commas=True, money=["1.234"]) == ({"money": ["1.234"]}, {})
    assert settled(by_commas=True, money=["1,234"])[1] == {0: "ambiguous_number"}
    assert settled(by_commas=True, money=["3,14"]) == ({"money": ["3.14"]}, {})


@pytest.mark.parametrize("cell", ["", "x", "1 234", "1'234", "1,2,3", "5 %", ".", ",", "1.2.3", "12,34,567", "inf", "nan"])
def test_what_is_no_number_is_left_for_the_validation(cell: str) -> None:
    assert settled(money=[cell]) == ({"money": [cell]}, {})


def test_a_file_of_a_european_spreadsheet() -> None:
    data = "sep=;\r\nmoney;rate;pages;id\r\n1234,50;3,14;12;a,b\r\n1,234;-0,5;4000;c\r\n".encode("utf-16")
    table = read_csv(data, {"money", "rate", "pages", "id"}, (MONEY, RATE, PAGES))
    assert table.columns == {"money": ["1234.50", "1.234"], "rate": ["3.14", "-0.5"], "pages": ["12", "4000"], "id": ["a,b", "c"]}
    assert not table.faults
