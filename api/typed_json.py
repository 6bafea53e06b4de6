"""JSON bytes straight to a validated table: the fast way in, for lists in which everything is sound.

A decoder is compiled from the campaign's declaration: numbers are decoded as floats and each category as its position, from which
`api.packed_rows` makes the matrix. Whatever is not entirely sound (a wrong value, a surplus column, a key twice, a form not foreseen
here) is left to `propensity.schema.check_rows`, which names the row and the column; both ways must accept the same rows and give
the same table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from api.packed_rows import ID, PackedRows, kind_of
from api.strict_json import keys_at_most, keys_of, occurrences
from propensity.campaign import Campaign, Feature
from propensity.schema import ID_LENGTH, RawColumns, Table

FloatArray = npt.NDArray[np.float64]
# Beyond this a whole number may have lost digits on its way into a float: the other way looks at each value.
_EXACT = 2.0**53 - 1
_HEAD_BYTES = 4_096


@dataclass(frozen=True)
class TypedPost:
    """A list in which every row is sound. ``columnar``: it was sent by column."""

    table: Table
    options: Mapping[str, Any]
    columnar: bool = False


class TypedJson:
    """Decoders of one campaign's lists.

    Parameters
    ----------
    id_name : str
        The column that holds the customer id.
    options : sequence of str
        Keys that may stand beside the rows.
    max_rows : int
        Longer lists are left to the other way, which refuses them.
    """

    def __init__(self, campaign: Campaign, id_name: str, options: Sequence[str], max_rows: int) -> None:
        self._campaign = campaign
        self._max_rows = max_rows
        self._options = tuple(options)
        self._width = len(campaign.features)
        self._low = np.array([max(getattr(f, "low", 0.0), -_EXACT) for f in campaign.features])
        self._high = np.array([min(getattr(f, "high", _EXACT), _EXACT) for f in campaign.features])
        self._integer = np.flatnonzero([getattr(f, "integer", False) for f in campaign.features])
        kinds = [_nullable(feature, kind_of(feature)) for feature in campaign.features]
        self._usable = None not in kinds
        if not self._usable:
            return
        fields = [f"f{at}" for at in range(self._width)]
        names = {ID: id_name, **dict(zip(fields, campaign.feature_names, strict=True))}
        row = _struct("Row", [(ID, str | int), *zip(fields, [_cell(k) for k in kinds], strict=True)], names, campaign)
        columns = _struct("Columns", [(ID, list[str | int]), *zip(fields, [list[k] for k in kinds], strict=True)], names, None)  # type: ignore[valid-type]
        self._packed = PackedRows(campaign, names)
        self._column_values = attrgetter(*fields) if self._width > 1 else _single(fields[0])
        self._one = msgspec.json.Decoder(row)
        self._list = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]
        self._wrapped = msgspec.json.Decoder(_wrapper("customers", list[row], self._options))  # type: ignore[valid-type]
        self._columns = msgspec.json.Decoder(_wrapper("columns", columns, self._options))

    def read(self, body: bytes) -> TypedPost | None:
        """The list, or None where the other way must look at it."""
        if not self._usable:
            return None
        head = body[:_HEAD_BYTES].lstrip()
        try:
            if head[:1] == b"[":
                return self._rows(body, self._list.decode(body), {}, 0)
            if b'"customers"' in head:
                wrapped = self._wrapped.decode(body)
                options = self._given(wrapped)
                return self._rows(body, wrapped.customers, options, 1 + keys_of(options))
            if b'"columns"' in head:
                # Far longer columns than a list may have would be unfolded before their length is known.
                fits = occurrences(body, b",") <= self._max_rows * (self._width + 1)
                return self._by_column(body, self._columns.decode(body)) if fits else None
            return self._rows(body, [self._one.decode(body)], {}, 0)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    def read_lines(self, body: bytes) -> TypedPost | None:
        """One JSON object a line."""
        if not self._usable:
            return None
        try:
            # As above; what has so many empty lines is read slowly.
            fits = occurrences(body, b"\n") <= 2 * self._max_rows
            return self._rows(body, self._one.decode_lines(body), {}, 0) if fits else None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    def _given(self, wrapped: Any) -> dict[str, Any]:
        found = {name: getattr(wrapped, name) for name in self._options}
        return {name: value for name, value in found.items() if value is not msgspec.UNSET}

    def _rows(self, body: bytes, rows: list[Any], options: Mapping[str, Any], other_keys: int) -> TypedPost | None:
        n = len(rows)
        if not 0 < n <= self._max_rows:
            return None
        ids = self._packed.ids(rows)
        raw, absent = self._packed.columns(rows)
        # More keys in the text than were taken: a column that is not declared, or a key twice.
        if not keys_at_most(body, n * (self._width + 1) - absent + other_keys):
            return None
        return self._post(raw, ids, options)

    def _by_column(self, body: bytes, wrapped: Any) -> TypedPost | None:
        ids, options = wrapped.columns.id, self._given(wrapped)
        columns = self._column_values(wrapped.columns)
        n = len(ids)
        if not 0 < n <= self._max_rows or any(len(column) != n for column in columns):
            return None
        if not keys_at_most(body, self._width + 2 + keys_of(options)):
            return None
        return self._post(self._packed.by_column(columns, n), ids, options, columnar=True)

    def _post(self, raw: FloatArray, ids: list[Any], options: Mapping[str, Any], *, columnar: bool = False) -> TypedPost | None:
        if np.any(raw < self._low) or np.any(raw > self._high):
            return None
        if len(self._integer):
            whole = raw[:, self._integer]
            if np.any(np.floor(whole) < whole):
                return None
        names = _names(ids)
        if names is None:
            return None
        rows = np.arange(1, len(ids) + 1, dtype=np.int64)
        return TypedPost(Table(self._campaign, names, rows, RawColumns(self._campaign, raw)), options, columnar)


def _names(ids: list[Any]) -> tuple[str, ...] | None:
    """Ids as texts, None where one of them may not be an id."""
    if set(map(type, ids)) != {str}:
        ids = [str(value) if type(value) is str or abs(value) < 10**ID_LENGTH else "" for value in ids]
    lengths = list(map(len, ids))
    if min(lengths) == 0 or max(lengths) > ID_LENGTH or not "".join(ids).isprintable():
        return None
    return tuple(ids)


def _nullable(feature: Feature, kind: Any) -> Any:
    return kind | None if kind is not None and feature.nullable else kind


def _cell(kind: Any) -> Any:
    """A nullable feature may also be left out of a row."""
    return kind | msgspec.UnsetType if type(None) in getattr(kind, "__args__", ()) else kind


def _struct(name: str, fields: list[tuple[str, Any]], names: Mapping[str, str], lacking: Campaign | None) -> Any:
    nullable = set() if lacking is None else {f"f{at}" for at, feature in enumerate(lacking.features) if feature.nullable}
    typed = [(field, kind, msgspec.UNSET) if field in nullable else (field, kind) for field, kind in fields]
    return msgspec.defstruct(name, typed, rename=names, kw_only=True, gc=False)


def _wrapper(name: str, kind: Any, options: Sequence[str]) -> Any:
    beside = [(option, Any, msgspec.UNSET) for option in options]
    return msgspec.defstruct("Wrapper", [(name, kind), *beside], forbid_unknown_fields=True)


def _single(field: str) -> Callable[[Any], tuple[Any]]:
    get = attrgetter(field)
    return lambda row: (get(row),)
