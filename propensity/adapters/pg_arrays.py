"""numpy arrays as Postgres arrays in binary form, exact to the bit: one memory copy instead of one Python object per element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from psycopg import Connection, DataError
from psycopg.adapt import Dumper
from psycopg.pq import Format


@dataclass(frozen=True)
class PgArray:
    """A parameter of type ``float8[]``, ``int4[]`` or ``bool[]``: a numpy array of shape (n,) that is converted without loss."""

    values: npt.NDArray[Any]


# Kind of numpy type -> (oid of the array, oid of the element, how an element is sent).
_KINDS = {"f": (1022, 701, ">f8"), "i": (1007, 23, ">i4"), "b": (1000, 16, "u1")}

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
        _, element, wire = _KINDS[obj.values.dtype.kind]
        if wire == ">i4" and len(obj.values) and max(abs(int(obj.values.min())), int(obj.values.max())) > _LARGEST_INT4:
            raise DataError("a whole number is too large for int4")
        items = np.empty(len(obj.values), dtype=[("size", ">i4"), ("value", wire)])
        items["size"] = items.dtype["value"].itemsize
        items["value"] = obj.values
        return np.array([1, 0, element, len(items), 1], dtype=">i4").tobytes() + items.tobytes()


def register(connection: Connection[Any]) -> None:
    """Make `PgArray` usable as a parameter on this connection."""
    connection.adapters.register_dumper(PgArray, _PgArrayDumper)
