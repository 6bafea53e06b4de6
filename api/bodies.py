"""What was posted, whatever its format: rows as mappings, and the options that came along."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from flask import Request

from api import media
from api.strict_json import keys_about, parse_json
from propensity.csv_text import read_csv
from propensity.errors import Malformed, RowIssue, TooLarge, UnsupportedMedia

MAX_ROWS = 10_000
# Wider tables are made to fill the memory: at most so many columns, and so many on average in a list of the largest size.
MOST_COLUMNS = 2_000
MEAN_COLUMNS = 60
SEND_PARTS = "send them in parts, or score a file: propensity score FILE"
_NO_ROW: Mapping[str, Any] = {}


class NotSent:
    """Marks a value that a row does not hold."""


NOT_SENT = NotSent()


@dataclass(frozen=True)
class Posted:
    """A list as it was sent, by row or by column.

    Attributes
    ----------
    n : int
        How many rows.
    rows : sequence of mappings or None
        Empty where a row is not readable; ``faults`` then holds its issue, by position.
    columns : mapping of name to n values or None
        In place of rows.
    text : bool
        The values are the texts of a file.
    options : mapping
        What came beside the rows, not yet checked.
    columnar : bool
        The answer is to come by column as well.
    """

    n: int
    rows: Sequence[Mapping[str, Any]] | None = None
    columns: Mapping[str, Sequence[Any]] | None = None
    text: bool = False
    faults: Mapping[int, RowIssue] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    columnar: bool = False

    def column(self, name: str) -> Sequence[Any]:
        """The values of one column, `NOT_SENT` where a row has none."""
        if self.columns is not None:
            return self.columns.get(name) or [NOT_SENT] * self.n
        assert self.rows is not None
        try:
            return list(map(itemgetter(name), self.rows))
        except KeyError:
            return [row.get(name, NOT_SENT) for row in self.rows]

    def names(self) -> list[str]:
        """Every column sent, in the order of its first appearance."""
        if self.columns is not None:
            return list(self.columns)
        assert self.rows is not None
        if not self.rows or all(row.keys() == self.rows[0].keys() for row in self.rows):
            return list(self.rows[0]) if self.rows else []
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def names_of(self, at: int) -> Iterable[str]:
        """Columns of the row at a position."""
        return self.columns if self.columns is not None else self.rows[at] if self.rows is not None else ()

    def by_row(self) -> Sequence[Mapping[str, Any]]:
        """The rows as mappings."""
        if self.columns is None:
            return self.rows or ()
        return [dict(zip(self.columns, values, strict=True)) for values in zip(*self.columns.values(), strict=True)]


def read_body(
    mimetype: str, body: bytes, listed_as: str, options: Sequence[str] = (), columns: str | None = None, known: Collection[str] = ()
) -> Posted:
    """Read a body of any textual format on offer.

    Parameters
    ----------
    listed_as : str
        Key of the list where a JSON object wraps it, as in ``{"customers": [...]}``.
    options : sequence of str
        Keys that such an object may hold besides.
    columns : str or None
        Key of the columns where a JSON object may hold the list by column.
    known : collection of str
        Columns of a CSV that are looked at.

    Raises
    ------
    UnsupportedMedia, Malformed, TooLarge
    """
    if mimetype == media.JSON:
        refuse_bomb(body, columns)
        return _from_json(parse_json(body), listed_as, options, columns)
    if mimetype == media.NDJSON:
        return _from_lines(body)
    if mimetype == media.CSV:
        return _from_csv(body, known)
    sent = "without a Content-Type" if not mimetype else "in a format that is not offered here"
    raise UnsupportedMedia(f"the body came {sent}; send it with the header Content-Type: {', '.join(media.TAKEN)}")


def read_request(sent: Request) -> bytes:
    """The body without its Content-Encoding. Raises UnsupportedMedia, Malformed, TooLarge."""
    held = sent.environ["wsgi.input"]
    # The server holds the whole body in memory: its own bytes, where reading them as a stream would make two more copies.
    body = held.getvalue() if type(held) is io.BytesIO and "wsgi.input_terminated" in sent.environ else sent.get_data(cache=False)
    return media.unpacked(body, sent.headers.get("Content-Encoding", ""))


def refuse_bomb(body: bytes, columns: str | None) -> None:
    """Refuse a text that would unfold to far more objects than a list can hold, before it does. Raises TooLarge."""
    objects, lists, values = body.count(b"{"), body.count(b"["), body.count(b",")
    by_column = columns is not None and f'"{columns}"'.encode() in body[:4_096]
    if by_column and (lists > MOST_COLUMNS or keys_about(body) > MOST_COLUMNS):
        raise TooLarge(f"the body holds more than {MOST_COLUMNS:,} columns")
    if values > MAX_ROWS * MEAN_COLUMNS or (not by_column and values > MOST_COLUMNS * max(1, objects)):
        raise TooLarge(f"the body holds more values than a list of {MAX_ROWS:,} rows can; {SEND_PARTS}")
    if objects > 2 * MAX_ROWS or lists > 2 * MAX_ROWS:
        raise TooLarge(f"the body holds more objects than a list of {MAX_ROWS:,} rows can; {SEND_PARTS}")


def refuse_too_many(n: int) -> None:
    """Raises TooLarge for more rows than one request may hold."""
    if n > MAX_ROWS:
        raise TooLarge(f"the list has {n:,} rows; one request takes at most {MAX_ROWS:,}: {SEND_PARTS}")


def _from_json(value: Any, listed_as: str, options: Sequence[str], columns: str | None) -> Posted:
    if isinstance(value, list):
        return _rows(value, {})
    if not isinstance(value, dict):
        raise Malformed(f'the body must be a list of rows, one row, or {{"{listed_as}": [...]}}')
    key = listed_as if listed_as in value else columns if columns is not None and isinstance(value.get(columns), dict) else None
    if key is None:
        return Posted(1, (value,))
    if set(value) - set(options) - {key} or (key == listed_as and not isinstance(value[key], list)):
        others = f", besides which it may hold {', '.join(sorted(options))}" if options else " and nothing else"
        raise Malformed(f'an object with "{key}" must hold the list there{others}')
    beside = {k: v for k, v in value.items() if k != key}
    return _rows(value[key], beside) if key == listed_as else _by_column(value[key], beside)


def _rows(rows: list[Any], options: Mapping[str, Any]) -> Posted:
    refuse_too_many(len(rows))
    if set(map(type, rows)) <= {dict}:
        return Posted(len(rows), rows, options=options)
    faults = {
        at: RowIssue(at + 1, None, "not_an_object", "a row must be an object") for at, row in enumerate(rows) if type(row) is not dict
    }
    return Posted(len(rows), [_NO_ROW if at in faults else row for at, row in enumerate(rows)], faults=faults, options=options)


def _by_column(columns: Mapping[str, Any], options: Mapping[str, Any]) -> Posted:
    lengths = {len(values) if isinstance(values, list) else -1 for values in columns.values()}
    if len(lengths) > 1 or -1 in lengths:
        raise Malformed("every column must be a list, all of the same length")
    n = lengths.pop() if lengths else 0
    refuse_too_many(n)
    return Posted(n, columns=columns, options=options, columnar=True)


def _from_lines(body: bytes) -> Posted:
    """One JSON object a line; empty lines do not count."""
    lines: list[bytes] = []
    n = 0
    for line in io.BytesIO(body):
        if line.strip():
            n += 1
            # Counted on, but not kept: millions of short lines would take many times the body.
            if n <= MAX_ROWS:
                lines.append(line)
    refuse_too_many(n)
    rows: list[Mapping[str, Any]] = []
    faults: dict[int, RowIssue] = {}
    for at, line in enumerate(lines):
        try:
            row = parse_json(line)
            if not isinstance(row, dict):
                raise Malformed("a row must be an object")
            rows.append(row)
        except Malformed as exc:
            faults[at] = RowIssue(at + 1, None, "malformed", str(exc))
            rows.append(_NO_ROW)
    return Posted(len(rows), rows, faults=faults)


def _from_csv(body: bytes, known: Collection[str]) -> Posted:
    table = read_csv(body, known, max_rows=MAX_ROWS)
    faults = {at: RowIssue(at + 1, *fault) for at, fault in table.faults.items()}
    unknown = dict.fromkeys((name for name in table.header if name not in known), [""] * table.n)
    return Posted(table.n, columns={**table.columns, **unknown}, text=True, faults=faults)
