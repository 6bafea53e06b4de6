"""Arrow columns as `propensity.columnar` checks them, in the terms in which files are read: NaN is missing, as null is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as of

from propensity.arrow_values import Column, Valid


def column_of(array: pa.Array) -> Column | None:
    """The values of a column; None for types that only Python objects can stand for (dates, lists and the like)."""
    kind = array.type
    if of.is_dictionary(kind):
        return _dictionary(array)
    if of.is_null(kind):
        return Column(np.zeros(len(array)), np.zeros(len(array), dtype=np.bool_))
    if of.is_string(kind) or of.is_large_string(kind) or of.is_string_view(kind):
        return _dictionary(array.cast(pa.string()).dictionary_encode())
    if of.is_boolean(kind):
        return Column(_filled(array, False), _valid(array))
    if of.is_integer(kind):
        values = _filled(array, 0)
        return Column(values.astype(np.uint64 if of.is_uint64(kind) else np.int64, copy=False), _valid(array))
    if of.is_floating(kind):
        return _floats(array)
    if of.is_decimal(kind):
        # The nearest float of each, which Arrow's own cast does not promise.
        numbers = [np.nan if value is None else float(value) for value in array.to_pylist()]
        return Column(np.array(numbers, dtype=np.float64), _valid(array))
    return None


def _filled(array: pa.Array, with_: object) -> np.ndarray[Any, np.dtype[Any]]:
    whole = pc.fill_null(array, with_) if array.null_count else array
    found: np.ndarray[Any, np.dtype[Any]] = whole.to_numpy(zero_copy_only=False)
    return found


def _valid(array: pa.Array) -> Valid:
    if not array.null_count:
        return None
    found: np.ndarray[Any, np.dtype[np.bool_]] = array.is_valid().to_numpy(zero_copy_only=False)
    return found


def _floats(array: pa.Array) -> Column:
    values = _filled(array, np.nan).astype(np.float64, copy=False)
    missing = np.isnan(values)
    return Column(values, ~missing if missing.any() else None)


def _dictionary(array: pa.DictionaryArray) -> Column | None:
    entries = array.dictionary
    if not of.is_string(entries.type) or entries.null_count:
        return column_of(array.dictionary_decode())
    return Column(_filled(array.indices, 0).astype(np.int64, copy=False), _valid(array.indices), Column(entries.to_pylist()))
