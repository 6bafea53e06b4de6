"""A scored list in the format asked for: Arrow, Parquet, CSV or NDJSON. Every float64 reads back to the same bits.

The rows that were refused are never left out: they are lines of their own in NDJSON and CSV, and stand in the ``propensity`` entry of the
schema's metadata in Arrow and Parquet, beside the rest of the summary.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from propensity.callsheet import safe_cell
from propensity.errors import RowIssue

if TYPE_CHECKING:
    from arro3.core import Array, RecordBatch


@dataclass(frozen=True)
class Coded:
    """A column of few words, by their positions: ``words[positions[row]]``."""

    words: tuple[str, ...]
    positions: npt.NDArray[np.integer[Any]]


Values = npt.NDArray[Any] | Sequence[str] | Coded
METADATA = "propensity"
ERROR = "error"
# A text, or what follows a semicolon or line end in one, that begins with anything but a letter or digit.
_LOOK_CLOSER = re.compile(r"[;\r\n] ?+(?![A-Za-z0-9])")
_QUOTED = re.compile(r"[,\"\r\n]")
_JSON = msgspec.json.Encoder()


def write_arrow(columns: Mapping[str, Values], summary: Mapping[str, object]) -> bytes:
    """An Arrow IPC stream: numbers as int64 and float64, texts as utf8, coded words dictionary-encoded.

    ``summary`` becomes the entry ``propensity`` of the schema's metadata, as JSON.
    """
    from arro3.io import write_ipc_stream

    sink = io.BytesIO()
    write_ipc_stream(_batch(columns, summary), sink, compression=None)
    return sink.getvalue()


def write_parquet(columns: Mapping[str, Values], summary: Mapping[str, object]) -> bytes:
    """A Parquet file of the columns that `write_arrow` writes; ``summary`` is in the file's metadata too."""
    from arro3.io import write_parquet as write

    sink = io.BytesIO()
    batch = _batch(columns, summary)
    write(batch, sink, compression="snappy", key_value_metadata={METADATA: _JSON.encode(summary).decode()})
    return sink.getvalue()


def _batch(columns: Mapping[str, Values], summary: Mapping[str, object]) -> RecordBatch:
    from arro3.core import Array, DataType, RecordBatch

    arrays: dict[str, Any] = {}
    for name, values in columns.items():
        if isinstance(values, np.ndarray):
            arrays[name] = Array.from_numpy(np.ascontiguousarray(values))
        elif isinstance(values, Coded):
            arrays[name] = _words(values.words).take(Array.from_numpy(values.positions.astype(np.uint32)))
        else:
            arrays[name] = Array(list(values), DataType.utf8())
    return RecordBatch.from_pydict(arrays, metadata={METADATA: _JSON.encode(summary).decode()})


@cache
def _words(words: tuple[str, ...]) -> Array:
    from arro3.core import Array, DataType

    return Array(list(words), DataType.utf8()).cast(DataType.dictionary(DataType.int32(), DataType.utf8()))


def write_csv(columns: Mapping[str, Values], issues: Sequence[RowIssue] = (), row: str = "row") -> bytes:
    """CSV in UTF-8 that opens safely in a spreadsheet: the columns, and one named ``error``, empty for these rows.

    Each refused row follows as a line of its own, with its number in the column ``row``, what was wrong with it under ``error``, and
    nothing else. Numbers are written with the digits that read back to the same bits.
    """
    cells = [cells_of(values) for values in columns.values()]
    lines = [",".join(map(_quoted, (*columns, ERROR)))]
    lines += [f"{line}," for line in map(",".join, zip(*cells, strict=True))]
    for number, found in groupby(issues, key=lambda issue: issue.row):
        what = "; ".join(f"{issue.column}: {issue.message}" if issue.column else issue.message for issue in found)
        lines.append(",".join([*(str(number) if name == row else "" for name in columns), _quoted(safe_cell(what))]))
    return ("\r\n".join(lines) + "\r\n").encode()


def cells_of(values: Values) -> list[str]:
    """Cells as they stand in the file."""
    if isinstance(values, Coded):
        words = cells_of(values.words)
        return [words[at] for at in values.positions.tolist()]
    if isinstance(values, np.ndarray):
        # A number begins with a minus at worst, and must stay one.
        return list(map(repr, values.tolist()))
    joined = "\n".join(values)
    cells = list(map(safe_cell, values)) if _LOOK_CLOSER.search("\n" + joined) else list(values)
    return list(map(_quoted, cells)) if "," in joined or '"' in joined or "\r" in joined or joined.count("\n") >= len(values) else cells


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if _QUOTED.search(cell) else cell


def write_ndjson(
    columns: Mapping[str, npt.NDArray[Any] | Sequence[object]], issues: Iterable[RowIssue] = (), summary: Mapping[str, object] | None = None
) -> bytes:
    """One JSON object a line: a line per row; then ``{"error": {row, column, code, message}}`` per issue; last ``{"summary": ...}``.

    Whoever reads a summary has read the whole list.
    """
    names = tuple(columns)
    lists = [values.tolist() if isinstance(values, np.ndarray) else values for values in columns.values()]
    rows: Iterable[object] = (dict(zip(names, row, strict=True)) for row in zip(*lists, strict=True))
    wrong = ({ERROR: {"row": i.row, "column": i.column, "code": i.code, "message": i.message}} for i in issues)
    last: Iterable[object] = () if summary is None else ({"summary": summary},)
    return _JSON.encode_lines(list(chain(rows, wrong, last)))
