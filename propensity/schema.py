"""From what was sent to typed columns: the one validation that files, tables and HTTP bodies all pass through.

Values arrive by column. A row with any wrong value is refused as a whole and named with the column and what is allowed; the
other rows go on. Nothing is coerced: a text is not a number in JSON, ``true`` is not 1, NaN and infinity are not numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign, Categorical, Feature, Numeric
from propensity.errors import RowIssue

FloatArray = npt.NDArray[np.float64]
CodeArray = npt.NDArray[np.int16]
MISSING_CODE = -1
_UNKNOWN_CODE = -2
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_LARGEST_EXACT_INT = 2**53
ID_LENGTH = 128


class RawColumns(Mapping[str, FloatArray | CodeArray]):
    """The columns of a table as views of one float64 matrix, made when they are asked for.

    Attributes
    ----------
    raw : float64 array, shape (n, features)
        Numbers as they were sent, categories as positions in the declared values, NaN for missing; columns in declared order.
    """

    def __init__(self, campaign: Campaign, raw: FloatArray) -> None:
        self.raw = raw.view()
        self.raw.flags.writeable = False
        self._campaign = campaign

    def __getitem__(self, name: str) -> FloatArray | CodeArray:
        column = self.raw[:, self._campaign.feature_names.index(name)]
        if not isinstance(self._campaign.feature(name), Categorical):
            return column
        return np.where(np.isnan(column), MISSING_CODE, column).astype(np.int16)

    def __iter__(self) -> Iterator[str]:
        return iter(self._campaign.feature_names)

    def __len__(self) -> int:
        return len(self._campaign.feature_names)


@dataclass(frozen=True)
class Table:
    """Validated rows of one campaign, by column.

    Attributes
    ----------
    ids : sequence of str
        Customer ids, one per row.
    rows : int64 array, shape (n,)
        Row numbers as the sender counts them, from 1.
    columns : mapping of feature name to array, shape (n,)
        Numeric features as float64 (NaN: missing); categorical ones as int16 positions in the declared values (-1: missing).
    """

    campaign: Campaign
    ids: Sequence[str]
    rows: npt.NDArray[np.int64]
    columns: Mapping[str, FloatArray | CodeArray]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, keep: npt.NDArray[Any]) -> Table:
        """The rows selected by a boolean mask or by positions, in that order."""
        positions = np.flatnonzero(keep) if keep.dtype == np.bool_ else keep
        ids = tuple(self.ids[i] for i in positions.tolist())
        if isinstance(self.columns, RawColumns):
            columns: Mapping[str, FloatArray | CodeArray] = RawColumns(self.campaign, self.columns.raw[positions])
        else:
            columns = {name: column[positions] for name, column in self.columns.items()}
        return Table(self.campaign, ids, self.rows[positions], columns)

    def values(self, name: str) -> list[object]:
        """One column as it was sent: numbers, declared category values, None for missing."""
        feature, column = self.campaign.feature(name), self.columns[name]
        if isinstance(feature, Categorical):
            return [None if code < 0 else feature.values[code] for code in column.tolist()]
        numbers = [None if math.isnan(v) else v for v in column.tolist()]
        return [None if v is None else int(v) for v in numbers] if feature.integer else list(numbers)

    def row(self, position: int) -> dict[str, object]:
        """One row as it was sent, by feature name."""
        one = self.take(np.array([position]))
        return {name: one.values(name)[0] for name in self.campaign.feature_names}


@dataclass(frozen=True)
class Checked:
    """Result of a validation: the usable rows, every issue (sorted by row), how many rows were refused."""

    table: Table
    issues: tuple[RowIssue, ...]
    refused: int


def allowed(feature: Feature) -> str:
    """What a feature accepts, as half a sentence for messages and documentation."""
    if isinstance(feature, Categorical):
        return "must be one of " + ", ".join(str(v) for v in feature.values)
    kind = "a whole number" if feature.integer else "a number"
    unit = f" ({feature.unit})" if feature.unit else ""
    return f"must be {kind} from {feature.low:.15g} to {feature.high:.15g}{unit}"


def check_rows(
    campaign: Campaign,
    columns: Mapping[str, Sequence[object]],
    ids: Sequence[object] | None,
    n: int,
    *,
    text: bool,
    first_row: int = 1,
    missing: object = None,
) -> Checked:
    """Validate ``n`` rows given by column.

    Parameters
    ----------
    columns : mapping of feature name to n values
        A feature that is absent counts as missing in every row. Other columns are not looked at.
    ids : n values or None
        Customer ids; texts, or numbers kept as the text sent. None: the row number is the id.
    text : bool
        The values are texts of a file (numbers are parsed, an empty text is missing) instead of JSON values.
    missing : object
        A marker for "not sent in this row" besides None.
    """
    rows = np.arange(first_row, first_row + n, dtype=np.int64)
    issues: list[RowIssue] = []
    typed: dict[str, FloatArray | CodeArray] = {}
    for feature in campaign.features:
        values = columns.get(feature.name)
        if values is None:
            values = [missing] * n
        column, found = _numbers(feature, values, text, missing) if isinstance(feature, Numeric) else _codes(feature, values, text, missing)
        typed[feature.name] = column
        issues += [RowIssue(first_row + at, feature.name, code, message) for at, code, message in found]
    names = [str(row) for row in rows.tolist()] if ids is None else check_ids(ids, first_row, issues)
    bad = np.zeros(n, dtype=bool)
    bad[[issue.row - first_row for issue in issues]] = True
    whole = Table(campaign, tuple(names), rows, typed)
    table = whole if not issues else whole.take(~bad)
    return Checked(table, tuple(sorted(issues, key=lambda issue: issue.row)), int(bad.sum()))


Found = list[tuple[int, str, str]]


def _numbers(feature: Numeric, values: Sequence[object], text: bool, missing: object) -> tuple[FloatArray, Found]:
    kinds = set(map(type, values))
    if text and kinds <= {str}:
        return _in_range(feature, [_parse(str(v)) for v in values])
    if kinds <= {int, float}:
        return _in_range(feature, values)
    parsed: list[object] = []
    for value in values:
        if value is None or value is missing:
            parsed.append(None)
        elif text and isinstance(value, str):
            parsed.append(_parse(value))
        else:
            parsed.append(value if type(value) in (int, float) else _NotANumber)
    return _in_range(feature, parsed)


class _NotANumber:
    """Marks a value that is not a number."""


def _parse(cell: str) -> object:
    cell = cell.strip()
    if not cell:
        return None
    return float(cell) if _NUMBER.fullmatch(cell) else _NotANumber


def _in_range(feature: Numeric, values: Sequence[object]) -> tuple[FloatArray, Found]:
    n = len(values)
    column = np.full(n, np.nan)
    found: Found = []
    try:
        simple = None not in values
        column = np.array(values, dtype=np.float64) if simple else column
        # Beyond this an integer may have lost digits on its way into a float: look at each value.
        simple = simple and not np.any(np.abs(column) >= _LARGEST_EXACT_INT)
    except (TypeError, ValueError, OverflowError):
        simple = False
    if not simple:
        column = np.full(n, np.nan)
        for at, value in enumerate(values):
            if value is None:
                if not feature.nullable:
                    found.append((at, "missing", f"is missing; it {allowed(feature)}"))
            elif value is _NotANumber:
                found.append((at, "not_a_number", allowed(feature)))
            elif isinstance(value, int) and abs(value) > _LARGEST_EXACT_INT:
                found.append((at, "out_of_range", allowed(feature)))
            elif isinstance(value, float) and math.isnan(value):
                found.append((at, "not_a_number", allowed(feature)))
            else:
                column[at] = value
    given = ~np.isnan(column)
    if simple:
        found += [(int(at), "not_a_number", allowed(feature)) for at in np.flatnonzero(~given)]
    outside = given & ~((column >= feature.low) & (column <= feature.high))
    found += [(int(at), "out_of_range", allowed(feature)) for at in np.flatnonzero(outside)]
    if feature.integer:
        broken = given & ~outside & (column != np.floor(column))
        found += [(int(at), "not_a_whole_number", allowed(feature)) for at in np.flatnonzero(broken)]
    return column, found


def _codes(feature: Categorical, values: Sequence[object], text: bool, missing: object) -> tuple[CodeArray, Found]:
    known: dict[tuple[type, object], int] = {
        (str if text else type(v), str(v) if text else v): code for code, v in enumerate(feature.values)
    }
    codes: list[int] = []
    found: Found = []
    for at, sent in enumerate(values):
        value = sent.strip() or None if text and isinstance(sent, str) else sent
        if value is None or value is missing:
            codes.append(MISSING_CODE)
            if not feature.nullable:
                found.append((at, "missing", f"is missing; it {allowed(feature)}"))
            continue
        code = known.get((type(value), value), _UNKNOWN_CODE) if isinstance(value, str | int) else _UNKNOWN_CODE
        codes.append(code)
        if code == _UNKNOWN_CODE:
            found.append((at, "unknown_category", allowed(feature)))
    return np.array(codes, dtype=np.int16), found


def check_ids(ids: Sequence[object], first_row: int, issues: list[RowIssue]) -> list[str]:
    """Customer ids as texts; what is wrong with one is added to ``issues``."""
    names: list[str] = []
    for at, value in enumerate(ids):
        name = _id_text(value)
        names.append(name)
        if not 0 < len(name) <= ID_LENGTH or not name.isprintable():
            message = f"the customer id must be a text or number of 1 to {ID_LENGTH} printable characters"
            issues.append(RowIssue(first_row + at, None, "bad_id", message))
    return names


def _id_text(value: object) -> str:
    """The id as text; empty where the value cannot be one."""
    if isinstance(value, str):
        return value
    # Python refuses to write integers of thousands of digits as text, and NaN is how some sources say "no id".
    if type(value) is int:
        return str(value) if abs(value) < 10**ID_LENGTH else ""
    return str(value) if type(value) is float and math.isfinite(value) else ""
