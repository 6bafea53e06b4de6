"""Lists that come by column, Arrow and Parquet: read within stated limits, and validated without a loop over rows.

`check_arrays` gives every row the verdict that `propensity.schema.check_rows` gives its values, to the letter. What JSON has no type
for is taken as tables of a database are: a boolean is the category ``TRUE`` or ``FALSE`` where such are declared, a whole float an
integer category, a decimal the nearest float. Null is missing; NaN is not a number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from propensity import arrow_worker
from propensity.arrow_ipc import Compressed, read_ipc
from propensity.arrow_values import Column, Texts
from propensity.campaign import Campaign, Categorical, Feature, Numeric
from propensity.errors import Malformed, RowIssue
from propensity.schema import ID_LENGTH, MISSING_CODE, Checked, CodeArray, FloatArray, Table, allowed, check_ids

MAX_ROWS = 10_000
Typed = dict[str, FloatArray | CodeArray]
UNKNOWN_CODE = _UNKNOWN = -2
_WHOLE = re.compile(r"-?[0-9]{1,40}")
_LARGEST_EXACT_INT = 2**53
_FEW_TEXTS, _MOST_WORDS, _LOOP_LENGTH = 300, 1_000, 32


class ColumnTable(NamedTuple):
    """Names of all columns in the order sent, those that were asked for, and the number of rows."""

    header: tuple[str, ...]
    columns: Mapping[str, Column]
    n: int


class Coded(NamedTuple):
    """A categorical column as positions in the declared values already, `MISSING_CODE` and `UNKNOWN_CODE` among them."""

    codes: CodeArray


def read_arrow(data: bytes, wanted: Collection[str], max_rows: int = MAX_ROWS) -> ColumnTable:
    """Read an Arrow IPC stream or file. Raises Malformed and TooLarge."""
    subject = "the Arrow table"
    if not data:
        raise Malformed(f"{subject} is empty: not even a schema was sent")
    try:
        return ColumnTable(*read_ipc(data, wanted, max_rows, subject))
    except Compressed:
        return _converted("ipc", data, wanted, max_rows, subject)


def read_parquet(data: bytes, wanted: Collection[str], max_rows: int = MAX_ROWS) -> ColumnTable:
    """Read a Parquet file, in a process of its own. Raises Malformed, TooLarge, and ProgramFailed where there is no such process."""
    subject = "the Parquet file"
    if not (data.startswith(b"PAR1") and data.endswith(b"PAR1")):
        raise Malformed(f"{subject} does not begin and end with PAR1: it is no Parquet file, is encrypted, or was cut off")
    return _converted("parquet", data, wanted, max_rows, subject)


def _converted(kind: str, data: bytes, wanted: Collection[str], max_rows: int, subject: str) -> ColumnTable:
    header, plain = arrow_worker.convert(kind, data, wanted, max_rows, subject)
    for name in wanted:
        if header.count(name) > 1:
            raise Malformed(f"{subject} names column {name!r} twice")
    _, columns, n = read_ipc(plain, wanted, max_rows, subject)
    return ColumnTable(header, columns, n)


def as_sent(column: Column, feature: Feature) -> list[object]:
    """A column's values in the terms of the declaration, one by one: what `check_rows` would be given."""
    values = column.tolist()
    if isinstance(feature, Numeric):
        return values
    words = {str(value).casefold(): value for value in feature.values}
    return [_word(cell, words) for cell in values]


def _word(cell: object, words: Mapping[str, str | int]) -> object:
    if isinstance(cell, float):
        return words.get(str(int(cell)), cell) if math.isfinite(cell) and cell.is_integer() else cell
    return words.get(str(cell).casefold(), cell) if isinstance(cell, bool | int) else cell


def check_arrays(campaign: Campaign, columns: Mapping[str, Column], ids: Column | None, n: int, *, first_row: int = 1) -> Checked:
    """Validate ``n`` rows given as columns.

    Parameters
    ----------
    columns : mapping of feature name to Column of length n
        A feature that is absent is missing in every row.
    ids : Column or None
        Customer ids, texts or numbers. None: the row number is the id.
    """
    typed, issues = check_columns(campaign, columns, n, first_row=first_row)
    names, bad_ids = _ids(ids, n, first_row)
    issues += bad_ids
    rows = np.arange(first_row, first_row + n, dtype=np.int64)
    whole = Table(campaign, tuple(names), rows, typed)
    if not issues:
        return Checked(whole, (), 0)
    bad = np.zeros(n, dtype=bool)
    bad[[issue.row - first_row for issue in issues]] = True
    return Checked(whole.take(~bad), tuple(sorted(issues, key=lambda issue: issue.row)), int(bad.sum()))


def check_columns(campaign: Campaign, columns: Mapping[str, Column | Coded], n: int, *, first_row: int = 1) -> tuple[Typed, list[RowIssue]]:
    """The features of `check_arrays`, rows with issues among them, and the issues by feature."""
    issues: list[RowIssue] = []
    typed: Typed = {}
    for feature in campaign.features:
        column = columns.get(feature.name) or Column(np.zeros(n), np.zeros(n, dtype=np.bool_))
        if isinstance(feature, Numeric):
            assert isinstance(column, Column), "numbers have no codes"
            typed[feature.name], wrong = _numbers(feature, column)
        else:
            typed[feature.name], wrong = _codes(feature, column)
        for code, mask in wrong:
            message = f"is missing; it {allowed(feature)}" if code == "missing" else allowed(feature)
            issues += [RowIssue(first_row + at, feature.name, code, message) for at in np.flatnonzero(mask).tolist()]
    return typed, issues


Wrong = list[tuple[str, npt.NDArray[np.bool_]]]


def _numbers(feature: Numeric, column: Column) -> tuple[FloatArray, Wrong]:
    sound = _sound_numbers(feature, column)
    if sound is not None:
        return sound, []
    values, valid = _spread(column)
    n = len(column)
    numbers = not isinstance(values, list | Texts) and values.dtype != np.bool_
    x = np.array(values, dtype=np.float64) if numbers else np.full(n, np.nan)
    no_number = np.isnan(x)
    wrong: Wrong = []
    if valid is not None:
        x[~valid] = np.nan
        no_number &= valid
        if not feature.nullable:
            wrong.append(("missing", ~valid))
    outside = ~((x >= feature.low) & (x <= feature.high)) & ~np.isnan(x)
    if numbers and values.dtype.kind in "iu":  # type: ignore[union-attr]
        # As floats these may have lost digits.
        outside |= _too_large(np.asarray(values)) & (True if valid is None else valid)
    wrong += [("not_a_number", no_number), ("out_of_range", outside)]
    if feature.integer:
        with np.errstate(invalid="ignore"):
            wrong.append(("not_a_whole_number", ~np.isnan(x) & ~outside & (x != np.floor(x))))
    return x, [(code, mask) for code, mask in wrong if mask.any()]


def _sound_numbers(feature: Numeric, column: Column) -> FloatArray | None:
    """The numbers, where all were sent and are allowed: most columns are done with after a look at their ends."""
    values = column.values
    if column.valid is not None or column.dictionary is not None or isinstance(values, list | Texts) or not len(values):
        return None
    if values.dtype == np.bool_:
        return None
    low, high = values.min(), values.max()
    # False for NaN too. Beyond 2**53 a whole number may have lost digits.
    if not (max(feature.low, -_LARGEST_EXACT_INT) <= low and high <= min(feature.high, _LARGEST_EXACT_INT)):
        return None
    x = np.asarray(values, dtype=np.float64)
    return None if feature.integer and values.dtype.kind == "f" and (x != np.floor(x)).any() else x


def _too_large(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    large = values > _LARGEST_EXACT_INT
    return large | (values < -_LARGEST_EXACT_INT) if values.dtype.kind == "i" else large


def _codes(feature: Categorical, column: Column | Coded) -> tuple[CodeArray, Wrong]:
    codes = column.codes if isinstance(column, Coded) else _looked_up(feature, column)
    wrong: Wrong = [("unknown_category", codes == _UNKNOWN)]
    if not feature.nullable:
        wrong.append(("missing", codes == MISSING_CODE))
    return codes, [(code, mask) for code, mask in wrong if mask.any()]


def _looked_up(feature: Categorical, column: Column) -> CodeArray:
    """Codes; MISSING_CODE where nothing was sent, _UNKNOWN for what is not declared."""
    if column.dictionary is not None:
        # One more entry for positions that are not valid: a dictionary may be empty.
        entries = np.append(_looked_up(feature, column.dictionary), np.int16(MISSING_CODE))
        positions = np.asarray(column.values, dtype=np.int64)
        return entries[positions if column.valid is None else np.where(column.valid, positions, len(entries) - 1)]
    values = column.values
    if isinstance(values, Texts):
        codes = _coded_texts(feature, values)
    elif isinstance(values, list):
        codes = _coded_list(feature, values)
    else:
        codes = _coded_numbers(feature, values)
    return codes if column.valid is None else np.where(column.valid, codes, np.int16(MISSING_CODE))


def _coded_list(feature: Categorical, values: Sequence[str]) -> CodeArray:
    known = {value: code for code, value in enumerate(feature.values) if isinstance(value, str)}
    return np.array([known.get(value, _UNKNOWN) for value in values], dtype=np.int16)


def _coded_texts(feature: Categorical, texts: Texts) -> CodeArray:
    """Codes of texts, without making a text of any where there are many."""
    known = _words_of(feature) if len(texts) >= _FEW_TEXTS else None
    return _coded_list(feature, texts.tolist()) if known is None else known.codes(texts)


@dataclass(frozen=True)
class _Words:
    """The declared texts of a feature as whole numbers of eight bytes each, found by a hash under which no two of them meet.

    Attributes
    ----------
    own : list of uint64 arrays, shape (values + 1,)
        For each eight bytes, what each declared text has there; the last place stands for none.
    lengths : int64 array, shape (values + 1,)
    factors : list of uint64
        The hash is the sum of the words times these, its highest bits.
    places : int16 array
        For each hash the only declared text that it can be.
    """

    own: list[npt.NDArray[np.uint64]]
    lengths: npt.NDArray[np.int64]
    factors: list[np.uint64]
    shift: np.uint64
    places: CodeArray

    def codes(self, texts: Texts) -> CodeArray:
        starts, lengths = texts.starts, texts.lengths
        padded = texts.data + bytes(8 * len(self.own) + 8)
        every = np.ndarray((len(padded) - 7,), dtype="<u8", buffer=padded, strides=(1,))
        words = [every[starts + 8 * at if at else starts] & _MASKS[np.clip(lengths - 8 * at, 0, 8)] for at in range(len(self.own))]
        found = self.places[_hash(words, self.factors, self.shift)]
        same = lengths == self.lengths[found]
        for word, own in zip(words, self.own, strict=True):
            same &= word == own[found]
        return found if same.all() else np.where(same, found, np.int16(_UNKNOWN))


def _hash(words: Sequence[npt.NDArray[np.uint64]], factors: Sequence[np.uint64], shift: np.uint64) -> npt.NDArray[np.uint64]:
    total = words[0] * factors[0]
    for word, factor in zip(words[1:], factors[1:], strict=True):
        total += word * factor
    return total >> shift


@cache
def _words_of(feature: Categorical) -> _Words | None:
    """None where the texts are too many or too long for this to pay."""
    declared = [(code, value.encode()) for code, value in enumerate(feature.values) if isinstance(value, str)]
    longest = max((len(value) for _, value in declared), default=0)
    if not declared or longest > _LOOP_LENGTH or len(declared) > _MOST_WORDS:
        return None
    width = max(1, -(-longest // 8))
    own = [np.zeros(len(feature.values) + 1, dtype=np.uint64) for _ in range(width)]
    lengths = np.full(len(feature.values) + 1, -1, dtype=np.int64)
    for code, value in declared:
        lengths[code] = len(value)
        for word, part in zip(own, np.frombuffer(value.ljust(8 * width, b"\0"), dtype="<u8"), strict=True):
            word[code] = part
    codes = np.array([code for code, _ in declared])
    draw = np.random.default_rng(0)
    for bits in range(len(declared).bit_length() + 1, 20):
        for _ in range(100):
            factors = [np.uint64(each) | np.uint64(1) for each in draw.integers(0, 2**64, width, dtype=np.uint64)]
            at = _hash([word[codes] for word in own], factors, np.uint64(64 - bits))
            if len(set(at.tolist())) == len(codes):
                places = np.full(2**bits, len(feature.values), dtype=np.int16)
                places[at] = codes
                return _Words(own, lengths, factors, np.uint64(64 - bits), places)
    return None


_MASKS = np.array([(1 << 8 * kept) - 1 for kept in range(9)], dtype=np.uint64)


def _coded_numbers(feature: Categorical, values: npt.NDArray[Any]) -> CodeArray:
    """Codes of booleans and whole numbers, by the texts that they are written as."""
    words = {str(value).casefold(): code for code, value in enumerate(feature.values)}
    codes = np.full(len(values), _UNKNOWN, dtype=np.int16)
    if values.dtype == np.bool_:
        for truth in (False, True):
            codes[values == truth] = words.get(str(truth).casefold(), _UNKNOWN)
        return codes
    distinct, places = np.unique(values, return_inverse=True)
    if len(distinct) > 2 * len(words) + 100:
        # Mostly unknown: look at what is declared instead.
        for word, code in words.items():
            if _WHOLE.fullmatch(word) and word == str(int(word)):
                codes[_equal(values, int(word))] = code
        return codes
    found = [words.get(str(int(v)), _UNKNOWN) if math.isfinite(v) and v == int(v) else _UNKNOWN for v in distinct.tolist()]
    return np.array(found, dtype=np.int16)[places]


def _equal(values: npt.NDArray[Any], whole: int) -> npt.NDArray[np.bool_]:
    if values.dtype.kind == "f":
        return values == float(whole) if int(float(whole)) == whole else np.zeros(len(values), dtype=np.bool_)
    info = np.iinfo(values.dtype)
    return values == whole if info.min <= whole <= info.max else np.zeros(len(values), dtype=np.bool_)


def _spread(column: Column) -> tuple[npt.NDArray[Any] | list[str] | Texts, npt.NDArray[np.bool_] | None]:
    """Values and where they were sent, without a dictionary."""
    if column.dictionary is None:
        return column.values, column.valid
    entries, known = _spread(column.dictionary)
    positions = np.asarray(column.values, dtype=np.int64)
    if not len(entries):
        return np.zeros(len(column)), np.zeros(len(column), dtype=np.bool_)
    positions = positions if column.valid is None else np.where(column.valid, positions, 0)
    valid = column.valid if known is None else known[positions] if column.valid is None else known[positions] & column.valid
    # Texts are no numbers, whichever they are.
    return (["" for _ in positions] if isinstance(entries, list | Texts) else entries[positions]), valid


def _ids(ids: Column | None, n: int, first_row: int) -> tuple[Sequence[str], Sequence[RowIssue]]:
    if ids is None:
        return list(map(str, range(first_row, first_row + n))), ()
    values = ids.tolist()
    if n and ids.valid is None and ids.dictionary is None and isinstance(ids.values, list | Texts):
        texts: list[str] = values  # type: ignore[assignment]
        lengths = ids.values.lengths if isinstance(ids.values, Texts) else np.fromiter(map(len, texts), dtype=np.int64, count=n)
        if lengths.min() > 0 and lengths.max() <= ID_LENGTH and "".join(texts).isprintable():
            return texts, ()
    issues: list[RowIssue] = []
    return check_ids(values, first_row, issues), issues
