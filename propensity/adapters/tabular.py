"""CSV and Parquet bytes to columns. Nothing is guessed: a file is read as its campaign declares it, or refused with one sentence."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from propensity.campaign import Campaign
from propensity.csv_encoding import decode
from propensity.csv_rows import parse
from propensity.csv_text import DELIMITERS, first_line, split_line
from propensity.errors import DataError, Malformed, UnsupportedMedia
from propensity.typed_columns import refuse_repeated, typed


@dataclass(frozen=True)
class Columns:
    """One file's columns; ``lines`` holds the line on which each row begins, None for Parquet. ``text`` as in `propensity.raw.RawData`."""

    columns: Mapping[str, Sequence[object]]
    n: int
    text: bool
    lines: Sequence[int] | None


def read_table(data: bytes, name: str, campaign: Campaign) -> Columns:
    """Read one file by the ending of its name: ``.csv`` or ``.parquet``.

    Raises
    ------
    UnsupportedMedia
        Another ending.
    Malformed
        Not readable as that format, or not as the campaign declares it.
    DataError
        No rows.
    """
    kind = PurePosixPath(name).suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise UnsupportedMedia(f"{name} is not read: the name of a data file ends in .csv or .parquet")
    if not data:
        raise DataError(f"{name} is empty")
    table = _read_csv(data, name, campaign) if kind == ".csv" else _read_parquet(data, name, campaign)
    if table.n == 0:
        raise DataError(f"{name} holds column names but no rows")
    return table


def _read_csv(data: bytes, name: str, campaign: Campaign) -> Columns:
    encoding = campaign.source.encoding if campaign.source else "utf-8"
    delimiter = campaign.source.delimiter if campaign.source else ","
    text = decode(data, encoding, name).rstrip("\r\n")
    # Before parsing: quotes read with the wrong delimiter would be reported as broken.
    _check_delimiter(text, name, delimiter, campaign)
    header = [column.strip() for column in split_line(first_line(text), delimiter, name)]
    if not header:
        raise DataError(f"{name} is empty")
    refuse_repeated(header, name, campaign)
    body = parse(text, delimiter, range(len(header)), len(header), skip_blank=False, subject=name)
    for at, fault in body.faults.items():
        raise Malformed(f"{name}, line {body.lines[at]}: {fault.message}")
    return Columns(dict(zip(header, body.columns, strict=True)), body.n, True, body.lines)


def _check_delimiter(text: str, name: str, delimiter: str, campaign: Campaign) -> None:
    """Do nothing unless another delimiter than the declared one makes sense of the first line. Raises Malformed."""
    declared = {*campaign.feature_names, campaign.label.column}
    line = first_line(text)
    if declared.intersection(_names(line, delimiter)):
        return
    for other, seems in DELIMITERS.items():
        if other != delimiter and declared.intersection(_names(line, other)):
            wanted = f"{delimiter!r} ({DELIMITERS.get(delimiter, 'another')})"
            raise Malformed(f"{name} seems to use the delimiter {other!r} ({seems}), but campaign {campaign.name!r} declares {wanted}")


def _names(line: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in split_line(line, delimiter)]


def _read_parquet(data: bytes, name: str, campaign: Campaign) -> Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
        values = [column.to_pylist() for column in table.columns]
    except (pa.ArrowException, OSError, ValueError) as exc:
        raise Malformed(f"{name} is not a readable Parquet file") from exc
    header = [str(column) for column in table.column_names]
    refuse_repeated(header, name, campaign)
    columns, text = typed(dict(zip(header, values, strict=True)), campaign)
    return Columns(columns, table.num_rows, text, None)
