"""The rows of a CSV text, by column. Quotes are left to the reader of the standard library; a text without any is split directly."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import NamedTuple, TypeGuard

from propensity.errors import Malformed, TooLarge

MAX_COLUMNS = 1_000
# Cells held at once beside the result.
_CHUNK_ROWS, _CHUNK_CELLS, _MOST_DELIMITERS = 1_000, 100_000, 400_000
_LINES_PER_ROW = 30
_LINE_ENDS_LOOKED_AT = 20
LINE_END = re.compile(r"\r\n|\r|\n")
LINE = re.compile(r"[^\r\n]*+(?:\r\n|\r|\n)|[^\r\n]++")


class Fault(NamedTuple):
    """Why a row cannot be used: the column (None: the row as a whole), a code, and what is allowed."""

    column: str | None
    code: str
    message: str


@dataclass
class Body:
    """The rows below the header: the columns asked for, and per row the line on which it begins."""

    columns: list[list[str]]
    lines: list[int]
    faults: dict[int, Fault]

    @property
    def n(self) -> int:
        return len(self.lines)


def parse(
    text: str,
    delimiter: str,
    wanted: Collection[int],
    width: int,
    *,
    first: int = 1,
    named: int | None = None,
    max_rows: int | None = None,
    skip_blank: bool = True,
    is_end: bool = True,
    subject: str = "the CSV",
) -> Body:
    """Columns of a text whose first line that is not empty is its header.

    Parameters
    ----------
    wanted : collection of int
        Positions of the columns to keep.
    width : int
        Cells that each row must have; those from ``named`` on must be empty.
    first : int
        The number of the text's first line.
    skip_blank : bool
        Whether lines without any cell are left out, and rows of empty cells at the end too; otherwise they are faults.
    is_end : bool
        Whether the text's end is the file's; if not, rows of empty cells there are rows like others.
    """
    layout = _Layout(delimiter, sorted(set(wanted)), width, width if named is None else named, skip_blank, subject)
    text = _without_empty_end(text, layout) if is_end else text
    if max_rows is not None and text.count("\n") + text.count("\r") > _LINES_PER_ROW * max_rows:
        raise TooLarge(f"{subject} has too many lines; one request takes at most {max_rows:,} rows")
    body = Body([[] for _ in layout.wanted], [], {})
    for numbers, rows in _quoted(text, layout, first) if '"' in text else _plain(text, layout, first):
        columns = _columns(rows, layout, len(body.lines), body.faults)
        for whole, part in zip(body.columns, columns, strict=True):
            whole.extend(part)
        body.lines.extend(numbers)
        if max_rows is not None and body.n > max_rows:
            raise TooLarge(
                f"{subject} has more than {max_rows:,} rows, and one request takes no more: send them in parts, "
                "or score a file: propensity score FILE"
            )
    return body


def _without_empty_end(text: str, layout: _Layout) -> str:
    """The text without rows of empty cells at its end, quoted or not. Where each line counts, the text itself."""
    return text if layout.width == 1 or not layout.skip_blank else without_empty_end(text, layout.delimiter)


def without_empty_end(text: str, delimiter: str) -> str:
    """The text without rows of empty cells at its end, quoted or not."""
    core = len(text.rstrip(delimiter + '\r\n"'))
    mark = re.escape(delimiter)
    empty = re.compile(rf'(?:(?:"")?+(?:{mark}(?:"")?+)*+(?:\r\n|\r|\n|\Z))*+')
    # The last cell may hold line ends of its own. What follows such a one has the quote that closes the cell, and so is not empty rows.
    for end in islice(LINE_END.finditer(text, core), _LINE_ENDS_LOOKED_AT):
        if empty.fullmatch(text, end.end()):
            return text[: end.start()]
    return text


class _Layout(NamedTuple):
    delimiter: str
    wanted: Sequence[int]
    width: int
    named: int
    skip_blank: bool
    subject: str

    @property
    def chunk(self) -> int:
        return max(1, min(_CHUNK_ROWS, _CHUNK_CELLS // self.width))


# Rows are lines that are not split yet, or lists of cells.
Rows = list[str] | list[list[str]]


def _columns(rows: Rows, layout: _Layout, start: int, faults: dict[int, Fault]) -> Sequence[Sequence[str]]:
    """The wanted columns; a row with the wrong number of cells is empty there, and stands among the faults."""
    if _unsplit(rows):
        columns = _by_splitting(rows, layout)
        if columns is not None:
            return columns
        split: Sequence[Sequence[str]] = [_cells(line, layout.delimiter) for line in rows]
    else:
        split = rows
    if layout.named < layout.width or set(map(len, split)) != {layout.width}:
        split = _by_rows(split, layout, start, faults)
    transposed = list(zip(*split, strict=True))
    return [transposed[at] for at in layout.wanted]


def _unsplit(rows: Rows) -> TypeGuard[list[str]]:
    return isinstance(rows[0], str)


def _by_splitting(lines: Sequence[str], layout: _Layout) -> list[list[str]] | None:
    """Columns of lines without quotes; None where a line has another number of cells."""
    mark, width = layout.delimiter, layout.width
    if layout.named < width or set(map(str.count, lines, [mark] * len(lines))) != {width - 1}:
        return None
    flat = mark.join(lines).split(mark)
    return [flat[at::width] for at in layout.wanted]


def _by_rows(rows: Sequence[Sequence[str]], layout: _Layout, start: int, faults: dict[int, Fault]) -> list[Sequence[str]]:
    whole: list[Sequence[str]] = []
    for at, row in enumerate(rows, start):
        if len(row) != layout.width:
            faults[at] = Fault(None, "wrong_cell_count", f"the row must have {layout.width} cells, as the header has")
        elif any(row[layout.named :]):
            named = f"the {layout.named} columns that the header names"
            faults[at] = Fault(None, "wrong_cell_count", f"the row must have no cells beyond {named}")
        whole.append([""] * layout.width if at in faults else row)
    return whole


def _cells(line: str, delimiter: str) -> list[str]:
    """A line's cells; none where there are too many to look at."""
    return line.split(delimiter) if line and line.count(delimiter) < MAX_COLUMNS else []


Chunks = Iterator[tuple[list[int], Rows]]


def _plain(text: str, layout: _Layout, first: int) -> Chunks:
    """Lines of a text without quotes, the header left out, with their numbers."""
    lines = (text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text).split("\n")
    if not lines[-1]:
        lines.pop()
    limit = csv.field_size_limit()
    if max(map(len, lines)) > limit:
        for at, line in enumerate(lines):
            if len(line) > limit and max(map(len, _cells(line, layout.delimiter)), default=0) > limit:
                raise Malformed(f"{layout.subject}, line {first + at}: a cell is over {limit} characters")
    below = next((at for at, line in enumerate(lines) if line), len(lines)) + 1
    for at in range(below, len(lines), layout.chunk):
        rows = lines[at : at + layout.chunk]
        numbers = list(range(first + at, first + at + len(rows)))
        if layout.skip_blank and not all(rows):
            numbers = [number for number, row in zip(numbers, rows, strict=True) if row]
            rows = [row for row in rows if row]
        if rows:
            yield numbers, rows


def _quoted(text: str, layout: _Layout, first: int) -> Chunks:
    """Rows as lists of cells, the header left out, with the line on which each begins; some at a time: few cells are held at once."""
    lines = LINE.findall(text)
    guard = _Guard(lines, layout)
    few = text.count(layout.delimiter) <= _MOST_DELIMITERS
    reader = csv.reader(lines if few else guard, delimiter=layout.delimiter, strict=True)
    begin, header = first, False
    while True:
        guard.delimiters = 0
        try:
            rows = list(islice(reader, layout.chunk))
        except csv.Error as exc:
            line = first + _lines_before_the_fault(lines, layout)
            limit = csv.field_size_limit()
            raise Malformed(f"{layout.subject}, line {line}: the quoting is broken or a cell is over {limit} characters") from exc
        if not rows:
            return
        numbers, begin = _begins(rows, begin, first + reader.line_num), first + reader.line_num
        if not header:
            at = next((at for at, row in enumerate(rows) if row), len(rows))
            header = at < len(rows)
            numbers, rows = numbers[at + 1 :], rows[at + 1 :]
        if layout.skip_blank and not all(rows):
            numbers = [number for number, row in zip(numbers, rows, strict=True) if row]
            rows = [row for row in rows if row]
        if rows:
            yield numbers, rows


def _begins(rows: Sequence[Sequence[str]], begin: int, end: int) -> list[int]:
    """The line on which each row begins: a row has as many lines as its cells have line ends, and one more."""
    if end - begin == len(rows):
        return list(range(begin, end))
    each = (1 + sum(len(LINE_END.findall(cell)) for cell in row if "\n" in cell or "\r" in cell) for row in rows)
    return list(accumulate(each, initial=begin))[:-1]


def _lines_before_the_fault(lines: Sequence[str], layout: _Layout) -> int:
    reader = csv.reader(lines, delimiter=layout.delimiter, strict=True)
    whole = 0
    try:
        for _ in reader:
            whole = reader.line_num
    except csv.Error:
        return whole
    return whole


class _Guard:
    """The lines of a text, until one chunk of rows would hold more cells than memory should."""

    def __init__(self, lines: Sequence[str], layout: _Layout) -> None:
        self._lines = iter(lines)
        self._delimiter = layout.delimiter
        self._subject = layout.subject
        self.delimiters = 0

    def __iter__(self) -> _Guard:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.delimiters += line.count(self._delimiter)
        if self.delimiters > _MOST_DELIMITERS:
            raise TooLarge(f"{self._subject} has rows of too many cells: at most {MAX_COLUMNS:,} columns are read")
        return line
