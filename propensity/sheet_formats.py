"""A call sheet read again, line by line, and written in the format somebody asks for: CSV as it is, XLSX, Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import IO, Any

from propensity.errors import Malformed
from propensity.xlsx import Cell, write_xlsx

# What is a number in a call sheet; every other column is a text.
NUMBERS: Mapping[str, type] = MappingProxyType({"rank": int, "score": float, "expected_profit": float, "row": int})
SHEETS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "csv": ("text/csv; charset=utf-8", "call-sheet.csv"),
        "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "call-sheet.xlsx"),
        "parquet": ("application/vnd.apache.parquet", "call-sheet.parquet"),
    }
)
_TOGETHER = 20_000
# Rows and the place of each column; gives the rows that are wanted, in order.
Keep = Callable[[Iterator[list[str]], Mapping[str, int]], Iterator[list[str]]]


def parse_format(text: str | None) -> str:
    """A format of a call sheet; CSV where none is asked for. Raises Malformed, naming those on offer."""
    wanted = text or "csv"
    if wanted not in SHEETS:
        raise Malformed(f"format must be one of {', '.join(SHEETS)}")
    return wanted


class SheetReader:
    """A call sheet in CSV that comes in pieces, as its header and its rows.

    Attributes
    ----------
    header : list of str
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._rows = csv.reader(_lines(pieces))
        self.header = next(self._rows, [])

    def rows(self) -> Iterator[list[str]]:
        """The cells of each row, as they stand."""
        return self._rows

    @property
    def places(self) -> dict[str, int]:
        """Where each column stands."""
        return {name: at for at, name in enumerate(self.header)}

    def column(self, name: str) -> int | None:
        """Where a column stands; None where the sheet has none of that name."""
        return self.header.index(name) if name in self.header else None


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """The lines of a text in pieces. Cells of a call sheet may hold line ends; the reader puts those together again."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line.decode() + "\n"
    if rest:
        yield rest.decode()


def write_sheet(kind: str, pieces: Iterable[bytes], out: IO[bytes], *keeps: Keep) -> None:
    """Write a call sheet in another format, without the rows that any of ``keeps`` leaves out."""
    if kind == "csv" and not keeps:
        for piece in pieces:
            out.write(piece)
        return
    sheet = SheetReader(pieces)
    rows = sheet.rows()
    for keep in keeps:
        rows = keep(rows, sheet.places)
    if kind == "csv":
        _write_csv(sheet.header, rows, out)
    elif kind == "xlsx":
        kinds = [NUMBERS.get(name) for name in sheet.header]
        write_xlsx(sheet.header, (_typed(row, kinds) for row in rows), out)
    else:
        _write_parquet(sheet.header, rows, out)


def _typed(row: Sequence[str], kinds: Sequence[type | None]) -> list[Cell]:
    return [cell if kind is None or not cell else kind(cell) for cell, kind in zip(row, kinds, strict=True)]


def _write_csv(header: Sequence[str], rows: Iterable[Sequence[str]], out: IO[bytes]) -> None:
    # The cells were safe in a spreadsheet as they stood, and stay as they are.
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    csv.writer(text, lineterminator="\r\n").writerows([header])
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    text.detach()


def _write_parquet(header: Sequence[str], rows: Iterator[list[str]], out: IO[bytes]) -> None:
    from arro3.core import Array, DataType, RecordBatch, RecordBatchReader, Schema
    from arro3.io import write_parquet

    types: dict[type | None, Any] = {int: DataType.int64(), float: DataType.float64(), None: DataType.utf8()}
    kinds = [NUMBERS.get(name) for name in header]

    def batch(chunk: Sequence[Sequence[str]]) -> RecordBatch:
        columns: dict[str, Any] = {}
        for at, (name, kind) in enumerate(zip(header, kinds, strict=True)):
            cells = [row[at] for row in chunk]
            values = cells if kind is None else [kind(cell) if cell else None for cell in cells]
            columns[name] = Array(values, types[kind])
        return RecordBatch.from_pydict(columns)

    schema: Schema = batch([]).schema
    batches = iter(lambda: batch(list(islice(rows, _TOGETHER))), None)

    def full() -> Iterator[RecordBatch]:
        for made in batches:
            if not made.num_rows:
                return
            yield made

    write_parquet(RecordBatchReader.from_batches(schema, full()), out, compression="snappy")
