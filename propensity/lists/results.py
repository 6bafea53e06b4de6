"""What people and programs get of a scored list: the call sheet, best first, as CSV; or every customer in the order sent, as Parquet.

A file appears whole or not at all. Neither is ever held in memory: the call sheet is written into as many parts as it takes for each to
be sorted alone.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propensity.callsheet import CALL_SHEET, ERROR_SHEET
from propensity.decision import BANDS, CONTACT, LEAVE
from propensity.holdout import ARMS
from propensity.list_writers import cells_of
from propensity.lists.export import EXCLUDED_SHEET, Decided, sheet_extras
from propensity.prediction_id import prediction_id

PART_ROWS = 1 << 17


def _nothing() -> None:
    pass


def write_call_sheet(
    chunks: Iterator[Decided], path: Path, scratch: Path, *, extras: Sequence[str] = (), confirm: Callable[[], None] = _nothing
) -> None:
    """Write every scored customer who may be contacted, best first, as CSV with a header line.

    Parameters
    ----------
    scratch : Path
        A folder for the parts.
    extras : sequence of str
        Columns that the campaign's declaration adds.
    confirm : callable
        Called when all is written and before the file appears, which it does not where this raises.
    """
    parts: dict[int, _Part] = {}
    for chunk in chunks:
        order = np.argsort(chunk.rank)
        ranks = chunk.rank[order]
        lines = [f"{line}\r\n".encode() for line in _lines(chunk, order)]
        numbers = (ranks - 1) // PART_ROWS
        for number in np.unique(numbers).tolist():
            first, end = np.searchsorted(numbers, [number, number + 1]).tolist()
            if number not in parts:
                parts[number] = _Part(scratch / f"part-{number:05d}")
            parts[number].add(ranks[first:end], lines[first:end])
    with whole(path) as out:
        out.write((",".join([*CALL_SHEET, *extras]) + "\r\n").encode())
        for number in sorted(parts):
            out.write(parts[number].in_order())
        confirm()


class _Part:
    """Lines whose ranks are next to each other, on disk, with their ranks and lengths beside."""

    def __init__(self, path: Path) -> None:
        self._lines, self._index = path.with_suffix(".lines"), path.with_suffix(".index")
        for leftover in (self._lines, self._index):
            leftover.unlink(missing_ok=True)

    def add(self, ranks: npt.NDArray[np.int64], lines: Sequence[bytes]) -> None:
        index = np.empty((len(ranks), 2), dtype=np.int64)
        index[:, 0], index[:, 1] = ranks, list(map(len, lines))
        with self._lines.open("ab") as file:
            file.writelines(lines)
        with self._index.open("ab") as file:
            file.write(index.tobytes())

    def in_order(self) -> bytes:
        """All lines by rank; the part is gone then."""
        data = self._lines.read_bytes()
        index = np.fromfile(self._index, dtype=np.int64).reshape(-1, 2)
        ends = np.cumsum(index[:, 1])
        order = np.argsort(index[:, 0])
        self._lines.unlink()
        self._index.unlink()
        starts = (ends - index[:, 1])[order].tolist()
        return b"".join([data[start:end] for start, end in zip(starts, ends[order].tolist(), strict=True)])


def _lines(chunk: Decided, order: npt.NDArray[np.int64]) -> Iterator[str]:
    """The lines of one chunk in the given order, safe in a spreadsheet."""
    scored = chunk.scored
    picked = pa.array(order)
    columns = (
        map(str, chunk.rank[order].tolist()),
        cells_of(scored.ids.take(picked).to_pylist()),
        [CONTACT if chosen else LEAVE for chosen in chunk.contact[order].tolist()],
        [BANDS[at] for at in chunk.band[order].tolist()],
        map(repr, scored.scores[order].tolist()),
        [f"{value:.2f}" for value in chunk.profit[order].tolist()],
        [""] * len(order) if scored.reasons is None else cells_of(scored.reasons.take(picked).to_pylist()),
        map(str, scored.rows[order].tolist()),
        [prediction_id(chunk.request_id, place) if chunk.request_id else "" for place in chunk.places[order].tolist()],
        *sheet_extras(chunk, order),
    )
    return map(",".join, zip(*columns, strict=True))


def write_parquet(chunks: Iterator[Decided], path: Path, *, confirm: Callable[[], None] = _nothing) -> None:
    """Write every scored customer who may be contacted, in the order sent, with the rank in the whole list. Numbers have every bit.

    ``confirm`` as for `write_call_sheet`.
    """
    writer: pq.ParquetWriter | None = None
    with whole(path) as out:
        for chunk in chunks:
            batch = _batch(chunk)
            if writer is None:
                writer = pq.ParquetWriter(out, batch.schema, use_dictionary=list(_CODED), compression="snappy", write_statistics=False)
            writer.write_batch(batch)
        if writer is not None:
            writer.close()
        confirm()


_CODED = ("decision", "band", "arm")


def _batch(chunk: Decided) -> pa.RecordBatch:
    scored = chunk.scored
    columns: dict[str, pa.Array] = {
        "rank": pa.array(chunk.rank),
        "customer_id": scored.ids,
        "decision": pa.DictionaryArray.from_arrays(chunk.contact.view(np.int8), pa.array([LEAVE, CONTACT])),
        "band": pa.DictionaryArray.from_arrays(chunk.band, pa.array(BANDS)),
        "score": pa.array(scored.scores),
        "expected_profit": pa.array(chunk.profit),
        "row": pa.array(scored.rows),
    }
    if scored.reasons is not None:
        columns["reasons"] = scored.reasons
    if chunk.request_id:
        positions = pa.array(chunk.places).cast(pa.string())
        columns["prediction_id"] = pc.binary_join_element_wise(chunk.request_id, positions, ".")
    if chunk.held_out is not None:
        columns["arm"] = pa.DictionaryArray.from_arrays(chunk.arm, pa.array(["", *ARMS]))
    if chunk.window is not None:
        for name, end in (("contact_from", chunk.window.begins), ("contact_until", chunk.window.until)):
            ends = np.where(chunk.contact, np.datetime64(end.astimezone(UTC).replace(tzinfo=None), "us"), np.datetime64("NaT"))
            columns[name] = pa.array(ends, pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
    return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))


def write_excluded(lines: Path | None, path: Path) -> None:
    """Write everybody who is in no result since he may not be contacted: row, id, reason, and when that was found. None: nobody."""
    with whole(path) as out:
        out.write((",".join(EXCLUDED_SHEET) + "\r\n").encode())
        if lines is not None:
            with lines.open("rb") as told:
                shutil.copyfileobj(told, out)


def write_errors(lines: Iterable[bytes], path: Path) -> None:
    """Write every refused row: its number, the column, a code and what is allowed."""
    with whole(path) as out:
        out.write((",".join(ERROR_SHEET) + "\r\n").encode())
        for part in lines:
            out.write(part)


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write that appears under its name when the block ends, and survives a power cut then; not at all where it raises."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
