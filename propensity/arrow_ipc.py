"""Arrow IPC streams and files to columns, in NumPy alone: hostile bytes give a refusal, never a crash, a hang or a flood of memory.

Read are the plain types of tables (numbers, booleans, texts, decimals, also dictionary-encoded); nested ones are stepped over where
the column is not wanted. Source: Apache Arrow, "Arrow Columnar Format", Serialization and Interprocess Communication.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from propensity.arrow_layout import Field, fields_of
from propensity.arrow_values import MAX_TEXT_BYTES, Buffers, Column, Dictionary, column_of, joined, values_of
from propensity.errors import Malformed, TooLarge
from propensity.flatbuffer import Broken, Table, number

FILE_MARK, OLD_FEATHER = b"ARROW1\0\0", b"FEA1"
_CONTINUES = 0xFFFFFFFF
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
MAX_MESSAGES = 1_000
MAX_ENTRIES = 200_000


class Compressed(Exception):
    """The buffers are compressed, which is not read here."""


@dataclass
class _State:
    wanted: Collection[str]
    max_rows: int
    names: tuple[str, ...] = ()
    fields: Sequence[Field] = ()
    dictionaries: dict[int, Dictionary] = field(default_factory=dict)
    entries: int = 0
    budget: list[int] = field(default_factory=lambda: [MAX_TEXT_BYTES])
    rows: int = 0
    parts: dict[str, list[Column]] = field(default_factory=dict)


def read_ipc(data: bytes, wanted: Collection[str], max_rows: int, subject: str) -> tuple[tuple[str, ...], Mapping[str, Column], int]:
    """Names of all columns, the wanted columns, and the number of rows.

    Raises
    ------
    Compressed
        At the first compressed buffer.
    Malformed
        Not Arrow, broken, or a wanted column of a type that is not read.
    TooLarge
        More rows or columns, or longer dictionaries, than allowed.
    """
    if data.startswith(OLD_FEATHER):
        raise Malformed(f"{subject} is a Feather file of version 1; write Arrow IPC or Feather version 2")
    try:
        return _read(data, _State(frozenset(wanted), max_rows), subject)
    except Broken as exc:
        raise Malformed(f"{subject} is not readable: {exc}") from exc


def _read(data: bytes, state: _State, subject: str) -> tuple[tuple[str, ...], Mapping[str, Column], int]:
    # A file is a stream between a mark and an index; the index is not needed, so it need not be believed.
    start = len(FILE_MARK) if data.startswith(FILE_MARK) else 0
    for kind, header, body in _messages(data, start, subject):
        if not state.fields and kind != _SCHEMA:
            raise Broken("the schema must come first")
        if kind == _SCHEMA:
            _schema(state, header, subject)
        elif kind == _DICTIONARY:
            _dictionary(state, header, body, subject)
        elif kind == _BATCH:
            _batch(state, header, body, subject)
        else:
            raise Broken("a message that is not part of a table")
    if not state.names:
        raise Broken("no schema")
    columns = {f.name: joined(state.parts[f.name], f.layout) for f in state.fields if f.name in state.wanted}
    return state.names, columns, state.rows


def _messages(data: bytes, at: int, subject: str) -> Iterator[tuple[int, Table, memoryview]]:
    """Kind, header and body of each message up to the end mark."""
    view = memoryview(data)
    for _ in range(MAX_MESSAGES):
        if at + 4 > len(data):
            raise Broken("the end mark is missing: it may have been cut off")
        size = number(data, "I", at)
        at += 4
        if size == _CONTINUES:
            size = number(data, "I", at)
            at += 4
        if size == 0:
            return
        if at + size > len(data):
            raise Broken("a message longer than the data")
        message = Table.root(data[at : at + size])
        at += size
        length = message.value(3, "q")
        if length < 0 or at + length > len(data):
            raise Broken("a message longer than the data")
        header = message.table(2)
        if message.value(0, "h") < 3 or header is None:
            raise Broken("metadata of an old version")
        yield message.value(1, "B"), header, view[at : at + length]
        at += length
    raise TooLarge(f"{subject} comes in more than {MAX_MESSAGES:,} parts; write larger record batches")


def _schema(state: _State, header: Table, subject: str) -> None:
    if state.fields:
        raise Broken("a second schema")
    if header.value(0, "h"):
        raise Malformed(f"{subject} is big-endian; write it little-endian, as is usual")
    state.fields = fields_of(header, subject)
    if not state.fields:
        raise Malformed(f"{subject} has no columns")
    names = [each.name for each in state.fields]
    for name in state.wanted:
        if names.count(name) > 1:
            raise Malformed(f"{subject} names column {name!r} twice")
    state.names = tuple(names)
    for each in state.fields:
        if each.name in state.wanted:
            if each.layout.kind == "":
                raise Malformed(f"{subject}: column {each.name!r} is of Arrow type {each.layout.type_name}, which is not read; {_REMEDY}")
            state.parts[each.name] = []


_REMEDY = "send numbers, texts, booleans or decimals"


def _dictionary(state: _State, header: Table, body: memoryview, subject: str) -> None:
    key, batch = header.value(0, "q"), header.table(1)
    layout = next((f.layout for f in state.fields if f.layout.dictionary == key and f.name in state.wanted), None)
    if layout is None:
        return
    if batch is None:
        raise Broken("a dictionary without data")
    buffers = _buffers(batch, body, state)
    length = buffers.rows
    known = state.dictionaries.get(key) if header.value(2, "?") else None
    state.entries += length + (len(known.values) if known else 0)
    if state.entries > MAX_ENTRIES:
        raise TooLarge(f"{subject} has dictionaries of more than {MAX_ENTRIES:,} entries in all; leave out the unused ones")
    values = values_of(layout.values(), buffers, length)
    state.dictionaries[key] = Dictionary(joined([known.values, values], layout.values())) if known else Dictionary(values)


def _batch(state: _State, header: Table, body: memoryview, subject: str) -> None:
    buffers = _buffers(header, body, state)
    state.rows += buffers.rows
    if state.rows > state.max_rows:
        raise TooLarge(
            f"{subject} has more than {state.max_rows:,} rows, and one request takes no more: send them in parts, "
            "or score a file: propensity score FILE"
        )
    for each in state.fields:
        if each.name in state.wanted:
            dictionary = state.dictionaries.get(each.layout.dictionary) if each.layout.dictionary is not None else None
            state.parts[each.name].append(column_of(each.layout, buffers, dictionary))
        else:
            buffers.skip(*each.layout.size)


def _buffers(batch: Table, body: memoryview, state: _State) -> Buffers:
    if batch.table(3) is not None:
        raise Compressed
    rows = batch.value(0, "q")
    places = np.array(batch.longs(2, 2), dtype=np.int64).reshape(-1, 2)
    if rows < 0 or (len(places) and (places.min() < 0 or places.max() > len(body) or places.sum(axis=1).max() > len(body))):
        raise Broken("a buffer outside of its message")
    # Buffers that share bytes would make more of a message than was sent.
    if len(places) and places[:, 1].sum() > len(body):
        raise Broken("buffers that overlap")
    return Buffers(rows, batch.longs(1, 2), places.tolist(), batch.longs(4), body, state.budget)
