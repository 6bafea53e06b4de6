"""What was posted, whatever its format: rows as mappings, and the options that came along."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.strict_json import parse_json
from propensity.errors import Malformed, RowIssue, TooLarge, UnsupportedMedia

MAX_ROWS = 10_000
OFFERED = ("application/json", "application/x-ndjson", "text/csv")
_NO_ROW: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Posted:
    """Rows as they were sent.

    Attributes
    ----------
    rows : sequence of mappings
        Empty where the row is not readable; ``faults`` then holds its issue, by position.
    text : bool
        The values are the texts of a file.
    options : mapping
        What came beside the rows, not yet checked.
    """

    rows: Sequence[Mapping[str, Any]]
    text: bool = False
    faults: Mapping[int, RowIssue] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


def read_body(mimetype: str, body: bytes, listed_as: str, options: frozenset[str]) -> Posted:
    """Read a body of any format on offer.

    Parameters
    ----------
    listed_as : str
        Key of the list where a JSON object wraps it, as in ``{"customers": [...]}``.
    options : set of str
        Keys that such an object may hold besides.

    Raises
    ------
    UnsupportedMedia, Malformed, TooLarge
    """
    if mimetype == "application/json":
        return _from_json(parse_json(body), listed_as, options)
    if mimetype in ("application/x-ndjson", "application/jsonl"):
        return _from_lines(body)
    if mimetype == "text/csv":
        return _from_csv(body)
    sent = "without a Content-Type" if not mimetype else "in a format that is not offered here"
    raise UnsupportedMedia(f"the body came {sent}; send it with the header Content-Type: {', '.join(OFFERED)}")


def refuse_too_many(n: int) -> None:
    """Raises TooLarge for more rows than one request may hold."""
    if n > MAX_ROWS:
        raise TooLarge(
            f"the list has {n:,} rows; one request takes at most {MAX_ROWS:,}: send them in parts, or score a file: propensity score FILE"
        )


def _from_json(value: Any, listed_as: str, options: frozenset[str]) -> Posted:
    if isinstance(value, list):
        return _rows(value, {})
    if not isinstance(value, dict):
        raise Malformed(f'the body must be a list of rows, one row, or {{"{listed_as}": [...]}}')
    if listed_as not in value:
        return Posted((value,))
    surplus = set(value) - options - {listed_as}
    if surplus or not isinstance(value[listed_as], list):
        others = f", besides which it may hold {', '.join(sorted(options))}" if options else " and nothing else"
        raise Malformed(f'an object with "{listed_as}" must hold a list of rows there{others}')
    return _rows(value[listed_as], {k: v for k, v in value.items() if k != listed_as})


def _rows(rows: list[Any], options: Mapping[str, Any]) -> Posted:
    refuse_too_many(len(rows))
    if set(map(type, rows)) <= {dict}:
        return Posted(rows, options=options)
    faults = {
        at: RowIssue(at + 1, None, "not_an_object", "a row must be an object") for at, row in enumerate(rows) if type(row) is not dict
    }
    return Posted([_NO_ROW if at in faults else row for at, row in enumerate(rows)], faults=faults, options=options)


def _from_lines(body: bytes) -> Posted:
    """One JSON object a line; empty lines do not count."""
    lines = [line for line in body.split(b"\n") if line.strip()]
    refuse_too_many(len(lines))
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
    return Posted(rows, faults=faults)


def _from_csv(body: bytes) -> Posted:
    """Comma-separated with a header, quoted as RFC 4180 says, UTF-8. Empty lines do not count."""
    try:
        lines = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        header = next((line for line in lines if line), None)
        cells = [line for line in lines if line]
    except UnicodeDecodeError as exc:
        raise Malformed("the CSV is not UTF-8") from exc
    except csv.Error as exc:
        raise Malformed("the CSV cannot be read: a quote is not closed, or stands within a cell that is not quoted") from exc
    if header is None:
        return Posted((), text=True)
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise Malformed("the CSV's header holds one column: its cells must be separated by commas")
    if len(set(header)) != len(header):
        raise Malformed("the CSV's header names a column twice")
    refuse_too_many(len(cells))
    message = f"the row must have {len(header)} cells, as the header has"
    faults = {at: RowIssue(at + 1, None, "wrong_cell_count", message) for at, row in enumerate(cells) if len(row) != len(header)}
    return Posted([_NO_ROW if at in faults else dict(zip(header, row, strict=True)) for at, row in enumerate(cells)], True, faults)
