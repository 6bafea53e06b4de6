"""A file of outcomes, CSV or Parquet, read some ten thousand rows at a time.

The same file is cut into the same parts however often it is read: what was taken of it can be known by the part's number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from propensity.campaign import Campaign
from propensity.errors import DataError, Malformed, RowIssue, StoreError, UnsupportedMedia
from propensity.lists.csv_blocks import parse_block
from propensity.lists.csv_file import Block, CsvRows
from propensity.lists.csv_utf8 import pieces
from propensity.lists.files import ENDINGS
from propensity.outcomes import Form, Wrong, read_outcome
from propensity.ports import Outcome
from propensity.typed_columns import refuse_repeated

PART_ROWS = 50_000


@dataclass
class Part:
    """Some rows of a file: the outcomes that can be used, and everything wrong with the others."""

    number: int
    outcomes: list[Outcome] = field(default_factory=list)
    issues: list[RowIssue] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return len(self.outcomes) + len(self.issues)


class OutcomeFile(Protocol):
    """A file that was looked through once: readable as what its name says."""

    sha256: str
    rows: int

    def parts(self, how: Form) -> Iterator[Part]:
        """The rows, in order."""


@contextmanager
def open_outcomes(path: Path, campaign: Campaign, how: Form, scratch: Path) -> Iterator[OutcomeFile]:
    """Open a file by the ending of its name, ``.csv`` or ``.parquet``. Columns that no outcome has are not looked at.

    Parameters
    ----------
    scratch : Path
        Folder for a copy in UTF-8, where it takes one.

    Raises
    ------
    UnsupportedMedia
        Another ending.
    Malformed, TooLarge
        Not readable as that format.
    DataError
        No rows, or not the columns that it takes.
    StoreError
        The disk refuses.
    """
    name = path.name
    if path.suffix.lower() not in ENDINGS:
        raise UnsupportedMedia(f"{name} is not read: the name of a data file ends in .csv or .parquet")
    try:
        if not path.stat().st_size:
            raise DataError(f"{name} is empty")
        if path.suffix.lower() == ".parquet":
            yield _Parquet(path, campaign, how)
            return
        rows = CsvRows(path, name, scratch / "outcomes.utf-8.csv", how.known)
        try:
            yield _Csv(rows, _fields(name, rows.header, how))
        finally:
            rows.close()
    except OSError as exc:
        raise StoreError(f"{name} cannot be read: {exc.strerror or type(exc).__name__}") from exc


def _fields(name: str, header: Sequence[str], how: Form) -> list[str]:
    """The columns that are looked at. Raises DataError where it takes others."""
    found = [column for column in header if column in how.known]
    fields = [how.names.get(column, column) for column in found]
    if len(set(fields)) < len(fields):
        raise DataError(f"{name} has two columns for the same thing: {', '.join(sorted(found))}")
    if "label" not in fields or not {"prediction_id", "customer_id"} & set(fields):
        own = ", ".join(f"{other} for {field}" for other, field in how.names.items())
        raise DataError(f"{name} must have a column label and one of prediction_id and customer_id (or {own})")
    return found


def _read(part: Part, row: int, values: Mapping[str, Any], how: Form) -> None:
    try:
        part.outcomes.append(read_outcome(values, how))
    except Wrong as exc:
        part.issues.append(exc.issue(row))


@dataclass
class _Csv:
    file: CsvRows
    columns: Sequence[str]

    def __post_init__(self) -> None:
        self.sha256, self.rows = self.file.sha256, self.file.rows

    def parts(self, how: Form) -> Iterator[Part]:
        part = Part(0)
        for block in self.file.blocks:
            self._read_block(part, block, how)
            if part.rows >= PART_ROWS:
                yield part
                part = Part(part.number + 1)
        if part.rows:
            yield part

    def _read_block(self, part: Part, block: Block, how: Form) -> None:
        places = self.file.places
        wanted = sorted(places[name] for name in self.columns)
        body = parse_block(self.file.read(block), self.file.shape, wanted=wanted, first_line=block.first_line)
        names = sorted(self.columns, key=places.__getitem__)
        for at, cells in enumerate(zip(*body.columns, strict=True)):
            if at in body.faults:
                part.issues.append(RowIssue(block.first_row + at, *body.faults[at]))
            else:
                _read(part, block.first_row + at, dict(zip(names, map(str.strip, cells), strict=True)), how)


class _Parquet:
    def __init__(self, path: Path, campaign: Campaign, how: Form) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path, self._unreadable = path, (pa.ArrowException, OSError, ValueError)
        try:
            with pq.ParquetFile(path) as file:
                header, self.rows = [str(name) for name in file.schema_arrow.names], file.metadata.num_rows
        except self._unreadable as exc:
            raise Malformed(f"{path.name} is not a readable Parquet file") from exc
        refuse_repeated(header, path.name, campaign)
        if not self.rows:
            raise DataError(f"{path.name} holds column names but no rows")
        self._columns = _fields(path.name, header, how)
        digest = hashlib.sha256()
        for piece in pieces(path):
            digest.update(piece)
        self.sha256 = digest.hexdigest()

    def parts(self, how: Form) -> Iterator[Part]:
        import pyarrow.parquet as pq

        row, number = 1, 0
        try:
            with pq.ParquetFile(self._path, pre_buffer=False, buffer_size=1 << 20) as file:
                for batch in file.iter_batches(PART_ROWS, columns=self._columns, use_threads=False):
                    part, values = Part(number), [column.to_pylist() for column in batch.columns]
                    for cells in zip(*values, strict=True):
                        _read(part, row, dict(zip(batch.schema.names, cells, strict=True)), how)
                        row += 1
                    yield part
                    number += 1
        except self._unreadable as exc:
            raise Malformed(f"{self._path.name} is not a readable Parquet file") from exc
