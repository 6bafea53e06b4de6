from __future__ import annotations

import csv
import io
import unicodedata
from itertools import product

import pytest

from propensity.callsheet import error_sheet, safe_cell
from propensity.errors import RowIssue

FORMULAS = (
    "=1+1", "+1+1", "-1+1", "@SUM(1)", "=cmd|' /C calc'!A0", '=HYPERLINK("http://x","y")', "＝1+1", "＋1", "－1",
    "＠SUM(1)", "﹦1+1", "﹢1", "﹣1", "﹫x",
)  # fmt: skip
FRONTS = (
    "", " ", "   ", "\t", "\r", "\n", "\r\n", " \t", "\u00a0", "\u3000", "\u2003", "\u200b", "\ufeff", "\x00", "\x0b",
    "\x0c", "\x1f", "\x7f",
    "\u2060", "'", '"', '""', ";", "a;", "a; ", 'a;"', "1;\t", "\u202e",
)  # fmt: skip
BARE = ["\t", "\r", "\n", "\tx", "\rx", "\nx", "=", "+", "-", "@", ";=", ";;=x"]
PAYLOADS = [front + formula for front, formula in product(FRONTS, FORMULAS)] + BARE


def runs(cell: str) -> bool:
    """Whether a spreadsheet could take a cell for a formula; judged apart from the code under test."""
    if cell[:1] in ("\t", "\r", "\n"):
        return bool(cell.strip())
    if cell.startswith("'"):
        return False
    seen = [ch for ch in cell if unicodedata.category(ch)[0] not in "ZC" and ch not in "\"'"]
    return bool(seen) and seen[0] in "=+-@＝＋－＠﹦﹢﹣﹫"


def cells(data: bytes, delimiter: str) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(data.decode(), newline=""), delimiter=delimiter) for cell in row]


@pytest.mark.parametrize("payload", PAYLOADS, ids=ascii)
def test_no_cell_is_unsafe_whatever_separates_cells(payload: str) -> None:
    sheet = error_sheet([RowIssue(1, payload, "code", payload)])
    assert not any(runs(cell) for delimiter in ",;" for cell in cells(sheet, delimiter))


@pytest.mark.parametrize("payload", PAYLOADS, ids=ascii)
def test_nothing_is_lost_but_apostrophes_are_added(payload: str) -> None:
    safe = safe_cell(payload)
    assert safe.replace("'", "") == payload.replace("'", "")
    assert safe_cell("x") == "x"


@pytest.mark.parametrize(
    "text", ["", "k1", "é漢🙂", "a=1", "1-2", "x@y.z", "12.5", "a, b", 'say "x"', "a;b", " a", "poutcome = success raises the score"]
)
def test_harmless_text_is_left_as_it_is(text: str) -> None:
    assert safe_cell(text) == text


def test_an_error_sheet_names_row_column_code_and_what_is_allowed() -> None:
    sheet = error_sheet([RowIssue(3, "age", "missing", "is missing"), RowIssue(4, None, "bad_id", "must be a text")])
    assert cells(sheet, ",") == [
        "row",
        "column",
        "code",
        "message",
        "3",
        "age",
        "missing",
        "is missing",
        "4",
        "",
        "bad_id",
        "must be a text",
    ]
