"""The values of Arrow columns: what the buffers hold, as NumPy arrays and texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.arrow_layout import Layout
from propensity.flatbuffer import Broken

Valid = npt.NDArray[np.bool_] | None
MAX_TEXT_BYTES = 16 * 2**20
_INLINE = 12
_MANY = 300


class Texts:
    """ASCII texts within one run of bytes: where each begins, and how long it is."""

    __slots__ = ("data", "lengths", "starts")

    def __init__(self, data: bytes, starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> None:
        self.data = data
        self.starts = starts
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.starts)

    def tolist(self) -> list[str]:
        if len(self) >= _MANY and self._in_a_row():
            return self._split()
        # Bytes that are not ASCII may stand between the texts.
        text = self.data.decode("latin-1")
        ends = self.starts + self.lengths
        return [text[start:end] for start, end in zip(self.starts.tolist(), ends.tolist(), strict=True)]

    def _in_a_row(self) -> bool:
        """Whether each text begins where the one before it ends, and none has a line end."""
        return bool((self.starts[1:] == self.starts[:-1] + self.lengths[:-1]).all()) and b"\n" not in self.data

    def _split(self) -> list[str]:
        """The texts with a line end put between them, and parted there: a quarter of the time of slicing."""
        first, last = int(self.starts[0]), int(self.starts[-1] + self.lengths[-1])
        parted = np.full(last - first + len(self) - 1, ord("\n"), dtype=np.uint8)
        ends = np.cumsum(self.lengths[:-1] + 1) - 1
        kept = np.ones(len(parted), dtype=np.bool_)
        kept[ends] = False
        parted[kept] = np.frombuffer(self.data, np.uint8)[first:last]
        return parted.tobytes().decode("ascii").split("\n")


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    values : array, list of str or Texts
        float64, int64, uint64 or bool values; texts; where ``dictionary`` is given, int64 positions in it. Meaningless where not valid.
    valid : bool array or None
        Where a value was sent; None: everywhere. NaN among the values was sent as such.
    dictionary : Column or None
        The distinct values.
    """

    values: npt.NDArray[Any] | list[str] | Texts
    valid: Valid = None
    dictionary: Column | None = None

    def __len__(self) -> int:
        return len(self.values)

    def tolist(self) -> list[object]:
        """Every value as a Python object, None where none was sent."""
        if self.dictionary is not None:
            entries = self.dictionary.tolist()
            out: list[object] = [entries[at] if entries else None for at in _positions(self).tolist()]
        else:
            out = self.values_list()
        return out if self.valid is None else [value if ok else None for value, ok in zip(out, self.valid.tolist(), strict=True)]

    def values_list(self) -> list[Any]:
        """The values as Python objects, whether sent or not."""
        return self.values if isinstance(self.values, list) else self.values.tolist()


def _positions(column: Column) -> npt.NDArray[np.int64]:
    """Positions in the dictionary, 0 where not valid."""
    positions = np.asarray(column.values, dtype=np.int64)
    return positions if column.valid is None else np.where(column.valid, positions, 0)


@dataclass
class Dictionary:
    """The entries that positions refer to at this point of a stream."""

    values: Column


@dataclass
class Buffers:
    """What a batch holds, taken from front to back."""

    rows: int
    nodes: list[int]
    places: list[list[int]]
    counts: list[int]
    body: memoryview
    budget: list[int] = field(default_factory=lambda: [MAX_TEXT_BYTES])
    _node: int = 0
    _buffer: int = 0
    _count: int = 0

    def skip(self, nodes: int, buffers: int, counts: int) -> None:
        self._node += nodes
        for _ in range(counts):
            buffers += self.count()
        self._buffer += buffers

    def node(self) -> int:
        """The length of the next column."""
        if 2 * self._node + 1 >= len(self.nodes):
            raise Broken("a column without data")
        self._node += 1
        return self.nodes[2 * (self._node - 1)]

    def count(self) -> int:
        if self._count >= len(self.counts) or not 0 <= self.counts[self._count] <= len(self.places):
            raise Broken("a column without data")
        self._count += 1
        return self.counts[self._count - 1]

    def take(self) -> memoryview:
        """The next buffer."""
        if self._buffer >= len(self.places):
            raise Broken("a column without data")
        offset, length = self.places[self._buffer]
        self._buffer += 1
        return self.body[offset : offset + length]

    def array(self, kind: str, n: int) -> npt.NDArray[Any]:
        """The next buffer as ``n`` numbers."""
        buffer = self.take()
        size = np.dtype(kind)
        if len(buffer) < n * size.itemsize:
            raise Broken("a buffer shorter than its column")
        return np.frombuffer(buffer, dtype=size, count=n)

    def bits(self, n: int) -> npt.NDArray[np.bool_] | None:
        """The next buffer as ``n`` bits; None where it is empty."""
        buffer = self.take()
        if not len(buffer):
            return None
        if len(buffer) < (n + 7) // 8:
            raise Broken("a buffer shorter than its column")
        return np.unpackbits(np.frombuffer(buffer, dtype=np.uint8, count=(n + 7) // 8), count=n, bitorder="little").view(np.bool_)


def column_of(layout: Layout, buffers: Buffers, dictionary: Dictionary | None) -> Column:
    """The next column of a batch, which has as many rows as the batch."""
    if layout.dictionary is None:
        return values_of(layout, buffers, buffers.rows)
    n = _length(buffers, buffers.rows)
    valid = _valid(buffers, n)
    positions = buffers.array(layout.number, n).astype(np.int64)
    given = positions if valid is None else positions[valid]
    # Unsigned 64-bit positions beyond the signed range have become negative.
    if len(given) and (dictionary is None or int(given.min()) < 0 or int(given.max()) >= len(dictionary.values)):
        raise Broken("a position outside of its dictionary")
    return Column(positions, valid, Column([]) if dictionary is None else dictionary.values)


def values_of(layout: Layout, buffers: Buffers, rows: int) -> Column:
    """The next ``rows`` values. Raises Broken."""
    n = _length(buffers, rows)
    if layout.kind == "null":
        return Column(np.zeros(n), np.zeros(n, dtype=np.bool_))
    valid = _valid(buffers, n)
    if layout.kind in ("text", "long text"):
        return Column(_texts(buffers, n, "<i4" if layout.kind == "text" else "<i8"), valid)
    if layout.kind == "view":
        return Column(_viewed(buffers, n, valid), valid)
    if layout.kind == "bool":
        bits = buffers.bits(n)
        if bits is None and n:
            raise Broken("a buffer shorter than its column")
        return Column(np.zeros(0, dtype=np.bool_) if bits is None else bits, valid)
    numbers = buffers.array(layout.number, n)
    if layout.kind == "decimal":
        return Column(_decimals(numbers, layout.scale), valid)
    if layout.kind == "float":
        return Column(numbers.astype(np.float64), valid)
    return Column(numbers.astype(np.int64 if layout.number != "<u8" else np.uint64), valid)


def _length(buffers: Buffers, rows: int) -> int:
    if buffers.node() != rows:
        raise Broken("columns of different lengths")
    return rows


def _valid(buffers: Buffers, n: int) -> Valid:
    valid = buffers.bits(n)
    return None if valid is None or valid.all() else valid


def _texts(buffers: Buffers, n: int, kind: str) -> list[str] | Texts:
    if not n:
        buffers.take()
        buffers.take()
        return []
    bounds = buffers.array(kind, n + 1).astype(np.int64)
    data = bytes(buffers.take())
    if bounds[0] < 0 or bounds[-1] > len(data) or (bounds[1:] < bounds[:-1]).any():
        raise Broken("texts outside of their buffer")
    if data.isascii():
        return Texts(data, bounds[:-1], np.diff(bounds))
    return [_decoded(data[start:end]) for start, end in pairwise(bounds.tolist())]


def _viewed(buffers: Buffers, n: int, valid: Valid) -> list[str] | Texts:
    """Texts of the view layout: up to 12 bytes stand in the view itself, more elsewhere."""
    views = buffers.array("V16", n).tobytes()
    data = [bytes(buffers.take()) for _ in range(buffers.count())]
    heads = np.frombuffer(views, dtype="<i4").reshape(-1, 4).astype(np.int64)
    lengths, numbers, offsets = heads[:, 0], heads[:, 2], heads[:, 3]
    if valid is not None:
        lengths = np.where(valid, lengths, 0)
    # Many views may show the same bytes.
    buffers.budget[0] -= int(lengths.sum())
    inline = lengths <= _INLINE
    long = np.flatnonzero(~inline)
    if buffers.budget[0] < 0 or (lengths < 0).any() or (numbers[long] < 0).any() or (numbers[long] >= len(data)).any():
        raise Broken("texts outside of their buffer")
    sizes = np.array([len(each) for each in data], dtype=np.int64)
    if (offsets[long] < 0).any() or (offsets[long] + lengths[long] > sizes[numbers[long]]).any():
        raise Broken("texts outside of their buffer")
    before = len(views) + np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    starts = 16 * np.arange(n, dtype=np.int64) + 4
    starts[long] = before[numbers[long]] + offsets[long]
    texts = Texts(b"".join((views, *data)), starts, lengths)
    bodies = np.frombuffer(views, dtype=np.uint8).reshape(-1, 16)[:, 4:]
    used = inline[:, None] & (np.arange(_INLINE) < lengths[:, None])
    if all(each.isascii() for each in data) and not (bodies[used] > 127).any():
        return texts
    ends = starts + lengths
    return [_decoded(texts.data[start:end]) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Broken("texts that are not UTF-8") from None


def _decimals(raw: npt.NDArray[Any], scale: int) -> npt.NDArray[np.float64]:
    """The nearest float64 of each decimal."""
    if not -400 <= scale <= 400:
        raise Broken("a decimal type of unknown scale")
    size, data = raw.dtype.itemsize, raw.tobytes()
    whole = (int.from_bytes(data[at : at + size], "little", signed=True) for at in range(0, len(data), size))
    return np.array([float(f"{value}e{-scale}") for value in whole], dtype=np.float64)


def joined(parts: Sequence[Column], layout: Layout) -> Column:
    """Columns of one layout, one below the other."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Column([], None, Column([]) if layout.dictionary is not None else None)
    valid = None
    if any(part.valid is not None for part in parts):
        valid = np.concatenate([np.ones(len(part), dtype=np.bool_) if part.valid is None else part.valid for part in parts])
    if layout.dictionary is not None:
        return _joined_positions(parts, valid, layout)
    if isinstance(parts[0].values, list | Texts):
        return Column([text for part in parts for text in part.values_list()], valid)
    return Column(np.concatenate([np.asarray(part.values) for part in parts]), valid)


def _joined_positions(parts: Sequence[Column], valid: Valid, layout: Layout) -> Column:
    dictionaries = [part.dictionary or Column([]) for part in parts]
    if all(each is dictionaries[0] for each in dictionaries):
        return Column(np.concatenate([np.asarray(part.values) for part in parts]), valid, dictionaries[0])
    positions: list[npt.NDArray[Any]] = []
    entries: list[Column] = []
    start = end = 0
    for part, dictionary in zip(parts, dictionaries, strict=True):
        if not entries or dictionary is not entries[-1]:
            start, end = end, end + len(dictionary)
            entries.append(dictionary)
        positions.append(np.asarray(part.values) + start)
    return Column(np.concatenate(positions), valid, joined([each for each in entries if len(each)], layout.values()))
