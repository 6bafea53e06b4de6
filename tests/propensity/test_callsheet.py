from __future__ import annotations

import csv
import io
import unicodedata
from itertools import product

import pytest

from propensity.callsheet import call_sheet, error_sheet, safe_cell
from propensity.campaign import Policy
from propensity.errors import RowIssue
from propensity.model import Model
from propensity.schema import check_rows
from propensity.scoring import ScoredList, score_list
from tests.builders import tiny_campaign, tiny_columns

REQUEST = "0190f6a2-0000-7000-8000-000000000001"
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


@pytest.fixture
def scored(model: Model) -> ScoredList:
    ids = [payload for payload in PAYLOADS if payload.isprintable()]
    checked = check_rows(tiny_campaign(), tiny_columns(len(ids), seed=4), ids, len(ids), text=False)
    assert checked.issues == ()
    return score_list(model, checked, Policy("top_share", 0.5))


def test_a_call_sheet_of_hostile_ids_is_safe(scored: ScoredList) -> None:
    sheet = call_sheet(scored, REQUEST)
    rows = list(csv.DictReader(io.StringIO(sheet.decode(), newline="")))
    assert len(rows) == len(scored.table) > 50
    for row in rows:
        # A negative profit is a number and must stay one.
        float(row.pop("expected_profit"))
        assert not any(runs(cell) for cell in row.values())
    texts = [cell for cell in cells(sheet, ";") if "," not in cell]
    assert not any(runs(cell) for cell in texts)


def test_a_call_sheet_lists_everyone_best_first_with_exact_scores(scored: ScoredList) -> None:
    rows = list(csv.DictReader(io.StringIO(call_sheet(scored, REQUEST).decode(), newline="")))
    assert [int(row["rank"]) for row in rows] == list(range(1, len(rows) + 1))
    assert [float(row["score"]) for row in rows] == sorted(scored.scores.tolist(), reverse=True)
    at = {int(row): place for place, row in enumerate(scored.table.rows.tolist())}
    for row in rows:
        place = at[int(row["row"])]
        assert row["customer_id"] == safe_cell(scored.table.ids[place])
        assert row["decision"] == ("contact" if scored.decision.contact[place] else "leave")
        assert row["band"] == scored.bands[place]
        assert row["prediction_id"] == f"{REQUEST}.{place + 1}"
        assert float(row["expected_profit"]) == pytest.approx(float(scored.scores[place]) * 20 - 5, abs=0.005)


def test_a_call_sheet_of_nobody_is_its_header(model: Model) -> None:
    checked = check_rows(tiny_campaign(), {}, None, 0, text=False)
    sheet = call_sheet(score_list(model, checked, Policy("profit")), REQUEST)
    assert sheet.count(b"\r\n") == 1
    assert sheet.startswith(b"rank,customer_id,")


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
