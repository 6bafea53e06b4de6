"""The content of a snapshot: its canonical bytes, from which the id comes, and its Parquet form.

The digest is taken over canonical bytes and not over the Parquet file, whose bytes vary with the version of the library.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign, Categorical, Feature, Numeric
from propensity.errors import DataError
from propensity.months import MonthArray
from propensity.schema import MISSING_CODE, CodeArray, FloatArray, Table

if TYPE_CHECKING:
    import pyarrow as pa

Schema = list[dict[str, Any]]
# Two underscores keep the snapshot's own columns apart from features, which may be called "month" or "id".
ID, ROW, LABEL, MONTH = "__id", "__row", "__label", "__month"
OWN_COLUMNS = (ID, ROW, LABEL, MONTH)


@dataclass(frozen=True)
class Content:
    """Everything that a snapshot holds, in the terms of its own schema (and not of today's declaration).

    ``columns`` holds float64 (NaN: missing) or int16 positions in the values that ``schema`` names (-1: missing).
    """

    campaign: str
    schema: Schema
    ids: tuple[str, ...]
    rows: npt.NDArray[np.int64]
    columns: Mapping[str, FloatArray | CodeArray]
    label: npt.NDArray[np.bool_]
    months: MonthArray | None


def schema_of(campaign: Campaign) -> Schema:
    """What the campaign declares of each feature, as JSON."""
    return [_entry(feature) for feature in campaign.features]


def _entry(feature: Feature) -> dict[str, Any]:
    if isinstance(feature, Categorical):
        return {"name": feature.name, "kind": "categorical", "nullable": feature.nullable, "values": list(feature.values)}
    bounds = {"low": float(feature.low), "high": float(feature.high), "unit": feature.unit}
    return {"name": feature.name, "kind": "integer" if feature.integer else "number", "nullable": feature.nullable, **bounds}


def content_of(table: Table, label: npt.NDArray[np.bool_], months: MonthArray | None) -> Content:
    """The content of a snapshot of these rows.

    Raises DataError where lengths differ, a month is missing or a feature has a reserved name.
    """
    if len(label) != len(table) or (months is not None and len(months) != len(table)):
        raise DataError(f"a snapshot needs one label and one month per row; there are {len(table)} rows and {len(label)} labels")
    if months is not None and np.isnat(months).any():
        raise DataError("a snapshot needs the calendar month of every row")
    if reserved := set(OWN_COLUMNS) & set(table.columns):
        raise DataError(f"column {min(reserved)!r} cannot be kept: a snapshot uses that name itself")
    columns = {name: table.columns[name] for name in table.campaign.feature_names}
    schema = schema_of(table.campaign)
    return Content(table.campaign.name, schema, tuple(table.ids), table.rows, columns, label.astype(np.bool_), months)


def content_sha256(content: Content) -> str:
    """SHA-256 (hexadecimal) of the canonical bytes: equal for equal content, on every machine and library version."""
    head = {"campaign": content.campaign, "schema": content.schema, "rows": len(content.ids), "months": content.months is not None}
    sha = hashlib.sha256(json.dumps(head, sort_keys=True).encode() + b"\n")
    ids = [name.encode() for name in content.ids]
    # Lengths first: without them ("ab", "c") and ("a", "bc") would be the same bytes.
    sha.update(struct.pack(f"<{len(ids)}Q", *map(len, ids)) + b"".join(ids))
    sha.update(content.rows.astype("<i8").tobytes())
    for entry in content.schema:
        sha.update(_canonical(entry, content.columns[entry["name"]]))
    sha.update(content.label.astype("u1").tobytes())
    if content.months is not None:
        sha.update(content.months.astype("datetime64[M]").astype("<i8").tobytes())
    return sha.hexdigest()


def _canonical(entry: Mapping[str, Any], column: FloatArray | CodeArray) -> bytes:
    if entry["kind"] == "categorical":
        return column.astype("<i2").tobytes()
    numbers = column.astype("<f8")
    # One bit pattern for "missing", and for a whole number one zero.
    numbers[np.isnan(numbers)] = np.nan
    return (numbers + 0.0 if entry["kind"] == "integer" else numbers).tobytes()


def table_of(content: Content, campaign: Campaign, snapshot_id: str) -> Table:
    """The rows as a table of the campaign as it is declared today.

    Raises DataError where the declaration has since become narrower than the content.
    """
    then = {entry["name"]: entry for entry in content.schema}
    columns: dict[str, FloatArray | CodeArray] = {}
    for feature in campaign.features:
        entry = then.get(feature.name)
        if entry is None or not _fits(entry, feature):
            raise DataError(f"snapshot {snapshot_id!r} was made when column {feature.name!r} was declared otherwise: ingest the data again")
        column = content.columns[feature.name]
        columns[feature.name] = _recode(entry["values"], feature, column) if isinstance(feature, Categorical) else column
    return Table(campaign, content.ids, content.rows, columns)


def _fits(then: Mapping[str, Any], now: Feature) -> bool:
    if then["nullable"] and not now.nullable:
        return False
    if isinstance(now, Numeric):
        kinds = ("integer",) if now.integer else ("integer", "number")
        return then["kind"] in kinds and now.low <= then["low"] and now.high >= then["high"]
    return then["kind"] == "categorical" and all(value in now.values for value in then["values"])


def _recode(then: list[str | int], now: Categorical, column: npt.NDArray[Any]) -> CodeArray:
    # The last place stands for code -1, so that a missing value indexes it.
    places: CodeArray = np.array([*(now.values.index(value) for value in then), MISSING_CODE], dtype=np.int16)
    recoded: CodeArray = places[column]
    return recoded


def to_parquet(content: Content) -> bytes:
    """The content as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, pa.Array] = {ID: pa.array(content.ids, pa.string()), ROW: pa.array(content.rows, pa.int64())}
    for entry in content.schema:
        columns[entry["name"]] = _to_arrow(entry, content.columns[entry["name"]])
    columns[LABEL] = pa.array(content.label, pa.bool_())
    if content.months is not None:
        columns[MONTH] = pa.array(content.months.astype("datetime64[D]"), pa.date32())
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    return sink.getvalue()


def _to_arrow(entry: Mapping[str, Any], column: npt.NDArray[Any]) -> pa.Array:
    import pyarrow as pa

    if entry["kind"] == "categorical":
        whole = all(isinstance(value, int) for value in entry["values"])
        values = pa.array(entry["values"] if whole else [str(value) for value in entry["values"]], pa.int64() if whole else pa.string())
        return values.take(pa.array(column, pa.int32(), mask=column == MISSING_CODE))
    missing = np.isnan(column)
    if entry["kind"] == "number":
        return pa.array(column, pa.float64(), mask=missing)
    return pa.array(np.where(missing, 0, column).astype(np.int64), pa.int64(), mask=missing)


def from_parquet(data: bytes, campaign: str, schema: Schema) -> Content | None:
    """The content of a Parquet file; None where it cannot be one that `to_parquet` wrote for this schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
        months = table[MONTH].to_numpy().astype("datetime64[M]") if MONTH in table.column_names else None
        columns = {entry["name"]: _from_arrow(entry, table[entry["name"]]) for entry in schema}
        ids = tuple(str(name) for name in table[ID].to_pylist())
        rows, label = table[ROW].to_numpy().astype(np.int64), table[LABEL].to_numpy().astype(np.bool_)
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError):
        return None
    return Content(campaign, schema, ids, rows, columns, label, months)


def _from_arrow(entry: Mapping[str, Any], column: pa.ChunkedArray) -> npt.NDArray[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if entry["kind"] != "categorical":
        return np.array(pc.fill_null(pc.cast(column, pa.float64()), np.nan).to_numpy(), dtype=np.float64)
    values = pa.array(entry["values"] if pa.types.is_integer(column.type) else [str(value) for value in entry["values"]])
    codes = pc.index_in(column, value_set=values, skip_nulls=True)
    if codes.null_count != column.null_count:
        raise ValueError("a value that the schema does not name")
    return np.array(pc.fill_null(codes, MISSING_CODE).to_numpy(), dtype=np.int16)
