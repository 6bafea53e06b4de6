"""Which buffers an Arrow column takes, by its type: what is needed to read it or to step over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from propensity.errors import Malformed, TooLarge
from propensity.flatbuffer import Broken, Table

MAX_COLUMNS = 1_000
MAX_FIELDS = 5_000
MAX_DEPTH = 32
_SHORT_BYTES = 16 * 1024
_NAMES = (
    "none", "null", "int", "float", "binary", "utf8", "bool", "decimal", "date", "time", "timestamp", "interval", "list", "struct", "union",
    "fixed-size binary", "fixed-size list", "map", "duration", "large binary", "large utf8", "large list", "run-end encoded", "binary view",
    "utf8 view", "list view", "large list view",
)  # fmt: skip
# Buffers of each type itself, in the order of _NAMES.
_BUFFERS = (0, 0, 2, 2, 3, 3, 2, 2, 2, 2, 2, 2, 2, 1, 1, 2, 1, 2, 2, 3, 3, 2, 0, 2, 2, 3, 3)
_VIEWS = (23, 24)
_READ = {1: "null", 2: "int", 3: "float", 5: "text", 6: "bool", 7: "decimal", 20: "long text", 24: "view"}


@dataclass(frozen=True)
class Layout:
    """A column's type.

    Attributes
    ----------
    kind : str
        How its values are read: ``int``, ``float``, ``text`` ...; empty where the type is not read.
    number : str
        NumPy type of its values: of integers, floats and decimals, or of a dictionary's positions.
    dictionary : int or None
        The dictionary that it takes its values from; ``entries`` then is the layout of those.
    """

    type_name: str
    kind: str
    buffers: int
    views: int = 0
    number: str = ""
    scale: int = 0
    dictionary: int | None = None
    entries: Layout | None = None
    children: tuple[Layout, ...] = ()

    def values(self) -> Layout:
        """The layout of a dictionary's entries."""
        if self.entries is None:
            raise Broken("a dictionary for a column that has none")
        return self.entries

    @cached_property
    def size(self) -> tuple[int, int, int]:
        """Nodes, buffers and counts of further buffers that a batch holds for it."""
        below = [child.size for child in self.children]
        return (1 + sum(b[0] for b in below), self.buffers + sum(b[1] for b in below), self.views + sum(b[2] for b in below))


class Field(NamedTuple):
    """A column: its name and type."""

    name: str
    layout: Layout


def fields_of(schema: Table, subject: str) -> Sequence[Field]:
    """The columns of a schema. Raises TooLarge for more than allowed, Malformed and Broken for what cannot be."""
    # The lists of one sender have one schema.
    short = len(schema.buffer) <= _SHORT_BYTES
    return _read_before(schema.buffer, schema.at, subject) if short else _read(schema, subject)


@lru_cache(maxsize=32)
def _read_before(buffer: bytes, at: int, subject: str) -> Sequence[Field]:
    return _read(Table(buffer, at), subject)


def _read(schema: Table, subject: str) -> Sequence[Field]:
    tables = schema.tables(1)
    if len(tables) > MAX_COLUMNS:
        raise TooLarge(f"{subject} has more than {MAX_COLUMNS:,} columns")
    left = [MAX_FIELDS]
    return tuple(Field(table.text(0), _layout(table, 0, left, subject)) for table in tables)


def _layout(field: Table, depth: int, left: list[int], subject: str) -> Layout:
    left[0] -= 1
    if depth > MAX_DEPTH or left[0] < 0:
        raise Malformed(f"{subject} has columns nested too deeply; send one value per cell")
    kind, declared = field.value(2, "B"), field.table(3)
    if not 0 < kind < len(_NAMES) or declared is None:
        raise Broken("a column of an unknown type")
    children = tuple(_layout(child, depth + 1, left, subject) for child in field.tables(5))
    dense = kind == 14 and declared.value(0, "h") == 1
    plain = Layout(
        type_name=_NAMES[kind],
        kind=_READ.get(kind, ""),
        buffers=_BUFFERS[kind] + dense,
        views=int(kind in _VIEWS),
        number=_number(kind, declared),
        scale=declared.value(1, "i") if kind == 7 else 0,
        children=children,
    )
    encoding = field.table(4)
    if encoding is None:
        return plain
    index = encoding.table(1)
    positions = "<i4" if index is None else _integer(index)
    # Of a dictionary the batch holds positions alone.
    return Layout(f"dictionary of {plain.type_name}", plain.kind and "dictionary", 2, 0, positions, 0, encoding.value(0, "q"), plain)


def _number(kind: int, declared: Table) -> str:
    if kind == 2:
        return _integer(declared)
    if kind == 3:
        precision = declared.value(0, "h")
        if not 0 <= precision <= 2:
            raise Broken("a floating point type of unknown size")
        return ("<f2", "<f4", "<f8")[precision]
    if kind == 7:
        width = declared.value(2, "i", 128)
        if width not in (32, 64, 128, 256):
            raise Broken("a decimal type of unknown size")
        return f"V{width // 8}"
    return ""


def _integer(declared: Table) -> str:
    width = declared.value(0, "i")
    if width not in (8, 16, 32, 64):
        raise Broken("an integer type of unknown size")
    return f"<{'i' if declared.value(1, '?') else 'u'}{width // 8}"
