"""From a posted list to validated rows: the schema's check by column, and what HTTP adds to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from api import media
from api.bodies import MAX_ROWS, NOT_SENT, Posted, read_body
from api.typed_json import TypedJson
from propensity.campaign import Campaign
from propensity.errors import RowIssue, RowsInvalid
from propensity.schema import Checked, check_rows
from propensity.scoring import surplus_columns

OPTIONS = ("policy", "reasons", "model")
SHOWN_NAMES = 50
SHOWN_LENGTH = 100


@dataclass(frozen=True)
class CheckedPost:
    """A list after its validation.

    Attributes
    ----------
    ignored : mapping
        Columns that were sent but not looked at, each with the reason.
    columnar : bool
        The list came by column, and is answered so.
    """

    checked: Checked
    ignored: Mapping[str, str] = field(default_factory=dict)
    columnar: bool = False


@dataclass(frozen=True)
class ReadPost:
    """A list that could be read.

    Attributes
    ----------
    options : mapping
        What came beside the rows, not yet checked.
    check : callable
        Validates the rows. Raises RowsInvalid where the list is empty or no row of it can be used.
    """

    options: Mapping[str, Any]
    check: Callable[[], CheckedPost]


def id_column(campaign: Campaign) -> str:
    """The column that holds the customer id."""
    return campaign.id_column or "id"


class ListReader:
    """Reads lists of one campaign, in any format on offer."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._typed = TypedJson(campaign, id_column(campaign), OPTIONS, MAX_ROWS)

    def read(self, mimetype: str, body: bytes) -> ReadPost:
        """The list. Raises UnsupportedMedia, Malformed, TooLarge."""
        mimetype = media.SAME_AS.get(mimetype, mimetype)
        typed = None
        if mimetype == media.JSON:
            typed = self._typed.read(body)
        elif mimetype == media.NDJSON:
            typed = self._typed.read_lines(body)
        if typed is not None:
            post = CheckedPost(Checked(typed.table, (), 0), {}, typed.columnar)
            return ReadPost(typed.options, lambda: post)
        posted = read_body(mimetype, body, "customers", OPTIONS, columns="columns")
        return ReadPost(posted.options, partial(check_post, self._campaign, posted))


def check_post(campaign: Campaign, posted: Posted) -> CheckedPost:
    """Validate posted rows. Raises RowsInvalid for an empty list and where no row can be used."""
    if not posted.n:
        raise RowsInvalid("the list is empty: send at least one row")
    columns = {name: posted.column(name) for name in campaign.feature_names}
    checked = check_rows(campaign, columns, posted.column(id_column(campaign)), posted.n, text=posted.text, missing=NOT_SENT)
    surplus = surplus_columns(campaign, posted.names(), id_column(campaign))
    refused = _refused(posted, surplus) if campaign.unexpected_columns == "refuse" else []
    whole = _with(checked, posted.n, posted.faults, refused)
    if not len(whole.table):
        raise RowsInvalid(f"none of the {posted.n:,} rows can be used; errors says why, row by row", whole.issues)
    ignored = {} if campaign.unexpected_columns == "refuse" else surplus
    return CheckedPost(whole, ignored, posted.columnar)


def shown(columns: Mapping[str, str]) -> list[dict[str, str]]:
    """Columns and reasons for a reply: the first fifty, names cut to a hundred characters."""
    return [{"column": name[:SHOWN_LENGTH], "reason": reason} for name, reason in list(columns.items())[:SHOWN_NAMES]]


def _refused(posted: Posted, surplus: Mapping[str, str]) -> list[RowIssue]:
    """An issue for each unexpected column of each row."""
    return [
        RowIssue(at + 1, name[:SHOWN_LENGTH], "unexpected_column", f"must not be sent: {surplus[name]}")
        for at in range(posted.n)
        for name in posted.names_of(at)
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
