"""Reads FlatBuffers, the format of Arrow's metadata, without trusting them: whatever the bytes, a value or `Broken`, and never a crash.

Source: FlatBuffers internals, "Format". Every position is checked against the buffer before it is read.
"""

from __future__ import annotations

import struct

_NUMBERS = {code: struct.Struct("<" + code) for code in "bBhHiIqQ?"}


class Broken(Exception):
    """The bytes are not what their format says."""


def number(buffer: bytes, code: str, at: int) -> int:
    """The number of a struct format code at a position. Raises Broken outside of the buffer."""
    form = _NUMBERS[code]
    if at < 0 or at + form.size > len(buffer):
        raise Broken("a position outside of the metadata")
    return int(form.unpack_from(buffer, at)[0])


class Table:
    """One table: fields by their number in the schema.

    Attributes
    ----------
    buffer, at : the bytes, and where in them it stands
    """

    __slots__ = ("_fields", "_size", "at", "buffer")

    def __init__(self, buffer: bytes, at: int) -> None:
        self.buffer = buffer
        self.at = at
        self._fields = at - number(buffer, "i", at)
        self._size = number(buffer, "H", self._fields)

    @classmethod
    def root(cls, buffer: bytes) -> Table:
        return cls(buffer, number(buffer, "I", 0))

    def _place(self, field: int) -> int:
        """Where a field stands; 0 where it is absent."""
        slot = 4 + 2 * field
        offset = number(self.buffer, "H", self._fields + slot) if slot + 2 <= self._size else 0
        return self.at + offset if offset else 0

    def value(self, field: int, code: str, default: int = 0) -> int:
        """A number that stands in the table itself."""
        at = self._place(field)
        return number(self.buffer, code, at) if at else default

    def table(self, field: int) -> Table | None:
        at = self._place(field)
        return Table(self.buffer, at + number(self.buffer, "I", at)) if at else None

    def text(self, field: int) -> str:
        """A string. Raises Broken where it is not UTF-8."""
        start, length = self._vector(field, 1)
        try:
            return self.buffer[start : start + length].decode()
        except UnicodeDecodeError:
            raise Broken("a name that is not UTF-8") from None

    def tables(self, field: int) -> list[Table]:
        start, length = self._vector(field, 4)
        places = range(start, start + 4 * length, 4)
        return [Table(self.buffer, at + number(self.buffer, "I", at)) for at in places]

    def longs(self, field: int, each: int = 1) -> list[int]:
        """A vector of 64-bit integers, or of structs that hold ``each`` of them."""
        start, length = self._vector(field, 8 * each)
        return list(struct.unpack_from(f"<{length * each}q", self.buffer, start))

    def _vector(self, field: int, size: int) -> tuple[int, int]:
        """First position and length; every element lies within the buffer."""
        at = self._place(field)
        if not at:
            return 0, 0
        start = at + number(self.buffer, "I", at)
        length = number(self.buffer, "I", start)
        if start + 4 + length * size > len(self.buffer):
            raise Broken("a vector longer than the metadata")
        return start + 4, length
