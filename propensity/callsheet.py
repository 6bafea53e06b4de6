"""What a call sheet and an error sheet hold, and cells that open safely in a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence

from propensity.errors import RowIssue

CALL_SHEET = ("rank", "customer_id", "decision", "band", "score", "expected_profit", "reasons", "row", "prediction_id")
ERROR_SHEET = ("row", "column", "code", "message")
_CELL_ENDS = re.compile(r"([;\r\n])")


def safe_cell(text: str) -> str:
    """The text, with an apostrophe where a spreadsheet would run it, or what follows a semicolon or line end in it, as a formula.

    A spreadsheet of half of Europe separates cells by semicolons, whatever the file does. Blanks, quotes and invisible characters
    in front do not help an attacker, nor do full-width and small forms. Source: OWASP, "CSV injection".
    """
    safe = "".join("'" + part if _is_formula(part) else part for part in _CELL_ENDS.split(text))
    return "'" + safe if text.startswith(("\r", "\n")) else safe


def unsafe_cell(cell: str) -> str:
    """The text that `safe_cell` made this cell of."""
    inner = cell[1:] if cell.startswith(("'\r", "'\n")) else cell
    return "".join(part[1:] if part.startswith("'") and _is_formula(part[1:]) else part for part in _CELL_ENDS.split(inner))


def _is_formula(text: str) -> bool:
    first = next((ch for ch in text if ch.isprintable() and not ch.isspace() and ch not in "\"'"), "")
    return text.startswith("\t") or unicodedata.normalize("NFKC", first).startswith(("=", "+", "-", "@"))


def error_sheet(issues: Sequence[RowIssue]) -> bytes:
    """Every refused row: its number, the column, a code and what is allowed; UTF-8 with a header line."""
    return _csv([ERROR_SHEET]) + error_lines(issues)


def error_lines(issues: Sequence[RowIssue]) -> bytes:
    """The lines of an error sheet without its header."""
    return _csv((str(i.row), safe_cell(i.column or ""), i.code, safe_cell(i.message)) for i in issues)


def _csv(lines: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue().encode()
