"""CSV and Parquet bytes to columns. Nothing is guessed: a file is read as its campaign declares it, or refused with one sentence."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath

from propensity.campaign import Campaign, Categorical
from propensity.csv_encoding import decode
from propensity.csv_rows import parse
from propensity.csv_text import DELIMITERS, first_line, split_line
from propensity.errors import DataError, Malformed, UnsupportedMedia


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


def refuse_repeated(header: Sequence[str], name: str, campaign: Campaign) -> None:
    """Do nothing where each column has a name of its own. Raises Malformed.

    Undeclared names are told by position: in a file without a header they are a customer's values.
    """
    declared = {*campaign.feature_names, *campaign.excluded_reasons, campaign.label.column, campaign.id_column}
    seen: set[str] = set()
    for at, column in enumerate(header, start=1):
        if column in seen or not column:
            which = f"column {column!r} stands twice" if column in declared else f"the name of column {at} is empty or stands twice"
            raise Malformed(f"{name}: in the first line {which}; each column needs a name of its own")
        seen.add(column)


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


def typed(columns: Mapping[str, list[object]], campaign: Campaign) -> tuple[dict[str, list[object]], bool]:
    """Columns of a typed source in the terms of the declaration, and whether all features are texts (and so to be parsed).

    Databases and Parquet write what JSON cannot: decimals become numbers, NaN becomes missing, true becomes the category "TRUE".
    """
    present = [name for name in campaign.feature_names if name in columns]
    text = bool(present) and all(isinstance(cell, str | None) for name in present for cell in columns[name])
    if text:
        return dict(columns), True
    out = dict(columns)
    for name in present:
        feature = campaign.feature(name)
        words = {str(value).casefold(): value for value in feature.values} if isinstance(feature, Categorical) else {}
        out[name] = [_typed_cell(cell, words) for cell in columns[name]]
    return out, False


def _typed_cell(cell: object, words: Mapping[str, str | int]) -> object:
    if isinstance(cell, Decimal):
        cell = float(cell)
    if isinstance(cell, float):
        if math.isnan(cell):
            return None
        # A column of whole numbers with gaps is kept as floats by many programs.
        return words.get(str(int(cell)), cell) if words and cell.is_integer() else cell
    if words and isinstance(cell, bool | int | str):
        # Only a bool or a number changes its type here: the case of a text is the sender's.
        return cell if isinstance(cell, str) else words.get(str(cell).casefold(), cell)
    return cell
