"""A list in a Parquet file: chunks of rows, read one after the other whatever the size of the row groups."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as of

from propensity.arrow_values import Column
from propensity.campaign import Campaign
from propensity.columnar import check_columns
from propensity.errors import Malformed
from propensity.id_columns import date_name, id_name
from propensity.lists.arrow_columns import column_of
from propensity.lists.chunks import CHUNK_ROWS, Chunk, Piece, check_id_array, sift
from propensity.lists.csv_utf8 import pieces
from propensity.schema import check_rows
from propensity.typed_columns import refuse_repeated, typed

_BUFFER_BYTES = 1 << 20
_UNREADABLE = (pa.ArrowException, OSError, ValueError)


@dataclass(frozen=True)
class ParquetShape:
    """How a file's columns are read: all that another process needs to know of it.

    Attributes
    ----------
    text : bool
        Every feature is a text: the table was made from a CSV without a look at the types.
    """

    campaign: Campaign
    name: str
    wanted: tuple[str, ...]
    text: bool
    as_dictionary: tuple[str, ...]


@dataclass
class ParquetList:
    """`propensity.lists.chunks.ListFile`. Raises Malformed where the file is not readable."""

    campaign: Campaign
    path: Path
    name: str
    sha256: str = field(init=False)
    header: Sequence[str] = field(init=False)
    rows: int = field(init=False)

    def __post_init__(self) -> None:
        try:
            with pq.ParquetFile(self.path) as file:
                schema, self.rows = file.schema_arrow, file.metadata.num_rows
        except _UNREADABLE as exc:
            raise _unreadable(self.name) from exc
        digest = hashlib.sha256()
        for piece in pieces(self.path):
            digest.update(piece)
        self.sha256 = digest.hexdigest()
        self.header = [str(column) for column in schema.names]
        refuse_repeated(self.header, self.name, self.campaign)
        present = [name for name in self.campaign.feature_names if name in self.header]
        others = [name for name in (id_name(self.campaign), date_name(self.campaign)) if name in self.header]
        text = bool(present) and all(_textual(schema.field(name).type) for name in present)
        coded = [f.name for f in self.campaign.categorical if f.name in present and of.is_string(schema.field(f.name).type)]
        self.shape = ParquetShape(self.campaign, self.name, (*present, *others), text, () if text else tuple(coded))

    def chunks(self) -> Iterator[Chunk]:
        """Chunks of `CHUNK_ROWS` rows; the last one may be smaller."""
        yield from read_chunks(self.path, self.shape)

    @property
    def count(self) -> int:
        """How many chunks there are."""
        return -(-self.rows // CHUNK_ROWS)

    def close(self) -> None:
        """Nothing stays open between two readings."""


def read_chunks(source: Path | BinaryIO, shape: ParquetShape, first: int = 0, end: int | None = None) -> Iterator[ParquetChunk]:
    """The chunks from number ``first`` to before ``end``, the same as when all are read. Raises Malformed where the file is damaged."""
    try:
        with pq.ParquetFile(source, read_dictionary=list(shape.as_dictionary), pre_buffer=False, buffer_size=_BUFFER_BYTES) as file:
            groups, before = _groups(file.metadata, first, end)
            row, waiting, n = first * CHUNK_ROWS + 1, list[pa.RecordBatch](), 0
            for read in file.iter_batches(CHUNK_ROWS, row_groups=groups, columns=list(shape.wanted), use_threads=False):
                batch, before = read.slice(before), max(0, before - len(read))
                waiting += [batch] if len(batch) else []
                n += len(batch)
                while n >= CHUNK_ROWS:
                    part, waiting = _split(waiting, CHUNK_ROWS)
                    yield ParquetChunk(shape, (row - 1) // CHUNK_ROWS, row, part)
                    row, n = row + CHUNK_ROWS, n - CHUNK_ROWS
                    if end is not None and row > end * CHUNK_ROWS:
                        return
            if n:
                yield ParquetChunk(shape, (row - 1) // CHUNK_ROWS, row, waiting)
    except _UNREADABLE as exc:
        raise _unreadable(shape.name) from exc


def _groups(told: pq.FileMetaData, first: int, end: int | None) -> tuple[list[int] | None, int]:
    """The row groups that hold these chunks, None for all of them, and how many of their rows stand before the first chunk."""
    if not first and end is None:
        return None, 0
    ends = np.cumsum([told.row_group(at).num_rows for at in range(told.num_row_groups)])
    begins = np.concatenate([[0], ends[:-1]])
    row, until = first * CHUNK_ROWS, told.num_rows if end is None else end * CHUNK_ROWS
    found = np.flatnonzero((ends > row) & (begins < until)).tolist()
    return found, row - int(begins[found[0]]) if found else 0


def _split(batches: list[pa.RecordBatch], rows: int) -> tuple[list[pa.RecordBatch], list[pa.RecordBatch]]:
    """The first ``rows`` rows, and the rest: all but the last batch belong to the first."""
    over = sum(map(len, batches)) - rows
    last = batches[-1]
    if not over:
        return batches, []
    return [*batches[:-1], last.slice(0, len(last) - over)], [last.slice(len(last) - over)]


def _unreadable(name: str) -> Malformed:
    return Malformed(f"{name} is not a readable Parquet file")


def _textual(kind: pa.DataType) -> bool:
    inner = kind.value_type if of.is_dictionary(kind) else kind
    return bool(of.is_string(inner) or of.is_large_string(inner) or of.is_string_view(inner) or of.is_null(inner))


@dataclass
class ParquetChunk:
    """`propensity.lists.chunks.Chunk`."""

    source: ParquetShape
    number: int
    first_row: int
    batches: Sequence[pa.RecordBatch]

    def check(self) -> Piece:
        """Arrow's columns are checked as they are; a chunk with a type that has none of ours is checked value by value."""
        campaign = self.source.campaign
        arrays = self._arrays()
        n = sum(map(len, self.batches))
        columns: dict[str, Column] = {}
        for name in campaign.feature_names:
            if name in arrays:
                column = None if self.source.text else column_of(arrays[name])
                if column is None:
                    return self._by_value(arrays, n)
                columns[name] = column
        found, issues = check_columns(campaign, columns, n, first_row=self.first_row)
        id_column, date_column = id_name(campaign), date_name(campaign)
        ids = check_id_array(arrays[id_column], self.first_row, issues) if id_column in arrays else None
        dates = arrays[date_column].to_pylist() if ids is None and date_column in arrays else None
        return sift(found, ids, dates, issues, self.first_row, n)

    def _arrays(self) -> dict[str, pa.Array]:
        if len(self.batches) == 1:
            return dict(zip(self.batches[0].schema.names, self.batches[0].columns, strict=True))
        table = pa.Table.from_batches(self.batches).unify_dictionaries().combine_chunks()
        return {name: _one(table.column(name)) for name in table.column_names}

    def _by_value(self, arrays: dict[str, pa.Array], n: int) -> Piece:
        campaign = self.source.campaign
        values = {name: array.to_pylist() for name, array in arrays.items()}
        columns = values if self.source.text else typed(values, campaign)[0]
        id_column, date_column = id_name(campaign), date_name(campaign)
        ids = values.get(id_column or "")
        checked = check_rows(campaign, columns, ids, n, text=self.source.text, first_row=self.first_row)
        table = checked.table
        dates = values.get(date_column or "") if ids is None else None
        kept = None if dates is None else [dates[row - self.first_row] for row in table.rows.tolist()]
        return Piece(None if ids is None else pa.array(table.ids, pa.string()), kept, table.rows, dict(table.columns), checked.issues, n)


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
