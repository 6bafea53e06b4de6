from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.campaign import Categorical, Numeric
from propensity.schema import Checked, allowed, check_rows
from tests.builders import one_row, tiny_campaign, tiny_columns, tiny_table

CAMPAIGN = tiny_campaign()
NAN, INF = float("nan"), float("inf")
HUGE = 10**400
SURROGATE = "\ud800"


def check(rows: list[dict[str, object]], *, text: bool = False, ids: list[object] | None = None, first_row: int = 1) -> Checked:
    columns = {name: [row[name] for row in rows] for name in CAMPAIGN.feature_names}
    return check_rows(CAMPAIGN, columns, ids, len(rows), text=text, first_row=first_row)


def codes(checked: Checked) -> list[tuple[int, str | None, str]]:
    return [(issue.row, issue.column, issue.code) for issue in checked.issues]


def as_text(row: dict[str, object]) -> dict[str, object]:
    return {name: "" if value is None else str(value) for name, value in row.items()}


WRONG: list[tuple[str, object, str]] = [
    ("age", None, "missing"),
    ("age", True, "not_a_number"),
    ("age", False, "not_a_number"),
    ("age", "40", "not_a_number"),
    ("age", "", "not_a_number"),
    ("age", [], "not_a_number"),
    ("age", {}, "not_a_number"),
    ("age", [40], "not_a_number"),
    ("age", NAN, "not_a_number"),
    ("age", INF, "out_of_range"),
    ("age", -INF, "out_of_range"),
    ("age", HUGE, "out_of_range"),
    ("age", -HUGE, "out_of_range"),
    ("age", 2**63, "out_of_range"),
    ("age", 17, "out_of_range"),
    ("age", 101, "out_of_range"),
    ("age", 17.999999, "out_of_range"),
    ("age", 40.5, "not_a_whole_number"),
    ("age", math.nextafter(40, 41), "not_a_whole_number"),
    ("income", NAN, "not_a_number"),
    ("income", 1e308, "out_of_range"),
    ("income", -5e-324, "out_of_range"),
    ("income", "not known", "not_a_number"),
    ("rate", math.nextafter(5, 6), "out_of_range"),
    ("job", None, "missing"),
    ("job", "", "unknown_category"),
    ("job", "Nurse", "unknown_category"),
    ("job", "nurse ", "unknown_category"),
    ("job", 3, "unknown_category"),
    ("job", True, "unknown_category"),
    ("job", ["nurse"], "unknown_category"),
    ("job", {"nurse": 1}, "unknown_category"),
    ("job", SURROGATE, "unknown_category"),
    ("job", "\x00", "unknown_category"),
    ("region", "20", "unknown_category"),
    ("region", 20.0, "unknown_category"),
    ("region", 21, "unknown_category"),
    ("region", HUGE, "unknown_category"),
    ("region", True, "unknown_category"),
    ("region", NAN, "unknown_category"),
]


@pytest.mark.parametrize(("column", "value", "code"), WRONG)
@pytest.mark.parametrize("company", ["alone", "among sound rows", "beside a missing value", "beside a huge number"])
def test_a_wrong_value_is_refused_with_its_row_and_column_whatever_stands_beside_it(
    column: str, value: object, code: str, company: str
) -> None:
    beside = {"alone": [], "among sound rows": [one_row(), one_row()]}.get(company)
    if beside is None:
        beside = [one_row(**{column: None if company == "beside a missing value" else HUGE})]
    checked = check([*beside, one_row(**{column: value})])
    assert [issue for issue in codes(checked) if issue[0] == len(beside) + 1] == [(len(beside) + 1, column, code)]
    assert len(beside) + 1 not in checked.table.rows
    assert len(checked.table) + checked.refused == len(beside) + 1


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("age", 18),
        ("age", 100),
        ("age", 40.0),
        ("income", None),
        ("income", 0),
        ("income", -0.0),
        ("income", 1000000.0),
        ("income", 5e-324),
        ("rate", -5),
        ("rate", 5.0),
        ("job", "pilot"),
        ("region", 10),
        ("region", None),
    ],
)
def test_a_sound_value_is_kept_as_sent(column: str, value: object) -> None:
    checked = check([one_row(**{column: value})])
    assert checked.issues == ()
    assert checked.table.row(0) == one_row(**{column: value})


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        ("age", " 40 ", 40),
        ("age", "4e1", 40),
        ("age", "+40", 40),
        ("age", "40.", 40),
        ("income", "", None),
        ("income", "  ", None),
        ("income", ".5", 0.5),
        ("rate", "-1.25", -1.25),
        ("rate", "-0", 0.0),
        ("job", " nurse ", "nurse"),
        ("region", "20", 20),
        ("region", " ", None),
    ],
)
def test_a_cell_of_a_file_is_parsed(column: str, cell: str, value: object) -> None:
    checked = check([as_text(one_row()) | {column: cell}], text=True)
    assert checked.issues == ()
    assert checked.table.row(0)[column] == value


@pytest.mark.parametrize(
    ("column", "cell", "code"),
    [
        ("age", "", "missing"),
        ("age", "forty", "not_a_number"),
        ("age", "nan", "not_a_number"),
        ("age", "NaN", "not_a_number"),
        ("income", "nan", "not_a_number"),
        ("income", "inf", "not_a_number"),
        ("income", "-Infinity", "not_a_number"),
        ("age", "1_0", "not_a_number"),
        ("age", "0x28", "not_a_number"),
        ("income", "1,5", "not_a_number"),
        ("income", "1 000", "not_a_number"),
        ("income", "1e", "not_a_number"),
        ("income", ".", "not_a_number"),
        ("income", "--1", "not_a_number"),
        ("income", "1\x00", "not_a_number"),
        ("income", SURROGATE, "not_a_number"),
        ("income", "true", "not_a_number"),
        ("income", "1e400", "out_of_range"),
        ("income", "9" * 5_000, "out_of_range"),
        ("age", "40.5", "not_a_whole_number"),
        ("job", "", "missing"),
        ("job", "NURSE", "unknown_category"),
        ("region", "20.0", "unknown_category"),
        ("region", "020", "unknown_category"),
        ("region", "-1", "unknown_category"),
    ],
)
def test_a_cell_that_cannot_be_read_is_refused(column: str, cell: str, code: str) -> None:
    checked = check([as_text(one_row()), as_text(one_row()) | {column: cell}], text=True)
    assert codes(checked) == [(2, column, code)]
    assert checked.table.rows.tolist() == [1]


def test_one_wrong_row_does_not_sink_the_list() -> None:
    checked = check([one_row(), one_row(age=7, job="king"), one_row(), one_row(rate=None)], first_row=11)
    assert codes(checked) == [(12, "age", "out_of_range"), (12, "job", "unknown_category"), (14, "rate", "missing")]
    assert checked.table.rows.tolist() == [11, 13]
    assert checked.refused == 2


def test_a_column_that_is_absent_is_missing_in_every_row() -> None:
    columns = tiny_columns(3)
    del columns["job"], columns["region"]
    checked = check_rows(CAMPAIGN, columns, None, 3, text=False)
    assert codes(checked) == [(1, "job", "missing"), (2, "job", "missing"), (3, "job", "missing")]
    assert len(checked.table) == 0


def test_columns_that_are_not_features_are_not_looked_at() -> None:
    columns = tiny_columns(4)
    surplus = columns | {"duration": [object()] * 4, "accepted": ["yes"] * 4, "x": []}
    whole, bare = (check_rows(CAMPAIGN, sent, None, 4, text=False).table for sent in (surplus, columns))
    assert set(whole.columns) == set(CAMPAIGN.feature_names)
    assert [whole.row(at) for at in range(4)] == [bare.row(at) for at in range(4)]


def test_a_marker_for_not_sent_is_missing() -> None:
    marker = object()
    checked = check_rows(CAMPAIGN, {name: [value, marker] for name, value in one_row().items()}, None, 2, text=False, missing=marker)
    assert codes(checked) == [(2, "age", "missing"), (2, "rate", "missing"), (2, "job", "missing")]


def test_no_rows_give_an_empty_table() -> None:
    checked = check_rows(CAMPAIGN, {name: [] for name in CAMPAIGN.feature_names}, [], 0, text=False)
    assert (len(checked.table), checked.issues, checked.refused) == (0, (), 0)


def test_all_values_missing_where_that_is_allowed() -> None:
    checked = check([one_row(income=None, region=None)] * 3)
    assert checked.issues == ()
    assert checked.table.values("income") == [None] * 3
    assert checked.table.values("region") == [None] * 3


def test_an_integer_beyond_float64_never_becomes_another_number() -> None:
    campaign = tiny_campaign(features=(Numeric("amount", 0, 1e30),))
    exact, lossy = 2**53, 2**53 + 1
    for values in ([lossy], [lossy, 0.5], [exact, lossy]):
        checked = check_rows(campaign, {"amount": values}, None, len(values), text=False)
        assert [issue.row for issue in checked.issues] == [values.index(lossy) + 1]
    assert check_rows(campaign, {"amount": [exact, 1e29]}, None, 2, text=False).table.values("amount") == [2.0**53, 1e29]


BAD_IDS: list[object] = [
    None,
    "",
    "x" * 129,
    "a\nb",
    "a\x00",
    "\t",
    SURROGATE,
    "\x7f",
    "\u200b",
    True,
    [],
    {},
    b"a",
    NAN,
    INF,
    HUGE,
    -HUGE,
    10**5_000,
]


@pytest.mark.parametrize("sent", BAD_IDS, ids=range(len(BAD_IDS)))
def test_an_id_that_cannot_be_kept_refuses_its_row(sent: object) -> None:
    checked = check([one_row(), one_row()], ids=["k1", sent])
    assert codes(checked) == [(2, None, "bad_id")]
    assert checked.table.ids == ("k1",)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a", "a"),
        (" 7", " 7"),
        ("é漢🙂", "é漢🙂"),
        ("x" * 128, "x" * 128),
        (7, "7"),
        (-7, "-7"),
        (7.5, "7.5"),
        ("=1+1", "=1+1"),
        (10**127, str(10**127)),
    ],
)
def test_an_id_is_kept_as_the_text_sent(sent: object, kept: str) -> None:
    checked = check([one_row()], ids=[sent])
    assert checked.issues == ()
    assert checked.table.ids == (kept,)


def test_without_ids_the_row_number_is_the_id() -> None:
    assert check([one_row()] * 2, first_row=5).table.ids == ("5", "6")


def test_no_message_repeats_what_was_sent() -> None:
    rows = [one_row(age="sekrit"), one_row(income="sekrit"), one_row(job="sekrit"), one_row(region="sekrit")]
    checked = check(rows, ids=["sekrit\n"] * 4)
    assert len(checked.issues) == 8
    assert not any("sekrit" in issue.message for issue in checked.issues)


@pytest.mark.parametrize(
    ("feature", "named"),
    [
        (Numeric("x", 0, 1_234_567, "EUR"), ["0", "1234567", "EUR", "number"]),
        (Numeric("x", -0.25, 10_000_000, integer=True), ["-0.25", "10000000", "whole"]),
        (Categorical("x", ("a", "b")), ["a", "b"]),
        (Categorical("x", (1, 2)), ["1", "2"]),
    ],
)
def test_what_is_allowed_is_said_in_full(feature: Numeric | Categorical, named: list[str]) -> None:
    assert all(part in allowed(feature) for part in named)


def test_rows_are_taken_by_mask_or_by_position() -> None:
    table = tiny_table(10)
    masked = table.take(np.arange(10) % 2 == 0)
    placed = table.take(np.array([8, 6, 4, 2, 0]))
    assert masked.ids == ("k1", "k3", "k5", "k7", "k9")
    assert placed.ids == masked.ids[::-1]
    assert [placed.row(at) for at in range(5)] == [masked.row(4 - at) for at in range(5)]
    assert len(table.take(np.zeros(10, dtype=bool))) == 0


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([HUGE, 20, "nurse", 10, 40, -0.0]),
    st.just([]),
)


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(CAMPAIGN.feature_names, anything)), max_size=6), st.booleans())
def test_a_row_is_judged_alone_as_in_any_list(rows: list[dict[str, object]], text: bool) -> None:
    together = check(rows, text=text)
    apart = [check([row], text=text, first_row=at) for at, row in enumerate(rows, start=1)]
    assert codes(together) == [issue for one in apart for issue in codes(one)]
    assert [together.table.row(at) for at in range(len(together.table))] == [one.table.row(0) for one in apart if len(one.table)]
    assert together.refused + len(together.table) == len(rows)


def fits(name: str, value: Any) -> bool:
    feature = CAMPAIGN.feature(name)
    if value is None:
        return feature.nullable
    if isinstance(feature, Categorical):
        return any(type(value) is type(v) and value == v for v in feature.values)
    number = type(value) in (int, float) and feature.low <= value <= feature.high
    return number and (not feature.integer or value == int(value))


@given(st.fixed_dictionaries(dict.fromkeys(CAMPAIGN.feature_names, anything)))
def test_exactly_the_rows_that_fit_the_declaration_are_accepted(row: dict[str, object]) -> None:
    checked = check([row])
    assert {issue.column for issue in checked.issues} == {name for name, value in row.items() if not fits(name, value)}


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8))
def test_numbers_are_kept_to_the_bit_from_json_and_from_text(numbers: list[float]) -> None:
    rows = [one_row(rate=number) for number in numbers]
    for checked in (check(rows), check([as_text(row) for row in rows], text=True)):
        kept = np.asarray(checked.table.columns["rate"], dtype=np.float64)
        assert [struct.pack("d", v) for v in kept.tolist()] == [struct.pack("d", v) for v in numbers]
