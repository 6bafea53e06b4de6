"""The call sheet as CSV that opens safely in a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence

from propensity.errors import RowIssue
from propensity.prediction_id import prediction_id
from propensity.scoring import ScoredList

_CELL_ENDS = re.compile(r"([;\r\n])")


def safe_cell(text: str) -> str:
    """The text, with an apostrophe where a spreadsheet would run it, or what follows a semicolon or line end in it, as a formula.

    A spreadsheet of half of Europe separates cells by semicolons, whatever the file does. Blanks, quotes and invisible characters
    in front do not help an attacker, nor do full-width and small forms. Source: OWASP, "CSV injection".
    """
    safe = "".join("'" + part if _is_formula(part) else part for part in _CELL_ENDS.split(text))
    return "'" + safe if text.startswith(("\r", "\n")) else safe


def _is_formula(text: str) -> bool:
    first = next((ch for ch in text if ch.isprintable() and not ch.isspace() and ch not in "\"'"), "")
    return text.startswith("\t") or unicodedata.normalize("NFKC", first).startswith(("=", "+", "-", "@"))


def call_sheet(scored: ScoredList, request_id: str) -> bytes:
    """Every scored customer, best first, UTF-8 with a header line."""
    columns = ("rank", "customer_id", "decision", "band", "score", "expected_profit", "reasons", "row", "prediction_id")
    decision, ids, rows = scored.decision, scored.table.ids, scored.table.rows.tolist()
    lines = (
        (
            str(int(decision.rank[at])),
            safe_cell(ids[at]),
            "contact" if decision.contact[at] else "leave",
            scored.bands[at],
            repr(float(scored.scores[at])),
            f"{decision.expected_profit[at]:.2f}",
            safe_cell("; ".join(reason.text for reason in scored.reasons[at])),
            str(rows[at]),
            prediction_id(request_id, at + 1),
        )
        for at in scored.best(len(scored.table))
    )
    return _csv(columns, lines)


def error_sheet(issues: Sequence[RowIssue]) -> bytes:
    """Every refused row: its number, the column, a code and what is allowed."""
    lines = ((str(i.row), safe_cell(i.column or ""), i.code, safe_cell(i.message)) for i in issues)
    return _csv(("row", "column", "code", "message"), lines)


def _csv(header: Sequence[str], lines: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(lines)
    return text.getvalue().encode()
