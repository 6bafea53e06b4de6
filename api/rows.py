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
from propensity.arrow_values import Column
from propensity.campaign import Campaign
from propensity.columnar import ColumnTable, check_arrays, read_arrow, read_parquet
from propensity.csv_text import read_csv
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
        self._known = frozenset((*campaign.feature_names, id_column(campaign)))
        self._typed = TypedJson(campaign, id_column(campaign), OPTIONS, MAX_ROWS)

    def read(self, mimetype: str, body: bytes, charset: str | None = None) -> ReadPost:
        """The list. ``charset``: as the sender declares it, for CSV. Raises UnsupportedMedia, Malformed, TooLarge."""
        mimetype = media.SAME_AS.get(mimetype, mimetype)
        if mimetype in (media.ARROW, media.ARROW_FILE, media.PARQUET):
            read = read_parquet if mimetype == media.PARQUET else read_arrow
            return ReadPost({}, partial(check_table, self._campaign, read(body, self._known, MAX_ROWS)))
        if mimetype == media.CSV:
            return ReadPost({}, partial(check_post, self._campaign, read_csv_list(self._campaign, self._known, body, charset)))
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
    return _post(campaign, checked, posted)


def _post(campaign: Campaign, checked: Checked, posted: Posted) -> CheckedPost:
    """What HTTP adds to the check: columns that are not used, or must not be sent."""
    surplus = surplus_columns(campaign, posted.names(), id_column(campaign))
    refused = _refused(posted, surplus) if campaign.unexpected_columns == "refuse" else []
    whole = _with(checked, posted.n, posted.faults, refused)
    if not len(whole.table):
        raise RowsInvalid(f"none of the {posted.n:,} rows can be used; errors says why, row by row", whole.issues)
    ignored = {} if campaign.unexpected_columns == "refuse" else surplus
    return CheckedPost(whole, ignored, posted.columnar)


def read_csv_list(campaign: Campaign, known: frozenset[str], body: bytes, charset: str | None) -> Posted:
    """A CSV as any spreadsheet writes it, by column. Raises Malformed, TooLarge."""
    table = read_csv(body, known, campaign.numeric, encoding=charset, max_rows=MAX_ROWS)
    faults = {at: RowIssue(at + 1, *fault) for at, fault in table.faults.items()}
    unread = dict.fromkeys((name for name in table.header if name not in known), [NOT_SENT] * table.n)
    return Posted(table.n, columns={**table.columns, **unread}, text=True, faults=faults)


def check_table(campaign: Campaign, table: ColumnTable) -> CheckedPost:
    """Validate a list that came as Arrow or Parquet. Raises RowsInvalid for an empty list and where no row can be used."""
    if not table.n:
        raise RowsInvalid("the list is empty: send at least one row")
    checked = check_arrays(campaign, table.columns, _ids_of(campaign, table), table.n)
    return _post(campaign, checked, Posted(table.n, columns=dict.fromkeys(table.header, ())))


def _ids_of(campaign: Campaign, table: ColumnTable) -> Column:
    ids = table.columns.get(id_column(campaign))
    # A row without an id is refused here, as in every other format; only files are given ids.
    return Column(np.zeros(table.n), np.zeros(table.n, dtype=np.bool_)) if ids is None else ids


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
