"""CSV as spreadsheets and programs write it, to columns of texts: any usual delimiter, quoting, encoding and line end.

Nothing is guessed from how the data look. The delimiter is the one that makes known column names of the header, or that the file
states (``sep=;``); a file that could be read in two ways is refused with a sentence that says what to do.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from propensity.campaign import Numeric
from propensity.csv_encoding import decode
from propensity.csv_numbers import settle_decimals
from propensity.csv_rows import MAX_COLUMNS, Fault, parse
from propensity.errors import Malformed, TooLarge

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
# Wider files are made to fill the memory: cells a row on average, in a file of as many rows as allowed.
_MEAN_CELLS = 60
_FIRST_LINE = re.compile(r"[\r\n]*+([^\r\n]*+)")
_STATEMENT = re.compile(r"\"?sep=([,;\t|])\"?[,;\t|]*(?:\r\n|\r|\n|\Z)", re.IGNORECASE)


@dataclass(frozen=True)
class CsvTable:
    """A file's rows by column.

    Attributes
    ----------
    header : tuple of str
        Every column's name, in the order of the file.
    columns : mapping of name to n texts
        The known columns alone. A row with a fault may have empty texts.
    lines : sequence of int, length n
        The line of the file, from 1, on which each row begins.
    faults : mapping of position to Fault
        Rows that cannot be read, by position from 0, in order.
    """

    header: tuple[str, ...]
    columns: Mapping[str, list[str]]
    n: int
    lines: Sequence[int]
    delimiter: str
    faults: Mapping[int, Fault]


def read_csv(
    data: bytes,
    known: Collection[str],
    numeric: Iterable[Numeric] = (),
    *,
    encoding: str | None = None,
    max_rows: int = 10_000,
    subject: str = "the CSV",
) -> CsvTable:
    """Read a posted list. Lines without any cell do not count, nor do rows of empty cells at the end.

    Parameters
    ----------
    known : collection of str
        Names of the columns that are looked at. The delimiter must yield at least one of them.
    numeric : features
        Columns in which a decimal comma may stand for a point; see `propensity.csv_numbers`.
    encoding : str or None
        What the sender declares (``charset``). None: found out; see `propensity.csv_encoding`.

    Raises
    ------
    Malformed
        Not readable, or readable in more than one way.
    TooLarge
        More rows or columns than allowed.
    """
    if max(map(data.count, map(str.encode, DELIMITERS))) > _MEAN_CELLS * max_rows:
        raise TooLarge(f"{subject} holds more cells than a list of {max_rows:,} rows can; send it in parts")
    text, stated, above = without_statement(decode(data, encoding, subject))
    if not text.strip("\r\n"):
        return CsvTable((), {}, 0, (), stated or ",", {})
    head = read_header(text, stated, known, subject)
    if head.width == 1 and not stated and any(mark in text for mark in DELIMITERS):
        raise one_column(subject)
    wanted = head.places(known)
    body = parse(
        text, head.delimiter, wanted.values(), head.width, first=above + 1, named=len(head.names), max_rows=max_rows, subject=subject
    )
    columns = dict(zip(wanted, body.columns, strict=True))
    unclear = settle_decimals(columns, numeric, by_commas=head.delimiter == ",")
    faults = {at: Fault(*fault) for at, fault in unclear.items()} | body.faults
    return CsvTable(head.names, columns, body.n, body.lines, head.delimiter, dict(sorted(faults.items())))


@dataclass(frozen=True)
class Header:
    """What the first line of a file says.

    Attributes
    ----------
    names : tuple of str
        Every column's name, in the order of the file.
    width : int
        Cells that each row has; more than names where programs write delimiters too many.
    """

    names: tuple[str, ...]
    width: int
    delimiter: str

    def places(self, known: Collection[str]) -> dict[str, int]:
        """Where the known columns stand."""
        return {name: at for at, name in enumerate(self.names) if name in known}


def read_header(text: str, stated: str | None, known: Collection[str], subject: str) -> Header:
    """The header of a text whose first line that is not empty it is. Raises Malformed, TooLarge."""
    delimiter = stated or _find_delimiter(text, known, subject)
    names = [name.strip() for name in split_line(first_line(text), delimiter, subject)]
    header = tuple(names[: len(names) - _unnamed_at_end(names)])
    _check_header(header, known, stated, subject)
    return Header(header, len(names), delimiter)


def one_column(subject: str) -> Malformed:
    """The refusal of a file of one column whose cells hold what could be a delimiter."""
    return Malformed(f"{subject} has one column, and its cells hold what could be a delimiter; write sep=; above the header, or the like")


def first_line(text: str) -> str:
    """The first line that is not empty, without its end."""
    found = _FIRST_LINE.match(text)
    return found[1] if found else ""


def without_statement(text: str) -> tuple[str, str | None, int]:
    """The text below a first line like ``sep=;``, the delimiter stated there, and how many lines were taken away."""
    found = _STATEMENT.match(text)
    return (text[found.end() :], found[1], 1) if found else (text, None, 0)


def _find_delimiter(text: str, known: Collection[str], subject: str) -> str:
    """The one delimiter with which the first line names known columns. Raises Malformed where there is none, or more than one."""
    line = first_line(text)
    split = {mark: [name.strip() for name in split_line(line, mark)] for mark in DELIMITERS}
    fitting = {mark: names for mark, names in split.items() if not known or not set(known).isdisjoint(names)}
    if not fitting:
        marks = ", ".join(DELIMITERS.values())
        raise Malformed(
            f"{subject}: the first line must name the columns, among them {_some(known)}, separated by one of {marks}; "
            "with none of these does it name a column that is known here"
        )
    if len({tuple(names) for names in fitting.values()}) > 1:
        marks = ", ".join(DELIMITERS[mark] for mark in fitting)
        raise Malformed(f"{subject}: the first line can be read with more than one delimiter ({marks}); write sep=; above it, or the like")
    return next(iter(fitting))


def split_line(line: str, delimiter: str, subject: str = "") -> list[str]:
    """A line's cells; none where it cannot be read and no subject is given to complain about."""
    if line.count(delimiter) >= MAX_COLUMNS:
        raise TooLarge(f"{subject or 'the CSV'}: the first line names more than {MAX_COLUMNS:,} columns")
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error as exc:
        if subject:
            raise Malformed(f"{subject}: the quoting of the first line is broken, or a column's name has a line break") from exc
        return []


def _unnamed_at_end(names: Sequence[str]) -> int:
    """How many columns without a name stand at the end: delimiters too many, which some spreadsheets write on every line."""
    return next((at for at, name in enumerate(reversed(names)) if name), len(names))


def _check_header(header: Sequence[str], known: Collection[str], stated: str | None, subject: str) -> None:
    if stated and known and set(known).isdisjoint(header):
        raise Malformed(f"{subject} states the delimiter {stated!r}, with which the line below names none of the columns {_some(known)}")
    seen: set[str] = set()
    for at, name in enumerate(header, start=1):
        if name in seen:
            which = f"names column {name!r} twice" if name in known else f"names column {at} like another one"
            raise Malformed(f"{subject}: the first line {which}; each column needs a name of its own")
        seen.add(name)


def _some(known: Collection[str]) -> str:
    names = sorted(known)
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
