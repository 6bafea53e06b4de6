"""numpy arrays as Postgres arrays in binary form, exact to the bit: one memory copy instead of one Python object per element."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from psycopg import Connection, DataError
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types.json import Jsonb


@dataclass(frozen=True)
class PgArray:
    """A parameter of type ``float8[]``, ``int4[]`` or ``bool[]``: a numpy array of shape (n,) that is converted without loss."""

    values: npt.NDArray[Any]


# Kind of numpy type -> (oid of the array, oid of the element, how an element is sent).
_KINDS = {"f": (1022, 701, ">f8"), "i": (1007, 23, ">i4"), "b": (1000, 16, "u1")}

_ITEMS = {wire: np.dtype([("size", ">i4"), ("value", wire)]) for _, _, wire in _KINDS.values()}
_HEAD, _WHOLE, _FLOAT = struct.Struct(">5i"), struct.Struct(">q"), struct.Struct(">d")
_TEXT, _BYTEA, _INT8, _FLOAT8, _JSONB = 25, 17, 20, 701, 3802
_LARGEST_INT4 = 2**31 - 1


class _PgArrayDumper(Dumper):
    """The array format of Postgres: dimensions, flags, element oid, length, lower bound, then (size, element) for each."""

    format = Format.BINARY

    def get_key(self, obj: PgArray, format: object) -> Any:  # noqa: ARG002 (psycopg's signature)
        return (type(self), obj.values.dtype.kind)

    def upgrade(self, obj: PgArray, format: object) -> _PgArrayDumper:  # noqa: ARG002
        dumper = type(self)(self.cls)
        dumper.oid = _KINDS[obj.values.dtype.kind][0]
        return dumper

    def dump(self, obj: PgArray) -> bytes:
        return _binary(obj.values)


def _binary(values: npt.NDArray[Any]) -> bytes:
    _, element, wire = _KINDS[values.dtype.kind]
    if wire == ">i4" and len(values) and max(abs(int(values.min())), int(values.max())) > _LARGEST_INT4:
        raise DataError("a whole number is too large for int4")
    items = np.empty(len(values), dtype=_ITEMS[wire])
    items["size"] = items.dtype["value"].itemsize
    items["value"] = values
    return _HEAD.pack(1, 0, element, len(items), 1) + items.tobytes()


class Dumped(NamedTuple):
    """A parameter as Postgres reads it in binary form. Type 0: as the statement says."""

    oid: int
    data: bytes | None


def dump(value: object) -> Dumped:
    """A parameter in binary form, as psycopg would send it. Raises TypeError for a type that no statement here uses.

    In binary form a text with NUL is refused by Postgres; in text form libpq would cut it off there.
    """
    kind = type(value)
    if kind is str:
        return Dumped(_TEXT, value.encode())  # type: ignore[attr-defined]
    if kind is bytes:
        return Dumped(_BYTEA, value)  # type: ignore[arg-type]
    if kind is int:
        return Dumped(_INT8, _WHOLE.pack(value))
    if kind is float:
        return Dumped(_FLOAT8, _FLOAT.pack(value))
    if value is None:
        return Dumped(0, None)
    if isinstance(value, PgArray):
        return Dumped(_KINDS[value.values.dtype.kind][0], _binary(value.values))
    if isinstance(value, Jsonb):
        return Dumped(_JSONB, b"\x01" + json.dumps(value.obj).encode())
    raise TypeError(f"no parameter of a statement is a {kind.__name__}")


def register(connection: Connection[Any]) -> None:
    """Make `PgArray` usable as a parameter on this connection."""
    connection.adapters.register_dumper(PgArray, _PgArrayDumper)
