"""The pieces of a list: chunks that wait to be read, and what validation leaves of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign
from propensity.columnar import Typed
from propensity.errors import RowIssue
from propensity.id_columns import id_name
from propensity.ingest import DerivedIds
from propensity.schema import ID_LENGTH, Table, check_ids

if TYPE_CHECKING:
    import pyarrow as pa

# Chunks of a list are a function of its content alone: their request ids depend on it.
CHUNK_ROWS = 49_152


@dataclass(frozen=True)
class Piece:
    """Usable rows of a list by column, and what was wrong with the others.

    Attributes
    ----------
    ids : pyarrow.StringArray or None
        Customer ids; None where the list has no such column, so that ids are to be derived.
    dates : sequence or None
        The dates that derived ids depend on.
    rows : int64 array, shape (n,)
        Row numbers in the whole list, from 1.
    issues : sequence of RowIssue
        By row.
    """

    ids: pa.StringArray | None
    dates: Sequence[object] | None
    rows: npt.NDArray[np.int64]
    columns: Typed
    issues: Sequence[RowIssue]
    received: int

    @property
    def refused(self) -> int:
        return self.received - len(self.rows)

    def table(self, campaign: Campaign) -> Table:
        """As a table; without ids of their own, rows have their numbers."""
        ids = LazyIds(self.ids) if self.ids is not None else list(map(str, self.rows.tolist()))
        return Table(campaign, ids, self.rows, self.columns)


class LazyIds(Sequence[str]):
    """Ids of an Arrow column, as texts once they are looked at: whoever only scores needs none."""

    def __init__(self, ids: pa.StringArray) -> None:
        self._ids = ids
        self._texts: list[str] | None = None

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self[:])

    def __getitem__(self, at: Any) -> Any:
        if self._texts is None:
            self._texts = self._ids.to_pylist()
        return self._texts[at]


class Chunk(Protocol):
    """Rows of a list that were not looked at. Any thread may check it, any number of times."""

    @property
    def number(self) -> int:
        """From 0."""

    def check(self) -> Piece: ...


class ListFile(Protocol):
    """A list that can be read from the beginning any number of times.

    Attributes
    ----------
    sha256 : digest of the file
    header : names of all columns
    size_bytes, rows : for progress; ``rows`` None where it is not known before the end
    """

    @property
    def sha256(self) -> str: ...
    @property
    def header(self) -> Sequence[str]: ...
    @property
    def rows(self) -> int: ...

    def chunks(self) -> Iterator[Chunk]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Identified:
    """A chunk that is checked already, and whose rows have ids."""

    number: int
    piece: Piece

    def check(self) -> Piece:
        """As it was checked."""
        return self.piece


def with_ids(source: ListFile, campaign: Campaign) -> Iterator[Chunk]:
    """The chunks of a list. Rows without ids are given some, which depend on the rows before: such chunks are checked here, in order."""
    if id_name(campaign) in source.header:
        yield from source.chunks()
        return
    import pyarrow as pa

    derived = DerivedIds(campaign)
    for chunk in source.chunks():
        piece = chunk.check()
        ids = derived.of(piece.table(campaign), piece.dates)
        yield Identified(chunk.number, replace(piece, ids=pa.array(ids, pa.string())))


def sift(
    columns: Typed, ids: pa.StringArray | None, dates: Sequence[object] | None, issues: list[RowIssue], first_row: int, n: int
) -> Piece:
    """Leave out the rows that have an issue."""
    rows = np.arange(first_row, first_row + n, dtype=np.int64)
    if not issues:
        return Piece(ids, dates, rows, columns, (), n)
    bad = np.zeros(n, dtype=np.bool_)
    bad[[issue.row - first_row for issue in issues]] = True
    keep = np.flatnonzero(~bad)
    return Piece(
        None if ids is None else ids.take(keep),
        None if dates is None else [dates[at] for at in keep.tolist()],
        rows[keep],
        {name: column[keep] for name, column in columns.items()},
        sorted(issues, key=lambda issue: issue.row),
        n,
    )


def joined(pieces: Sequence[Piece]) -> Piece:
    """Pieces that follow each other as one."""
    import pyarrow as pa

    first = pieces[0]
    if len(pieces) == 1:
        return first
    return Piece(
        None if first.ids is None else pa.concat_arrays([piece.ids for piece in pieces]),
        None if first.dates is None else [date for piece in pieces for date in piece.dates or ()],
        np.concatenate([piece.rows for piece in pieces]),
        {name: np.concatenate([piece.columns[name] for piece in pieces]) for name in first.columns},
        [issue for piece in pieces for issue in piece.issues],
        sum(piece.received for piece in pieces),
    )


def check_id_array(ids: pa.Array, first_row: int, issues: list[RowIssue]) -> pa.StringArray:
    """Ids as texts, to the letter as `propensity.schema.check_ids` has them; what is wrong is added to ``issues``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(ids.type) and not ids.null_count:
        return ids.cast(pa.string())
    if pa.types.is_string(ids.type) and not ids.null_count and len(ids):
        lengths = pc.min_max(pc.binary_length(ids)).as_py()
        if lengths["min"] > 0 and lengths["max"] <= ID_LENGTH and _plain(ids):
            return ids
    # Whatever is refused is told by row, and leaves a text of its own that nobody reads.
    return pa.array([_storable(name) for name in check_ids(ids.to_pylist(), first_row, issues)], pa.string())


def _plain(ids: pa.StringArray) -> bool:
    """Whether all characters are printable ASCII."""
    offsets = np.frombuffer(ids.buffers()[1], dtype=np.int32)[ids.offset : ids.offset + len(ids) + 1]
    data = np.frombuffer(ids.buffers()[2], dtype=np.uint8)[offsets[0] : offsets[-1]]
    return bool(data.min() >= 0x20 and data.max() < 0x7F)


def _storable(name: str) -> str:
    return name.encode("utf-8", "replace").decode()
