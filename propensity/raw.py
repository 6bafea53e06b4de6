"""Rows as a source holds them, before any check: the hand-over between reading and ingesting."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One file of a source.

    Attributes
    ----------
    name : str
        Name of the file, empty where the source has only one.
    rows : int
        Rows taken from it.
    lines : sequence of int or None
        The line on which each row begins; None where the source has no lines (Parquet).
    """

    name: str
    rows: int
    lines: Sequence[int] | None = None


@dataclass(frozen=True)
class RawData:
    """Unchecked rows by column.

    Attributes
    ----------
    columns : mapping of column name to n values
        In the order of the source.
    text : bool
        Every value is the text of a file's cell, to be parsed; otherwise values carry their types (int, float, str, None ...).
    n : int
        Number of rows.
    provenance : mapping
        Where the rows come from: ``kind``, ``name``, and ``sha256``, ``url``, ``licence``, ``citation`` where known. Never a password.
    parts : tuple of Part
        The files that the rows come from, in order; empty where the source has no files.
    """

    columns: Mapping[str, Sequence[object]]
    text: bool
    n: int
    provenance: Mapping[str, object]
    parts: tuple[Part, ...] = ()

    def place(self, row: int) -> str:
        """Where a row (numbered from 1) stands in its source: ``line 17``, ``b.csv line 3``; empty where there is nothing to add."""
        if not self.parts or not 1 <= row <= self.n:
            return ""
        ends = [0]
        for part in self.parts:
            ends.append(ends[-1] + part.rows)
        at = bisect_right(ends, row - 1) - 1
        part, within = self.parts[at], row - 1 - ends[at]
        inside = f"row {within + 1}" if part.lines is None else f"line {part.lines[within]}"
        return f"{part.name} {inside}" if part.name else "" if part.lines is None else inside
