"""The call sheet as CSV that opens safely in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from propensity.errors import RowIssue
from propensity.prediction_id import prediction_id
from propensity.scoring import ScoredList

# What makes a spreadsheet read a cell as a formula, full-width forms included.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def safe_cell(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would run it as a formula.

    Source: OWASP, "CSV injection"; leading blanks do not help an attacker.
    """
    return "'" + text if text.lstrip(" \u00a0\u3000").startswith(_FORMULA_STARTS) or text.startswith(("\t", "\r", "\n")) else text


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
