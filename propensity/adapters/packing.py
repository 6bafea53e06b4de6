"""A matrix of float64 as few bytes, exact to the bit: each column in the narrowest type that gives every bit back.

Layout: one byte of version, one code byte per column, then the columns one after the other, little-endian. Codes: ``c`` one float64 that
stands for every row, ``b`` int8, ``h`` int16, ``f`` float32, ``d`` float64. Counts and categories take 1 or 2 bytes, a rate of the month
8 bytes a request; general compression (zlib, level 1) is ten times slower for the same size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from propensity.errors import DataError

FloatMatrix = npt.NDArray[np.float64]
_VERSION = 1
_NARROW = ((b"b", np.dtype("<i1")), (b"h", np.dtype("<i2")), (b"f", np.dtype("<f4")))
_TYPES = {code[0]: dtype for code, dtype in _NARROW} | {ord("d"): np.dtype("<f8")}
_CONSTANT = ord("c")
# Below this many rows the search for narrow types costs more than the bytes it saves.
_SMALL_ROWS = 32
_FEW_ROWS = 64


def pack(matrix: FloatMatrix) -> bytes:
    """Bytes from which `unpack` restores a matrix of shape (rows, columns), NaN payloads and signed zeros included."""
    columns = np.ascontiguousarray(matrix.T, dtype="<f8")
    codes = _codes(columns) if matrix.shape[0] > 1 else bytes([ord("d")]) * matrix.shape[1]
    parts = [bytes([_VERSION]), codes]
    for code, column in zip(codes, columns, strict=True):
        parts.append(column[:1].tobytes() if code == _CONSTANT else column.astype(_TYPES[code]).tobytes())
    return b"".join(parts)


def unpack(data: bytes, rows: int, columns: int) -> FloatMatrix:
    """The float64 matrix of shape (rows, columns) that was packed. Raises DataError where the bytes do not fit that shape."""
    if data[:1] != bytes([_VERSION]) or len(data) < 1 + columns:
        raise DataError(f"packed features of version {list(data[:1])} cannot be read; this program reads version {_VERSION}")
    at = 1 + columns
    if data[1:at] == b"d" * columns and len(data) >= at + 8 * rows * columns:
        # A single customer, as it is packed: one look instead of one per column.
        return np.frombuffer(data, "<f8", rows * columns, at).reshape(columns, rows).T.astype(np.float64, order="C")
    out = np.empty((rows, columns), dtype=np.float64)
    for column, code in enumerate(data[1:at]):
        dtype, count = (np.dtype("<f8"), 1) if code == _CONSTANT else (_TYPES[code], rows)
        if at + count * dtype.itemsize > len(data):
            raise DataError(f"packed features end in column {column + 1} of {columns}: they are damaged")
        out[:, column] = np.frombuffer(data, dtype, count, at)
        at += count * dtype.itemsize
    return out


def _codes(columns: FloatMatrix) -> bytes:
    """The narrowest exact code of each row of ``columns`` (features by rows)."""
    return bytes(map(_code, columns, columns.view("<i8")))


def _code(column: npt.NDArray[np.float64], bits: npt.NDArray[np.int64]) -> int:
    if _everywhere(lambda at: bits[at] == bits[0], len(bits)):
        return _CONSTANT
    if len(bits) >= _SMALL_ROWS:
        # Values out of range and NaN cast to something else, which the comparison of bits then finds.
        with np.errstate(invalid="ignore", over="ignore"):
            for code, dtype in _NARROW:
                if _everywhere(lambda at, dtype=dtype: column[at].astype(dtype).astype("<f8").view("<i8") == bits[at], len(bits)):  # type: ignore[misc]
                    return code[0]
    return ord("d")


def _everywhere(holds: Callable[[slice], npt.NDArray[np.bool_]], rows: int) -> bool:
    """Whether something holds for all rows; mostly the first few tell that it does not."""
    return bool(holds(slice(_FEW_ROWS)).all()) and (rows <= _FEW_ROWS or bool(holds(slice(None)).all()))
