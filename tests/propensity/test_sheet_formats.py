"""A call sheet in other formats: the same cells, and no spreadsheet runs any of them."""

from __future__ import annotations

import io
import re
import zipfile
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest

from propensity import xlsx
from propensity.callsheet import CALL_SHEET
from propensity.errors import Malformed
from propensity.sheet_formats import parse_format, write_sheet
from propensity.xlsx import write_xlsx

NS = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
NASTY = ["=1+1", "+1", "-1", "@x", "\t=1", "＝1", '"a";b', "<b>&amp;", "l1\nl2", "ünï", "a,b", "x\x01y", "' =1", "]]>"]
HEAD = ",".join(CALL_SHEET)


def sheet(rows: int) -> bytes:
    from propensity.list_writers import cells_of

    names = cells_of([NASTY[at % len(NASTY)] for at in range(rows)])
    lines = [f"{at + 1},{name},contact,high,0.{at + 1:03d},1.50,why,{at + 7},id.{at}" for at, name in enumerate(names)]
    return ("\r\n".join([HEAD, *lines]) + "\r\n").encode()


def in_pieces(data: bytes, size: int = 61) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def cells(book: bytes, number: int = 1) -> list[list[str | float]]:
    """The cells of a sheet, and that none of them is a formula."""
    with zipfile.ZipFile(io.BytesIO(book)) as parts:
        root = ElementTree.fromstring(parts.read(f"xl/worksheets/sheet{number}.xml"))
    assert root.find(f".//{NS}f") is None
    found: list[list[str | float]] = []
    for row in root.iter(f"{NS}row"):
        found.append([])
        for cell in row:
            text, value = cell.find(f"{NS}is/{NS}t"), cell.find(f"{NS}v")
            assert cell.get("t") in (None, "inlineStr")
            found[-1].append(text.text or "" if text is not None else float(value.text or "") if value is not None else "")
    return found


def test_an_xlsx_holds_the_same_cells_and_no_formula() -> None:
    data, out = sheet(30), io.BytesIO()
    write_sheet("xlsx", in_pieces(data), out)
    head, *rows = cells(out.getvalue())
    assert head == list(CALL_SHEET)
    assert len(rows) == 30
    assert rows[0] == [1.0, "'=1+1", "contact", "high", 0.001, 1.5, "why", 7.0, "id.0"]
    assert rows[8][1] == "l1\nl2"
    assert not any(str(row[1]).lstrip().startswith(("=", "+", "@")) for row in rows)
    assert {path for path in zipfile.ZipFile(io.BytesIO(out.getvalue())).namelist() if "sheet" not in path} >= {
        "[Content_Types].xml",
        "_rels/.rels",
    }


def test_a_parquet_holds_the_same_cells_typed() -> None:
    out = io.BytesIO()
    write_sheet("parquet", in_pieces(sheet(20)), out)
    rows = pq.read_table(io.BytesIO(out.getvalue())).to_pylist()
    assert len(rows) == 20
    assert rows[1] == {
        "rank": 2,
        "customer_id": "'+1",
        "decision": "contact",
        "band": "high",
        "score": 0.002,
        "expected_profit": 1.5,
        "reasons": "why",
        "row": 8,
        "prediction_id": "id.1",
    }


def test_a_csv_that_nobody_chose_from_is_the_very_file() -> None:
    data, out = sheet(20), io.BytesIO()
    write_sheet("csv", in_pieces(data), out)
    assert out.getvalue() == data


def test_chosen_rows_keep_their_cells_to_the_letter() -> None:
    data, out = sheet(20), io.BytesIO()
    write_sheet("csv", in_pieces(data), out, lambda rows, places: (row for row in rows if row[places["rank"]] in ("1", "9")))
    kept = out.getvalue().decode()
    assert kept.startswith(HEAD)
    assert re.findall(r"(?m)^(\d+),", kept) == ["1", "9"]
    assert kept in data.decode().replace("\r\n", "\r\n") or all(line in data.decode() for line in kept.split("\r\n"))


def test_what_one_sheet_has_no_room_for_goes_on_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "SHEET_ROWS", 4)
    out = io.BytesIO()
    assert write_xlsx(["n"], ([at] for at in range(7)), out) == 3
    found = [value for number in (1, 2, 3) for (value,) in cells(out.getvalue(), number)[1:]]
    assert found == [float(at) for at in range(7)]
    empty = io.BytesIO()
    assert write_xlsx(["n"], [], empty) == 1
    assert cells(empty.getvalue()) == [["n"]]


def test_a_format_that_is_not_offered_is_refused() -> None:
    assert parse_format(None) == "csv"
    with pytest.raises(Malformed, match="csv, xlsx, parquet"):
        parse_format("ods")
