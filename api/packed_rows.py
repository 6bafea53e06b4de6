"""Decoded rows to columns of numbers, without touching their values one by one.

Written as MessagePack every row of one campaign has the same length: a number takes nine bytes, a category a fixed one to four, the
names of the fields are constant, and the one text of free length, the id, is taken out before. So each column lies in the bytes at a
fixed distance, and numpy reads it there. This takes half the time of asking each row for its values.
"""

from __future__ import annotations

import enum
import struct
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import repeat
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign, Categorical, Feature

FloatArray = npt.NDArray[np.float64]
ID = "id"
# Positions up to here take one byte as a text and as a number; beyond, three bytes of UTF-8 or two of an integer.
_NARROW = 127
_WIDE_TEXT, _WIDE_TEXTS = 0x800, 0xD7FF - 0x800
_WIDE_WHOLE, _WIDE_WHOLES = 0x100, 0xFFFF - 0x100
# Up to so many rows the number of numpy's calls is what costs: all columns are picked at once.
FEW_ROWS = 64
_MOST_SPARE = 4 * 2**20


class TextPosition(enum.StrEnum):
    """A category that is declared as a text: msgspec finds it by that, and writes the short text that stands for its position."""

    def __new__(cls, value: str, held: str) -> TextPosition:
        made = str.__new__(cls, held)
        made._value_ = value
        return made


class WholePosition(enum.IntEnum):
    """The same for a category that is declared as a whole number."""

    def __new__(cls, value: int, held: int) -> WholePosition:
        made = int.__new__(cls, held)
        made._value_ = value
        return made


def kind_of(feature: Feature) -> Any:
    """The type that a value is decoded to; None where there is none for it."""
    if not isinstance(feature, Categorical):
        return float
    types = {type(value) for value in feature.values}
    if len(types) != 1 or len(feature.values) > (_WIDE_TEXTS if types == {str} else _WIDE_WHOLES):
        return None
    members = [(f"v{at}", (value, held(feature, at))) for at, value in enumerate(feature.values)]
    return (TextPosition if types == {str} else WholePosition)(feature.name, members)  # type: ignore[arg-type]


def held(feature: Categorical, position: int) -> str | int:
    """What stands for a position; that after the last value stands for a missing one."""
    wide = len(feature.values) > _NARROW
    if isinstance(feature.values[0], str):
        return chr(position + (_WIDE_TEXT if wide else 0))
    return position + (_WIDE_WHOLE if wide else 0)


class PackedRows:
    """Reads rows of one campaign: structs with the fields `ID` and f0, f1, ... in the order of its features.

    Parameters
    ----------
    names : mapping of field to str
        The names that the struct's fields have when they are written.
    """

    def __init__(self, campaign: Campaign, names: Mapping[str, str]) -> None:
        self._features = campaign.features
        self._encoder = msgspec.msgpack.Encoder()
        self._spare: list[bytearray] = []
        self._missing = {f"f{at}": _missing(feature) for at, feature in enumerate(self._features) if feature.nullable}
        at = _head(1 + len(self._features), 16) + _text(names[ID]) + 1
        numbers: list[tuple[int, int]] = []
        codes: list[tuple[int, int]] = []
        self._wide: list[tuple[int, int, bool]] = []
        for place, feature in enumerate(self._features):
            at += _text(names[f"f{place}"])
            if not isinstance(feature, Categorical):
                numbers.append((place, at + 1))
                at += 9
            elif len(feature.values) <= _NARROW:
                is_text = isinstance(feature.values[0], str)
                codes.append((place, at + is_text))
                at += 1 + is_text
            else:
                is_text = isinstance(feature.values[0], str)
                self._wide.append((place, at + 1, is_text))
                at += 4 if is_text else 3
        self._row_bytes = at
        self._numbers, self._codes = tuple(numbers), tuple(codes)
        self._row = struct.Struct(_format({at: "d" for _, at in numbers} | {at: "B" for _, at in codes}, self._row_bytes))

    def ids(self, rows: Sequence[Any]) -> list[Any]:
        """Take the ids out of the rows."""
        ids = list(map(attrgetter(ID), rows))
        deque(map(setattr, rows, repeat(ID), repeat(None)), maxlen=0)
        return ids

    def columns(self, rows: Sequence[Any]) -> tuple[FloatArray, int]:
        """Values of rows whose ids were taken out, as in `propensity.schema.RawColumns`, and how many of them were not sent."""
        absent = self._fill(rows)
        # Kept from one list to the next: fresh memory of some megabytes costs as much as what is written to it.
        try:
            packed = self._spare.pop()
        except IndexError:  # the first, or another thread has it
            packed = bytearray()
        self._encoder.encode_into(rows, packed)
        raw = self._read(packed, len(rows))
        if len(packed) <= _MOST_SPARE and not self._spare:
            self._spare.append(packed)
        return raw, absent

    def _read(self, packed: bytearray, n: int) -> FloatArray:
        first = _head(n, 16)
        assert len(packed) == first + n * self._row_bytes, "rows of one campaign have one length"
        out = np.empty((len(self._features), n))
        if n <= FEW_ROWS and not self._wide:
            out[:] = np.array(list(self._row.iter_unpack(memoryview(packed)[first:])), dtype=np.float64).T
        else:
            for place, at in self._numbers:
                out[place] = np.ndarray((n,), ">f8", packed, first + at, (self._row_bytes,))
            for place, at in self._codes:
                out[place] = np.ndarray((n,), np.uint8, packed, first + at, (self._row_bytes,))
        for place, at, is_text in self._wide:
            one, two, three = (np.ndarray((n,), np.uint8, packed, first + at + byte, (self._row_bytes,)).astype(int) for byte in range(3))
            out[place] = (one & 15) * 4096 + (two & 63) * 64 + (three & 63) - _WIDE_TEXT if is_text else one * 256 + two - _WIDE_WHOLE
        self._blank(out)
        return out.T

    def by_column(self, columns: Sequence[list[Any]], n: int) -> FloatArray:
        """The same from decoded columns of ``n`` values each."""
        out = np.empty((len(self._features), n))
        for place, (feature, column) in enumerate(zip(self._features, columns, strict=True)):
            missing = self._missing.get(f"f{place}")
            values: list[Any] = column if missing is None else [missing if value is None else value for value in column]
            if not isinstance(feature, Categorical):
                out[place] = np.fromiter(values, np.float64, n)
                continue
            wide = len(feature.values) > _NARROW
            if isinstance(feature.values[0], str):
                out[place] = np.frombuffer("".join(values).encode("utf-32-le"), "<u4").astype(int) - wide * _WIDE_TEXT
            else:
                out[place] = np.fromiter(values, np.int64, n) - wide * _WIDE_WHOLE
        self._blank(out)
        return out.T

    def _fill(self, rows: Sequence[Any]) -> int:
        """Put what stands for a missing value where there is none; how many were not even sent as null."""
        absent = 0
        for field, missing in self._missing.items():
            values = list(map(attrgetter(field), rows))
            if {type(None), msgspec.UnsetType}.isdisjoint(map(type, values)):
                continue
            for row, value in zip(rows, values, strict=True):
                if value is None or value is msgspec.UNSET:
                    setattr(row, field, missing)
                    absent += value is msgspec.UNSET
        return absent

    def _blank(self, out: FloatArray) -> None:
        """NaN for categories that are missing."""
        for place, feature in enumerate(self._features):
            if feature.nullable and isinstance(feature, Categorical):
                out[place, out[place] == len(feature.values)] = np.nan


def _missing(feature: Feature) -> str | int | float:
    return held(feature, len(feature.values)) if isinstance(feature, Categorical) else np.nan


def _format(values: Mapping[int, str], size: int) -> str:
    """How `struct` reads values at these places of a row, and nothing else of it."""
    out, behind = ">", 0
    for at, kind in sorted(values.items()):
        out += f"{at - behind}x{kind}"
        behind = at + struct.calcsize(f">{kind}")
    return f"{out}{size - behind}x"


def _head(length: int, short: int) -> int:
    """Bytes before the members of an array or map, as MessagePack has it."""
    return 1 if length < short else 3 if length < 2**16 else 5


def _text(name: str) -> int:
    """Bytes of a name."""
    size = len(name.encode())
    return size + (1 if size < 32 else 2 if size < 2**8 else 3)
