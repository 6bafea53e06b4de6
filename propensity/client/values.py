"""From a list of dictionaries or a pandas DataFrame to rows that JSON can carry. Imports neither pandas nor numpy."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

from propensity.client.failures import NotSendable

Rows = Sequence[Mapping[str, Any]]
NO_DATES = "dates and times are not taken: send a number, such as days since then, or leave the column out"
_AS_IS = frozenset({str, int, bool, type(None)})


def rows_of(given: Any) -> list[dict[str, Any]]:
    """Rows with plain values: NaN, pandas' NA and None become null, numpy's scalars Python's.

    Raises NotSendable, naming row and column, for what JSON cannot say or the service does not take: dates, infinities, objects.
    """
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(given, pandas.DataFrame):
        return _from_frame(given)
    if isinstance(given, Mapping) or not isinstance(given, Iterable) or isinstance(given, str | bytes):
        raise NotSendable("rows must be a list of dictionaries or a pandas DataFrame")
    return [_row(at, row) for at, row in enumerate(given, start=1)]


def _row(at: int, row: Any) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise NotSendable(f"row {at} is not a dictionary")
    plain: dict[str, Any] = {}
    for name, value in row.items():
        if not isinstance(name, str):
            raise NotSendable(f"row {at} has a column whose name is not text")
        plain[name] = value if type(value) in _AS_IS else _plain(value, at, name)
    return plain


def _from_frame(frame: Any) -> list[dict[str, Any]]:
    names = list(frame.columns)
    if not all(isinstance(name, str) for name in names):
        raise NotSendable("every column of the DataFrame must have a text as its name")
    if len(set(names)) != len(names):
        raise NotSendable("the DataFrame has two columns of the same name")
    columns = [_column(name, frame[name]) for name in names]
    if not columns:
        return [{} for _ in range(len(frame))]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _column(name: str, column: Any) -> list[Any]:
    # tolist gives Python's own numbers; what is left to look at are floats (NaN) and objects.
    return [value if type(value) in _AS_IS else _plain(value, at, name) for at, value in enumerate(column.tolist(), start=1)]


def _plain(value: Any, row: int, column: str) -> Any:
    if type(value).__name__ in ("datetime64", "timedelta64"):  # whose item() may be a mere number of nanoseconds
        raise NotSendable(f"row {row}, {column}: {NO_DATES}")
    if type(value).__module__ == "numpy" and hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
        if type(value) in _AS_IS:
            return value
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, float | Decimal):
        if math.isnan(value):
            return None
        if math.isinf(value):
            raise NotSendable(f"row {row}, {column}: infinity is not a number that can be sent")
        return float(value)
    if isinstance(value, str | int):  # subclasses: enumerations, and numpy's texts
        return str.__str__(value) if isinstance(value, str) else int(value)
    if isinstance(value, date | time | timedelta):
        raise NotSendable(f"row {row}, {column}: {NO_DATES}")
    raise NotSendable(f"row {row}, {column}: a value must be a number, a text, true, false or null")
