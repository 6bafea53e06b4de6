"""A CSV text cut into blocks of whole rows. ``plain`` and ``quoted`` blocks Arrow reads as we do, ``rough`` ones may not be.

In a quoted block quotes are tidy: the first of each pair stands where a cell begins, the second where it ends or doubled for a quote
within the cell. Then there is one way to read them, which is Arrow's and the standard library's alike. Everything else is rough.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from propensity.csv_rows import LINE, Body, parse

# A cell longer than this is refused, wherever it stands.
_LONGEST_CELL = csv.field_size_limit()
# As much as stays in the processor's cache.
_SLICE = 1 << 17
_TWO_NEWLINES = np.uint16(0x0A0A)
_QUOTE, _NEWLINE, _RETURN = (np.uint8(ord(mark)) for mark in '"\n\r')


@dataclass(frozen=True)
class Shape:
    """How the rows of a file are written."""

    delimiter: str
    width: int
    named: int
    subject: str


class Cut(NamedTuple):
    """The whole rows at the beginning of some bytes: how many bytes, rows and lines that is, and of which kind they are."""

    size: int
    rows: int
    lines: int
    kind: str


def whole_rows(data: bytes, shape: Shape, *, is_end: bool, first_line: int) -> Cut:
    """The rows that are whole in ``data``, which begins with one. Size 0: not one is.

    Raises Malformed and TooLarge where the rows cannot be read at all.
    """
    if shape.width == 1 or _irregular_returns(data) or _may_hold_long_cell(data):
        return _rough(data, shape, is_end, first_line)
    if b'"' not in data:
        size = len(data) if is_end else data.rfind(b"\n") + 1
        part = data[:size] if size < len(data) else data
        lines = _line_feeds(part) + (not part.endswith(b"\n") and bool(part))
        return Cut(size, lines - _empty_lines(part), lines, "plain")
    return _tidy(data, shape, is_end) or _rough(data, shape, is_end, first_line)


def _irregular_returns(data: bytes) -> bool:
    """Whether lines end in another way than all files of today: a return without a line feed."""
    return b"\r" in data and data.count(b"\r") != data.count(b"\r\n") + data.endswith(b"\r")


def _may_hold_long_cell(data: bytes) -> bool:
    """Whether some line is so long that a cell of it may be too long."""
    half = _LONGEST_CELL // 2
    return any(data.find(b"\n", at, at + half) < 0 for at in range(0, len(data) - half, half))


def _line_feeds(part: bytes) -> int:
    """How many; a third of the time that ``part.count`` takes."""
    every = np.frombuffer(part, dtype=np.uint8)
    return sum(int(np.count_nonzero(every[at : at + _SLICE] == _NEWLINE)) for at in range(0, len(every), _SLICE))


def _doubled_line_feed(part: bytes) -> bool:
    """Whether two stand side by side; a fifth of the time that looking for the pair takes."""
    for offset in (0, 1) if part else ():
        pairs = np.frombuffer(part, dtype=np.uint16, count=(len(part) - offset) // 2, offset=offset)
        if any((pairs[at : at + _SLICE] == _TWO_NEWLINES).any() for at in range(0, len(pairs), _SLICE)):
            return True
    return False


def _empty_lines(part: bytes) -> int:
    if not (part.startswith((b"\n", b"\r")) or _doubled_line_feed(part) or (b"\r" in part and b"\n\r" in part)):
        return 0
    lines = part.replace(b"\r\n", b"\n").split(b"\n")
    return sum(not line for line in lines[: len(lines) - part.endswith(b"\n")])


def _tidy(data: bytes, shape: Shape, is_end: bool) -> Cut | None:
    """A cut of a block whose quotes are tidy; None where they are not."""
    cells = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(cells == _QUOTE)
    ends = np.flatnonzero(cells == _NEWLINE)
    before = np.searchsorted(quotes, ends)
    # Line ends outside of quotes: as many quotes before them as make pairs.
    ends = ends[before % 2 == 0]
    size = len(data) if is_end else int(ends[-1]) + 1 if len(ends) else 0
    quotes = quotes[: int(np.searchsorted(quotes, size))]
    if not size or len(quotes) % 2 or not _pairs_are_tidy(cells[:size], quotes, np.uint8(ord(shape.delimiter))):
        return Cut(0, 0, 0, "quoted") if not size and not is_end else None
    part = data[:size] if size < len(data) else data
    unended = not part.endswith(b"\n")
    # Empty lines within a cell are none.
    empty = _empty_lines(part) and _empty_rows(cells[:size], ends)
    return Cut(size, len(ends) + unended - empty, part.count(b"\n") + unended, "quoted")


def _pairs_are_tidy(cells: npt.NDArray[np.uint8], quotes: npt.NDArray[np.intp], delimiter: np.uint8) -> bool:
    opening, closing = quotes[::2], quotes[1::2]
    left = cells[np.maximum(opening - 1, 0)]
    starts = (left == delimiter) | (left == _NEWLINE) | (opening == 0)
    right = cells[np.minimum(closing + 1, len(cells) - 1)]
    finishes = (right == delimiter) | (right == _NEWLINE) | (right == _RETURN) | (closing == len(cells) - 1)
    doubled = closing[:-1] + 1 == opening[1:]
    first, last = np.ones(len(opening), dtype=np.bool_), np.ones(len(opening), dtype=np.bool_)
    first[1:] = last[:-1] = ~doubled
    longest = (closing[last] - opening[first]).max(initial=0)
    return bool((starts | ~first).all() and (finishes | ~last).all() and longest <= _LONGEST_CELL)


def _empty_rows(cells: npt.NDArray[np.uint8], ends: npt.NDArray[np.intp]) -> int:
    """How many of the lines that end at these line feeds are empty."""
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts
    return int(((lengths == 0) | ((lengths == 1) & (cells[starts] == _RETURN))).sum())


def _rough(data: bytes, shape: Shape, is_end: bool, first_line: int) -> Cut:
    """A cut by the reader of the standard library, which also finds what makes a file unreadable."""
    size = len(data) if is_end else _whole_by_reader(data, shape)
    if not size:
        return Cut(0, 0, 0, "rough")
    body = parse_block(data[:size], shape, first_line=first_line)
    lines = len(LINE.findall(data[:size].decode()))
    return Cut(size, body.n, lines, "rough")


def _whole_by_reader(data: bytes, shape: Shape) -> int:
    """Where the last row ends that is known to be whole, in bytes."""
    # A return at the end may be the first half of a line end.
    size = max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1
    lines = LINE.findall(data[:size].decode())
    feed = _Lines(lines)
    reader = csv.reader(feed, delimiter=shape.delimiter, strict=True)
    whole = 0
    try:
        for _ in reader:
            whole = reader.line_num
    except csv.Error:
        if not feed.exhausted:
            # Really broken: told when the rows are parsed.
            return size
    return sum(len(line.encode()) for line in lines[:whole])


class _Lines:
    """Lines, and whether the reader asked for more than there are."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = iter(lines)
        self.exhausted = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            return next(self._lines)
        except StopIteration:
            self.exhausted = True
            raise


def parse_block(data: bytes, shape: Shape, *, wanted: list[int] | None = None, first_line: int = 1) -> Body:
    """A block's rows by the standard library's reader."""
    # Its reader takes the first line that is not empty for the header.
    text = "-\n" + data.decode()
    return parse(
        text,
        shape.delimiter,
        [0] if wanted is None else wanted,
        shape.width,
        first=first_line - 1,
        named=shape.named,
        is_end=False,
        subject=shape.subject,
    )
