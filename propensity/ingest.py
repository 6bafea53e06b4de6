"""From raw rows to a snapshot: columns sorted out, every cell checked, months recovered, the quality gate passed or nothing written."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign, Categorical
from propensity.errors import DataError, QualityGateFailed, RowIssue
from propensity.id_columns import ID_COLUMN, date_name, id_name, may_have_id
from propensity.months import MonthArray, recover_months
from propensity.ports import ObjectStore
from propensity.raw import RawData
from propensity.schema import Table, check_rows
from propensity.snapshot import BoolArray, Manifest, find_or_write

NAMED_ISSUES = 10


@dataclass(frozen=True)
class LabelledRows:
    """Checked rows of a source, to be trained on.

    Attributes
    ----------
    table : Table
        The usable rows, with their ids.
    issues : tuple of RowIssue
        Everything wrong, by row.
    refused : int
        Rows left out because of it.
    dropped : dict
        Excluded columns that the source holds, with the campaign's reason: they were not looked at.
    ignored : tuple of str
        Columns that the campaign does not know.
    label : bool array, shape (n,)
        True: positive.
    months : datetime64[M] array, shape (n,), or None
        Calendar months; None where the campaign has no calendar.
    """

    table: Table
    issues: tuple[RowIssue, ...]
    refused: int
    dropped: Mapping[str, str]
    ignored: tuple[str, ...]
    label: BoolArray
    months: MonthArray | None


@dataclass(frozen=True)
class IngestResult:
    """What an ingest did. ``created`` is false where the same content was ingested before: nothing was written then."""

    manifest: Manifest
    created: bool
    issues: tuple[RowIssue, ...]
    refused: int
    dropped: Mapping[str, str]
    ignored: tuple[str, ...]


def ingest(campaign: Campaign, raw: RawData, store: ObjectStore) -> IngestResult:
    """Validate raw rows and write them as a snapshot.

    Rows that are wrong are left out and reported as long as their share is within the campaign's quality gate.

    Raises
    ------
    DataError
        A column is missing, or there is one that the campaign refuses; the rows are not in the declared order.
    QualityGateFailed
        Too many wrong rows, too few rows or too few positive ones. Every issue is in ``issues``; nothing was written.
    StoreError
        The store does not answer.
    """
    rows = read_labelled(campaign, raw)
    _pass_gate(campaign, raw, rows)
    manifest, created = find_or_write(store, rows.table, rows.label, rows.months, raw.provenance)
    return IngestResult(manifest, created, rows.issues, rows.refused, rows.dropped, rows.ignored)


def read_labelled(campaign: Campaign, raw: RawData) -> LabelledRows:
    """Check rows that are to be trained on, with label, unique ids and months.

    Raises DataError where a column is missing or refused, or where the rows are not in the declared order of date.
    """
    needed = (*campaign.feature_names, campaign.label.column, *_calendar_column(campaign))
    dropped, ignored = sort_columns(campaign, raw.columns, needed=needed)
    ids = _id_cells(campaign, raw)
    checked = check_rows(campaign, raw.columns, ids, raw.n, text=raw.text)
    issues = list(checked.issues)
    label = _labels(campaign, raw.columns[campaign.label.column], issues)
    cells = raw.columns[campaign.calendar.column] if campaign.calendar else ()
    months = recover_months(campaign.calendar, cells)
    if months is not None:
        told = {issue.row for issue in issues if campaign.calendar and issue.column == campaign.calendar.column}
        issues += [issue for issue in months.issues if issue.row not in told]
    issues += _repeated(ids) if ids is not None else []
    good = np.ones(raw.n, dtype=bool)
    good[[issue.row - 1 for issue in issues]] = False
    table = checked.table.take(good[checked.table.rows - 1])
    at = table.rows - 1
    return LabelledRows(
        table if ids is not None else with_derived_ids(table, _date_cells(campaign, raw)),
        tuple(sorted(issues, key=lambda issue: issue.row)),
        raw.n - len(table),
        dropped,
        ignored,
        label[at],
        None if months is None else months.values[at],
    )


def with_derived_ids(table: Table, dates: Sequence[object] | None = None) -> Table:
    """The same rows with ids of their own; see `DerivedIds`. ``dates``: one per row of the source, by row number."""
    own = None if dates is None else [dates[row - 1] for row in table.rows.tolist()]
    return replace(table, ids=tuple(DerivedIds(table.campaign).of(table, own)))


class DerivedIds:
    """Ids of rows that come without any: ``c-`` and 16 hexadecimal digits.

    An id is the hash of the row's feature values (and its date, where the campaign has one) and of how many equal rows stand before
    it. So the same rows get the same ids from CSV, Parquet or SQL, with or without a label, and other rows beside them change nothing.
    """

    def __init__(self, campaign: Campaign) -> None:
        self._names = sorted(campaign.feature_names)
        self._head = "\x1f".join([campaign.name, *self._names])
        self._seen = Occurrences()

    def of(self, table: Table, dates: Sequence[object] | None = None) -> list[str]:
        """Ids of the next rows of a source, with their dates."""
        texts = [_canonical(table.campaign, table, name) for name in self._names]
        if dates is not None:
            texts.append([str(date).strip() for date in dates])
        rows = ["\x1f".join(cells) for cells in zip(*texts, strict=True)]
        return [
            "c-" + hashlib.sha256(f"{self._head}\x1e{row}\x1e{nth}".encode()).hexdigest()[:16]
            for row, nth in zip(rows, self._seen.count(rows), strict=True)
        ]


class Occurrences:
    """How often each text was seen, in eight bytes a text and more only for those seen again. Texts are told apart by 64 bits of a hash."""

    def __init__(self) -> None:
        self._runs: list[npt.NDArray[np.uint64]] = []
        self._again: dict[int, int] = {}

    def count(self, texts: Sequence[str]) -> list[int]:
        """For each text how often it was seen by then, itself included."""
        hashes = np.fromiter((_hash64(text) for text in texts), dtype=np.uint64, count=len(texts))
        known = np.zeros(len(hashes), dtype=np.bool_)
        for run in self._runs:
            at = np.searchsorted(run, hashes)
            at[at == len(run)] = 0
            known |= run[at] == hashes
        fresh = np.unique(hashes[~known])
        counts = []
        here: dict[int, int] = {}
        for key, before in zip(hashes.tolist(), known.tolist(), strict=True):
            here[key] = here.get(key, self._again.get(key, 1) if before else 0) + 1
            counts.append(here[key])
        self._again |= {key: nth for key, nth in here.items() if nth > 1}
        self._add(fresh)
        return counts

    def _add(self, fresh: npt.NDArray[np.uint64]) -> None:
        """Runs at least double in size from the last to the first, so that there are few."""
        while self._runs and len(self._runs[-1]) < 2 * len(fresh):
            fresh = np.concatenate([self._runs.pop(), fresh])
            fresh.sort()
        if len(fresh):
            self._runs.append(fresh)


def _hash64(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _canonical(campaign: Campaign, table: Table, name: str) -> list[str]:
    feature, column = campaign.feature(name), table.columns[name]
    if isinstance(feature, Categorical):
        values = [*map(str, feature.values), ""]
        return [values[code] for code in column.tolist()]
    # Adding zero makes -0.0 and 0.0 the same number, as they are to everyone else.
    return [repr(number) for number in (column + 0.0).tolist()]


def _calendar_column(campaign: Campaign) -> tuple[str, ...]:
    return (campaign.calendar.column,) if campaign.calendar else ()


def _date_cells(campaign: Campaign, raw: RawData) -> Sequence[object] | None:
    column = date_name(campaign)
    return None if column is None else raw.columns.get(column)


def _id_cells(campaign: Campaign, raw: RawData) -> Sequence[object] | None:
    name = id_name(campaign)
    return None if name is None else raw.columns[name] if campaign.id_column else raw.columns.get(name)


def sort_columns(campaign: Campaign, names: Collection[str], *, needed: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The source's excluded columns with reasons, and its unknown ones. Raises DataError for a missing or refused column."""
    needed = [*needed, *([campaign.id_column] if campaign.id_column else [])]
    missing = [name for name in dict.fromkeys(needed) if name not in names]
    if missing:
        named = ", ".join(repr(name) for name in missing)
        raise DataError(f"the data of campaign {campaign.name!r} lacks the column{'s' * (len(missing) > 1)} {named}")
    dropped = {name: reason for name, reason in campaign.excluded if name in names}
    known = {*needed, *dropped, campaign.label.column, *_calendar_column(campaign), *([ID_COLUMN] if may_have_id(campaign) else [])}
    ignored = tuple(name for name in names if name not in known)
    if ignored and campaign.unexpected_columns == "refuse":
        named = ", ".join(repr(name) for name in ignored)
        raise DataError(f"campaign {campaign.name!r} refuses columns that it does not declare: {named}; remove them")
    return dropped, ignored


def _labels(campaign: Campaign, cells: Sequence[object], issues: list[RowIssue]) -> BoolArray:
    label = campaign.label
    message = f"must be {label.positive} or {label.negative}"
    out = np.zeros(len(cells), dtype=bool)
    for at, cell in enumerate(cells):
        text = _label_text(cell, label.positive, label.negative)
        out[at] = text == label.positive
        if text not in (label.positive, label.negative):
            code = "missing" if cell is None or cell == "" else "unknown_label"
            issues.append(RowIssue(at + 1, label.column, code, message))
    return out


def _label_text(cell: object, positive: str, negative: str) -> str | None:
    """The cell as the declaration writes it: a typed source may hold true for "TRUE" or 1.0 for "1"."""
    if isinstance(cell, bool):
        return next((text for text in (positive, negative) if text.casefold() == str(cell).casefold()), None)
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return cell.strip() if isinstance(cell, str) else str(cell)


def _repeated(ids: Sequence[object]) -> list[RowIssue]:
    seen: set[str] = set()
    found = []
    for row, name in enumerate(map(str, ids), start=1):
        if name in seen:
            found.append(RowIssue(row, None, "duplicate_id", "the customer id stands in an earlier row already"))
        seen.add(name)
    return found


def _pass_gate(campaign: Campaign, raw: RawData, rows: LabelledRows) -> None:
    """Do nothing where the quality gate is passed. Raises QualityGateFailed."""
    gate, usable = campaign.quality, len(rows.table)
    positives = int(np.count_nonzero(rows.label))
    broken = []
    if rows.refused > gate.max_invalid_share * raw.n:
        broken.append(f"{rows.refused} of {raw.n} rows are wrong; allowed is a share of {gate.max_invalid_share:g}")
    if usable < gate.min_rows:
        broken.append(f"{usable} usable rows; at least {gate.min_rows} are needed")
    if positives < gate.min_positive_share * usable:
        broken.append(f"{positives} of {usable} usable rows are positive; a share of at least {gate.min_positive_share:g} is needed")
    if broken:
        details = describe(rows.issues, raw)
        raise QualityGateFailed(f"the data of campaign {campaign.name!r} fails its quality gate: {'; '.join(broken)}{details}", rows.issues)


def describe(issues: Sequence[RowIssue], raw: RawData) -> str:
    """The first ten issues, each on a line of its own with its place in the source, and how many more there are."""
    lines = []
    for issue in issues[:NAMED_ISSUES]:
        place = raw.place(issue.row)
        where = f"row {issue.row}" + (f" ({place})" if place else "") + (f", {issue.column}" if issue.column else "")
        lines.append(f"\n  {where}: {issue.message}")
    more = len(issues) - NAMED_ISSUES
    return "".join(lines) + (f"\n  and {more} more" if more > 0 else "")
