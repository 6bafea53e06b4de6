"""A block of CSV rows, checked: by Arrow in one go, and where that fails by our own reader, in parts as small as possible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from propensity.arrow_values import Column
from propensity.campaign import Campaign, Categorical, Numeric
from propensity.columnar import UNKNOWN_CODE, Coded, check_columns
from propensity.csv_numbers import look, settle
from propensity.errors import RowIssue
from propensity.id_columns import date_name, id_name
from propensity.lists.chunks import Piece, check_id_array, joined, sift
from propensity.lists.csv_blocks import Shape, parse_block, whole_rows
from propensity.schema import MISSING_CODE, check_rows

# Below this many rows Arrow's fixed cost is more than our own reader's.
_FEW_ROWS = 200


class Rows(NamedTuple):
    """Bytes that hold whole rows, and what is known of them."""

    data: bytes
    kind: str
    first_row: int
    rows: int
    first_line: int


@dataclass(frozen=True)
class Reading:
    """How a file's rows become features.

    Attributes
    ----------
    places : mapping of column name to position
        The columns that are looked at.
    by_commas : bool
        Cells are separated by commas.
    comma, point : bool
        Whether a comma, and a point, is decimal somewhere in the file.
    commas : bool
        Whether any number of the file has a comma.
    """

    campaign: Campaign
    shape: Shape
    places: Mapping[str, int]
    by_commas: bool
    comma: bool
    point: bool
    commas: bool

    @property
    def decimal_mark(self) -> str | None:
        """The one mark by which Arrow would read every number as we do; None where each cell is to be looked at."""
        if self.point and not self.comma:
            return "."
        return "," if self.comma and not self.point else None

    @cached_property
    def options(self) -> tuple[pcsv.ReadOptions, pcsv.ConvertOptions]:
        """Arrow's reading of these rows."""
        names = [f"#{at}" for at in range(self.shape.width)]
        types = {f"#{at}": self._type(name) for name, at in self.places.items()}
        # Columns without a name hold nothing, or else the row is refused: they are read to be looked at.
        surplus = {f"#{at}": pa.string() for at in range(self.shape.named, self.shape.width)}
        return (
            pcsv.ReadOptions(column_names=names, use_threads=False, block_size=1 << 30),
            pcsv.ConvertOptions(
                include_columns=[*types, *surplus],
                column_types=types | surplus,
                null_values=[""],
                strings_can_be_null=False,
                quoted_strings_can_be_null=True,
                decimal_point=self.decimal_mark or ".",
            ),
        )

    def _type(self, name: str) -> pa.DataType:
        if name not in self.campaign.feature_names:
            return pa.string()
        return pa.float64() if isinstance(self.campaign.feature(name), Numeric) else pa.dictionary(pa.int32(), pa.string())


def read_block(rows: Rows, reading: Reading) -> Piece:
    """The rows checked, whatever they hold."""
    if rows.kind == "rough" or reading.decimal_mark is None or rows.rows < _FEW_ROWS:
        return _carefully(rows, reading)
    found = _by_arrow(rows, reading)
    return found if found is not None else joined([read_block(half, reading) for half in _halves(rows, reading.shape)])


def _halves(rows: Rows, shape: Shape) -> list[Rows]:
    middle = max(len(rows.data) // 2, 1)
    cut = whole_rows(rows.data[:middle], shape, is_end=False, first_line=rows.first_line)
    if not cut.size or not 0 < cut.rows < rows.rows:
        return [rows._replace(kind="rough")]
    below = rows.data[cut.size :]
    return [
        Rows(rows.data[: cut.size], cut.kind, rows.first_row, cut.rows, rows.first_line),
        Rows(below, rows.kind, rows.first_row + cut.rows, rows.rows - cut.rows, rows.first_line + cut.lines),
    ]


def _by_arrow(rows: Rows, reading: Reading) -> Piece | None:
    """None where a cell or row is not as Arrow and we read it alike."""
    read, convert = reading.options
    parse = pcsv.ParseOptions(delimiter=reading.shape.delimiter, newlines_in_values=rows.kind == "quoted")
    try:
        table = pcsv.read_csv(pa.BufferReader(rows.data), read, parse, convert)
    except (pa.ArrowException, ValueError):
        return None
    if table.num_rows != rows.rows:
        return None
    arrays = {name: _one(table.column(f"#{at}")) for name, at in reading.places.items()}
    surplus = range(reading.shape.named, reading.shape.width)
    if any(len(pc.unique(table.column(f"#{at}"))) > 1 or table.column(f"#{at}")[0].as_py() for at in surplus):
        return None
    columns: dict[str, Column | Coded] = {}
    for feature in reading.campaign.features:
        if feature.name in arrays:
            array = arrays[feature.name]
            column = _number(array) if isinstance(feature, Numeric) else _category(array, feature)
            if column is None:
                return None
            columns[feature.name] = column
    found, issues = check_columns(reading.campaign, columns, rows.rows, first_row=rows.first_row)
    ids, dates = _ids_and_dates(arrays, reading.campaign, rows.first_row, issues)
    return sift(found, ids, dates, issues, rows.first_row, rows.rows)


def _one(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return column.unify_dictionaries().combine_chunks() if column.num_chunks else pa.array([], column.type)


def _number(array: pa.Array) -> Column | None:
    """Numbers; None where Arrow read words such as ``nan`` and ``inf``, or a number too large to be one."""
    valid = array.is_valid().to_numpy(zero_copy_only=False) if array.null_count else None
    values = (pc.fill_null(array, 0.0) if array.null_count else array).to_numpy(zero_copy_only=False)
    return Column(values, valid) if np.isfinite(values).all() else None


def _category(array: pa.DictionaryArray, feature: Categorical) -> Coded:
    """Codes by the declared values' texts: blanks around a cell do not count, and an empty one is missing."""
    known = {str(value): code for code, value in enumerate(feature.values)}
    cells = [cell.strip() for cell in array.dictionary.to_pylist()]
    codes = np.array([known.get(cell, UNKNOWN_CODE) if cell else MISSING_CODE for cell in cells], dtype=np.int16)
    return Coded(codes[array.indices.to_numpy(zero_copy_only=False)])


def _ids_and_dates(
    arrays: Mapping[str, pa.Array], campaign: Campaign, first_row: int, issues: list[RowIssue]
) -> tuple[pa.StringArray | None, list[object] | None]:
    id_column, date_column = id_name(campaign), date_name(campaign)
    if id_column is not None and id_column in arrays:
        return check_id_array(arrays[id_column], first_row, issues), None
    return None, arrays[date_column].to_pylist() if date_column is not None and date_column in arrays else None


def _carefully(rows: Rows, reading: Reading) -> Piece:
    """By the reader of the standard library, cell by cell."""
    campaign, wanted = reading.campaign, sorted(reading.places.values())
    body = parse_block(rows.data, reading.shape, wanted=wanted, first_line=rows.first_line)
    columns = {name: body.columns[wanted.index(at)] for name, at in reading.places.items()}
    unclear: dict[int, tuple[str, str, str]] = {}
    if reading.commas or not reading.point:
        seen = look(columns, campaign.numeric, all_points=not reading.by_commas, throughout=True)
        unclear = settle(columns, seen, reading.comma, reading.point)
    faults = {at: RowIssue(rows.first_row + at, *fault) for at, fault in unclear.items()}
    faults |= {at: RowIssue(rows.first_row + at, *fault) for at, fault in body.faults.items()}
    id_column, date_column = id_name(campaign), date_name(campaign)
    ids = columns.get(id_column or "")
    checked = check_rows(campaign, columns, ids, body.n, text=True, first_row=rows.first_row)
    issues = [issue for issue in checked.issues if issue.row - rows.first_row not in faults] + list(faults.values())
    refused = np.array(sorted(faults), dtype=np.int64) + rows.first_row
    table = checked.table.take(~np.isin(checked.table.rows, refused)) if len(refused) else checked.table
    dates = columns.get(date_column or "") if ids is None else None
    kept = None if dates is None else [dates[row - rows.first_row] for row in table.rows.tolist()]
    id_array = None if ids is None else pa.array(table.ids, pa.string())
    return Piece(id_array, kept, table.rows, dict(table.columns), sorted(issues, key=lambda issue: issue.row), body.n)


def numeric_texts(data: bytes, kind: str, reading: Reading, first_line: int) -> dict[str, list[str]]:
    """The numeric columns of a block as they are written."""
    places = {f.name: reading.places[f.name] for f in reading.campaign.numeric if f.name in reading.places}
    table = None if kind == "rough" else _columns_as(pa.string(), data, kind, reading, places)
    if table is not None:
        return {name: table.column(f"#{at}").to_pylist() for name, at in places.items()}
    wanted_at = sorted(places.values())
    body = parse_block(data, reading.shape, wanted=wanted_at, first_line=first_line)
    return {name: body.columns[wanted_at.index(at)] for name, at in places.items()}


def may_have_commas(data: bytes, kind: str, reading: Reading) -> bool:
    """False where no cell of a numeric column can hold a comma."""
    places = {f.name: reading.places[f.name] for f in reading.campaign.numeric if f.name in reading.places}
    return kind == "rough" or _columns_as(pa.float64(), data, kind, reading, places) is None


def _columns_as(type_: pa.DataType, data: bytes, kind: str, reading: Reading, places: Mapping[str, int]) -> pa.Table | None:
    """Some columns of a block; None where Arrow cannot read them as that type."""
    wanted = [f"#{at}" for at in places.values()]
    try:
        return pcsv.read_csv(
            pa.BufferReader(data),
            pcsv.ReadOptions(column_names=[f"#{at}" for at in range(reading.shape.width)], use_threads=False, block_size=1 << 30),
            pcsv.ParseOptions(delimiter=reading.shape.delimiter, newlines_in_values=kind == "quoted"),
            pcsv.ConvertOptions(include_columns=wanted, column_types=dict.fromkeys(wanted, type_), null_values=[""]),
        )
    except (pa.ArrowException, ValueError):
        return None
