"""A table as XLSX, written row by row: any number of rows in little memory. Texts are texts there, never formulas.

Only what ECMA-376 (Office Open XML, part 1) asks of a workbook of one sheet: numbers as ``<v>``, texts as inline strings. A sheet has at
most 1,048,576 rows; what is longer goes on in the next one.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO
from xml.sax.saxutils import escape

SHEET_ROWS = 1_048_576
# What XML 1.0 cannot hold.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NS = "http://schemas.openxmlformats.org"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_SHEET = (
    f'{_HEAD}<worksheet xmlns="{_NS}/spreadsheetml/2006/main"><sheetViews><sheetView workbookViewId="0">'
    '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>'
)
_TOGETHER = 2_000
Cell = str | int | float


def write_xlsx(header: Sequence[str], rows: Iterable[Sequence[Cell]], out: IO[bytes], title: str = "Call sheet") -> int:
    """Write the workbook; return how many sheets it has."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as book:
        sheets, left = 0, iter(rows)
        more: Sequence[Cell] | None = next(left, None)
        while more is not None or not sheets:
            sheets += 1
            with book.open(f"xl/worksheets/sheet{sheets}.xml", "w", force_zip64=True) as file:
                more = _write_sheet(file, header, more, left)
        names = [title if at == 1 else f"{title} {at}" for at in range(1, sheets + 1)]
        for path, text in _parts(names):
            book.writestr(path, text)
    return sheets


def _write_sheet(
    file: IO[bytes], header: Sequence[str], first: Sequence[Cell] | None, rows: Iterator[Sequence[Cell]]
) -> Sequence[Cell] | None:
    """Write one sheet; the first row that it has no room for."""
    write = file.write
    write((_SHEET + _row(header)).encode())
    waiting: list[str] = []
    row, count = first, 1
    while row is not None and count < SHEET_ROWS:
        waiting.append(_row(row))
        count += 1
        if len(waiting) == _TOGETHER:
            write("".join(waiting).encode())
            waiting.clear()
        row = next(rows, None)
    write(("".join(waiting) + "</sheetData></worksheet>").encode())
    return row


def _row(cells: Sequence[Cell]) -> str:
    return f"<row>{''.join(map(_cell, cells))}</row>"


def _cell(value: Cell) -> str:
    if not isinstance(value, str):
        return f"<c><v>{value!r}</v></c>"
    if not value:
        return "<c/>"
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(_FORBIDDEN.sub("�", value))}</t></is></c>'


def _parts(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Every other part of the workbook."""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    numbers = range(1, len(names) + 1)
    sheets = "".join(f'<Override PartName="/xl/worksheets/sheet{at}.xml" ContentType="{kind}.worksheet+xml"/>' for at in numbers)
    yield (
        "[Content_Types].xml",
        f'{_HEAD}<Types xmlns="{_NS}/package/2006/content-types"><Default Extension="rels" ContentType='
        f'"application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" '
        f'ContentType="{kind}.sheet.main+xml"/>{sheets}</Types>',
    )
    related = f"{_NS}/officeDocument/2006/relationships"
    yield (
        "_rels/.rels",
        f'{_HEAD}<Relationships xmlns="{_NS}/package/2006/relationships"><Relationship Id="rId1" '
        f'Type="{related}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    )
    yield (
        "xl/workbook.xml",
        f'{_HEAD}<workbook xmlns="{_NS}/spreadsheetml/2006/main" xmlns:r="{related}"><sheets>'
        + "".join(f'<sheet name="{escape(name)}" sheetId="{at}" r:id="rId{at}"/>' for at, name in zip(numbers, names, strict=True))
        + "</sheets></workbook>",
    )
    yield (
        "xl/_rels/workbook.xml.rels",
        f'{_HEAD}<Relationships xmlns="{_NS}/package/2006/relationships">'
        + "".join(f'<Relationship Id="rId{at}" Type="{related}/worksheet" Target="worksheets/sheet{at}.xml"/>' for at in numbers)
        + "</Relationships>",
    )
