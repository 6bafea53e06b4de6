"""A list in a CSV file, read as `propensity.csv_text` reads a posted one, in blocks of whole rows.

A first pass finds everything that concerns the file as a whole: its digest, encoding, delimiter and header, where its rows end, how it
writes decimals, and whether its quoting can be read to the end. What makes a file unreadable is so told before any row is scored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from propensity.campaign import Campaign
from propensity.csv_numbers import look
from propensity.csv_rows import without_empty_end
from propensity.csv_text import DELIMITERS, Header, one_column, read_header, without_statement
from propensity.errors import DataError, Malformed, TooLarge
from propensity.id_columns import date_name, id_name
from propensity.lists.chunks import CHUNK_ROWS, Chunk, Piece
from propensity.lists.csv_block_rows import Reading, Rows, may_have_commas, numeric_texts, read_block
from propensity.lists.csv_blocks import Shape, whole_rows
from propensity.lists.csv_utf8 import Utf8File, as_utf8

_HEAD_BYTES, _SAMPLE_BYTES = 4 << 20, 1 << 18
_LEAST_BLOCK, _MOST_BLOCK, _LONGEST_ROW = 1 << 18, 32 << 20, 256 << 20


@dataclass(frozen=True)
class Block:
    """Whole rows of a file: where they lie, and what was counted."""

    at: int
    size: int
    first_row: int
    rows: int
    first_line: int
    kind: str


class CsvRows:
    """The rows of a CSV file, in blocks that are whole.

    Parameters
    ----------
    known : collection of str
        Names of the columns that are looked at. The delimiter must yield at least one of them.
    copy : Path
        Where the file is written as UTF-8 if it is something else.

    Raises
    ------
    Malformed, TooLarge
        Not readable, or readable in more than one way.
    DataError
        No rows.
    """

    def __init__(self, path: Path, name: str, copy: Path, known: Collection[str]) -> None:
        self.name = name
        self._file = as_utf8(path, name, copy)
        self._copy, self._known = copy, known
        self.sha256 = self._file.sha256
        self._head, stated, start, first_line = self._read_head()
        head = self._head
        self.header: Sequence[str] = head.names
        self.shape = Shape(head.delimiter, head.width, len(head.names), name)
        end = _end_of_rows(self._file, start, head)
        if head.width == 1 and not stated:
            _check_one_column(self._file, start, end, name)
        self.blocks = list(_blocks(self._file, start, end, first_line, self.shape))
        self.rows = sum(block.rows for block in self.blocks)
        if not self.rows:
            raise DataError(f"{name} holds column names but no rows")

    @property
    def places(self) -> dict[str, int]:
        """Where the known columns stand."""
        return self._head.places(self._known)

    def _read_head(self) -> tuple[Header, str | None, int, int]:
        """The header, the stated delimiter, and where the rows begin, as byte and as line."""
        raw = self._file.read(self._file.start, _HEAD_BYTES)
        text = raw.decode("utf-8", "ignore")
        whole = len(raw) < _HEAD_BYTES
        below, stated, _ = without_statement(text)
        body = below.lstrip("\r\n")
        if not body:
            raise DataError(f"{self.name} is empty")
        if not whole and not any(mark in body for mark in "\r\n"):
            raise TooLarge(f"{self.name}: the first line is over {_HEAD_BYTES >> 20} MiB")
        head = read_header(below, stated, self._known, self.name)
        ends = [at for at in (body.find("\r"), body.find("\n")) if at >= 0]
        rest = body[min(ends) :] if ends else ""
        rest = rest[2:] if rest.startswith("\r\n") else rest[1:]
        before = text[: len(text) - len(rest)]
        lines = before.replace("\r\n", "\n").replace("\r", "\n").count("\n")
        return head, stated, self._file.start + len(before.encode()), 1 + (lines if ends else lines + 1)

    def read(self, block: Block) -> bytes:
        """A block's bytes."""
        return self._file.read(block.at, block.size)

    def close(self) -> None:
        """Remove the copy."""
        self._copy.unlink(missing_ok=True)


class CsvList(CsvRows):
    """`propensity.lists.chunks.ListFile`: the rows of a list, read as features. Parameters and errors as of `CsvRows`."""

    def __init__(self, campaign: Campaign, path: Path, name: str, copy: Path) -> None:
        wanted = (*campaign.feature_names, id_name(campaign), date_name(campaign))
        super().__init__(path, name, copy, frozenset(column for column in wanted if column))
        self.campaign = campaign
        by_commas = self.shape.delimiter == ","
        self.reading = Reading(campaign, self.shape, self.places, by_commas=by_commas, comma=False, point=True, commas=False)
        self.reading = self._with_decimals()

    def _with_decimals(self) -> Reading:
        """How the file's numbers are written: looked at as far as it takes to be certain."""
        reading = self.reading
        numeric = [f for f in self.campaign.numeric if f.name in reading.places]
        if not numeric or (reading.by_commas and not (self._file.commas and self._file.quotes)):
            return reading
        commas = self._file.commas and any(map(self._has_commas, self.blocks))
        if reading.by_commas and not commas:
            return reading
        comma = point = False
        for block in self.blocks:
            texts = numeric_texts(self.read(block), block.kind, reading, block.first_line)
            seen = look(texts, numeric, all_points=True, throughout=commas)
            comma, point = comma or bool(seen.comma), point or seen.point
            if point and (comma or not commas):
                break
        return replace(reading, comma=comma, point=point or (reading.by_commas and not comma), commas=commas)

    def _has_commas(self, block: Block) -> bool:
        """Whether a number of a block has a comma."""
        data, reading = self.read(block), self.reading
        if b"," not in data or (reading.by_commas and b'"' not in data) or not may_have_commas(data, block.kind, reading):
            return False
        return any("," in cell for cells in numeric_texts(data, block.kind, reading, block.first_line).values() for cell in cells)

    def chunks(self) -> Iterator[Chunk]:
        """One per block."""
        for number, block in enumerate(self.blocks):
            yield CsvChunk(self.read, self.reading, number, block)

    @property
    def copied(self) -> Path | None:
        """The copy in UTF-8 that is read in place of the file; None where that is the file itself."""
        return self._copy if self._file.path == self._copy else None


@dataclass
class CsvChunk:
    """`propensity.lists.chunks.Chunk`."""

    read: Callable[[Block], bytes]
    reading: Reading
    number: int
    block: Block

    def check(self) -> Piece:
        """By Arrow where it reads as we do, and by our own reader where a row is not entirely sound."""
        block = self.block
        rows = Rows(self.read(block), block.kind, block.first_row, block.rows, block.first_line)
        return read_block(rows, self.reading)


def _end_of_rows(file: Utf8File, start: int, head: Header) -> int:
    """Where the last row ends that has a cell: rows of empty cells below it do not count."""
    if head.width == 1:
        return file.size
    size = _SAMPLE_BYTES
    while True:
        at = max(start, file.size - size)
        # Delimiters, quotes and line ends are ASCII, which Latin-1 keeps in place.
        tail = file.read(at, file.size - at).decode("latin-1")
        if at == start:
            # Below the header, which ends like any other row.
            return at + max(0, len(without_empty_end("-\n" + tail, head.delimiter)) - 2)
        if tail.strip(head.delimiter + '\r\n"'):
            return at + len(without_empty_end(tail, head.delimiter))
        size *= 4


def _check_one_column(file: Utf8File, start: int, end: int, name: str) -> None:
    for at in range(start, end, _HEAD_BYTES):
        data = file.read(at, min(_HEAD_BYTES, end - at))
        if any(mark.encode() in data for mark in DELIMITERS):
            raise one_column(name)


def _blocks(file: Utf8File, start: int, end: int, first_line: int, shape: Shape) -> Iterator[Block]:
    """Blocks of about `CHUNK_ROWS` rows. They are a function of the content alone."""
    sample = file.read(start, min(_SAMPLE_BYTES, end - start))
    a_row = len(sample) / max(1, sample.count(b"\n"))
    usual = max(_LEAST_BLOCK, min(_MOST_BLOCK, int(CHUNK_ROWS * a_row)))
    row, line, size = 1, first_line, usual
    while start < end:
        data = file.read(start, min(size, end - start))
        cut = whole_rows(data, shape, is_end=start + len(data) >= end, first_line=line)
        if not cut.size:
            if size >= _LONGEST_ROW:
                raise Malformed(f"{shape.subject}, line {line}: the quoting is broken, or a row is over {_LONGEST_ROW >> 20} MiB")
            size *= 2
            continue
        yield Block(start, cut.size, row, cut.rows, line, cut.kind)
        start, row, line, size = start + cut.size, row + cut.rows, line + cut.lines, usual
