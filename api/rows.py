"""From posted rows to validated ones: the schema's check by column, and what HTTP adds to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

from api.bodies import Posted
from propensity.campaign import Campaign
from propensity.errors import RowIssue, RowsInvalid
from propensity.schema import Checked, check_rows
from propensity.scoring import surplus_columns

_NOT_SENT = object()
SHOWN_NAMES = 50
SHOWN_LENGTH = 100


@dataclass(frozen=True)
class CheckedPost:
    """Validated rows, and the columns that were sent but not looked at, each with the reason."""

    checked: Checked
    ignored: Mapping[str, str]


def id_column(campaign: Campaign) -> str:
    """The column that holds the customer id."""
    return campaign.id_column or "id"


def check_post(campaign: Campaign, posted: Posted) -> CheckedPost:
    """Validate posted rows. Raises RowsInvalid for an empty list and where no row can be used."""
    rows = posted.rows
    if not rows:
        raise RowsInvalid("the list is empty: send at least one row")
    columns = {name: _column(rows, name) for name in campaign.feature_names}
    checked = check_rows(campaign, columns, _column(rows, id_column(campaign)), len(rows), text=posted.text, missing=_NOT_SENT)
    surplus = surplus_columns(campaign, _names(rows), id_column(campaign))
    refused = _refused(rows, surplus) if campaign.unexpected_columns == "refuse" else []
    whole = _with(checked, len(rows), posted.faults, refused)
    if not len(whole.table):
        raise RowsInvalid(f"none of the {len(rows):,} rows can be used; errors says why, row by row", whole.issues)
    return CheckedPost(whole, {} if campaign.unexpected_columns == "refuse" else surplus)


def shown(columns: Mapping[str, str]) -> list[dict[str, str]]:
    """Columns and reasons for a reply: the first fifty, names cut to a hundred characters."""
    return [{"column": name[:SHOWN_LENGTH], "reason": reason} for name, reason in list(columns.items())[:SHOWN_NAMES]]


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    try:
        return list(map(itemgetter(name), rows))
    except KeyError:
        return [row.get(name, _NOT_SENT) for row in rows]


def _names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every column sent, in the order of its first appearance."""
    first = rows[0]
    if all(row.keys() == first.keys() for row in rows):
        return list(first)
    return list(dict.fromkeys(name for row in rows for name in row))


def _refused(rows: Sequence[Mapping[str, Any]], surplus: Mapping[str, str]) -> list[RowIssue]:
    """An issue for each unexpected column of each row."""
    return [
        RowIssue(at + 1, name[:SHOWN_LENGTH], "unexpected_column", f"must not be sent: {surplus[name]}")
        for at, row in enumerate(rows)
        for name in row
        if name in surplus
    ]


def _with(checked: Checked, n: int, faults: Mapping[int, RowIssue], refused: Sequence[RowIssue]) -> Checked:
    """Add issues to a validation. A row that could not be read has that one issue alone."""
    if not faults and not refused:
        return checked
    issues = [issue for issue in checked.issues if issue.row - 1 not in faults] + [*faults.values(), *refused]
    bad = np.fromiter({issue.row for issue in issues}, dtype=np.int64)
    table = checked.table.take(~np.isin(checked.table.rows, bad))
    return Checked(table, tuple(sorted(issues, key=lambda issue: issue.row)), n - len(table))
