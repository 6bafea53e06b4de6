from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.adapters.object_store import FolderStore
from propensity.adapters.sources import read_source
from propensity.campaign import Calendar, Campaign, Categorical, Dates, Economics, Label, MonthsInOrder, Numeric, Quality
from propensity.campaigns import all_campaigns
from propensity.errors import DataError, QualityGateFailed
from propensity.ingest import describe, ingest, read_labelled
from propensity.raw import Part, RawData
from propensity.snapshot import list_snapshots, read_snapshot
from tests.builders import read_rows

CAMPAIGN = Campaign(
    name="tiny",
    title="Tiny",
    question="?",
    label=Label("y", "yes", "no"),
    features=(Numeric("age", low=0, high=120, integer=True), Categorical("month", ("may", "jun", "jul")), Categorical("region", (1, 2))),
    excluded=(("duration", "known only later"),),
    calendar=MonthsInOrder("month", first_month="2020-05"),
    economics=Economics(contact_cost=Decimal(1), conversion_value=Decimal(9), currency="EUR"),
    quality=Quality(min_rows=2, max_invalid_share=0.5, min_positive_share=0.1),
)


def _raw(*, text: bool = True, without: Sequence[str] = (), **changes: Sequence[object]) -> RawData:
    columns: dict[str, Sequence[object]] = {
        "age": ["30", "40", "30", "50"],
        "month": ["may", "may", "may", "jul"],
        "region": ["1", "2", "1", "2"],
        "y": ["yes", "no", "no", "yes"],
    }
    columns = {name: cells for name, cells in (columns | changes).items() if name not in without}
    n = len(next(iter(columns.values())))
    return RawData(columns, text, n, {"kind": "file", "name": "x.csv"}, (Part("", n, range(2, n + 2)),))


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def test_good_rows_become_a_snapshot(store: FolderStore) -> None:
    result = ingest(CAMPAIGN, _raw(), store)
    assert (result.created, result.issues, result.refused, dict(result.dropped), result.ignored) == (True, (), 0, {}, ())
    data = read_snapshot(store, CAMPAIGN, result.manifest.snapshot_id)
    assert data.table.values("age") == [30, 40, 30, 50]
    assert data.label.tolist() == [True, False, False, True]
    assert data.months is not None
    assert [str(m) for m in data.months] == ["2020-05"] * 3 + ["2020-07"]
    assert data.manifest.source == {"kind": "file", "name": "x.csv"}


def test_the_same_content_twice_is_one_snapshot(store: FolderStore) -> None:
    first, again = ingest(CAMPAIGN, _raw(), store), ingest(CAMPAIGN, _raw(), store)
    assert again.manifest == first.manifest
    assert not again.created
    assert len(list_snapshots(store, CAMPAIGN)) == 1


def test_text_and_typed_sources_of_the_same_content_are_the_same_snapshot(store: FolderStore) -> None:
    typed = _raw(text=False, age=[30, 40.0, 30, 50], region=[1, 2, 1, 2], y=["yes", "no", "no", "yes"])
    assert ingest(CAMPAIGN, typed, store).manifest == ingest(CAMPAIGN, _raw(), store).manifest


def test_excluded_columns_are_dropped_with_their_reason_and_never_kept(store: FolderStore) -> None:
    result = ingest(CAMPAIGN, _raw(duration=["1", "2", "3", "not even a number"]), store)
    assert result.dropped == {"duration": "known only later"}
    assert result.manifest == ingest(CAMPAIGN, _raw(), store).manifest
    assert b"duration" not in store.get(result.manifest.data_key)


def test_unknown_columns_are_ignored_or_refused_as_declared(store: FolderStore) -> None:
    raw = _raw(shoe_size=["1"] * 4)
    assert ingest(CAMPAIGN, raw, store).ignored == ("shoe_size",)
    strict = replace(CAMPAIGN, unexpected_columns="refuse")
    with pytest.raises(DataError, match="shoe_size"):
        ingest(strict, raw, store)
    with pytest.raises(DataError, match="shoe_size"):
        read_rows(strict, raw)
    ingest(strict, _raw(duration=["1"] * 4), store)


@pytest.mark.parametrize("column", ["age", "month", "region", "y"])
def test_a_missing_column_is_named(store: FolderStore, column: str) -> None:
    with pytest.raises(DataError, match=repr(column)):
        ingest(CAMPAIGN, _raw(without=[column]), store)


def test_every_missing_column_is_named(store: FolderStore) -> None:
    with pytest.raises(DataError, match=r"'age'.*'y'"):
        ingest(CAMPAIGN, _raw(without=["age", "y"]), store)


def test_wrong_rows_within_the_allowed_share_are_left_out_and_reported(store: FolderStore) -> None:
    result = ingest(CAMPAIGN, _raw(age=["30", "999", "30", "50"], y=["yes", "no", "maybe", "yes"]), store)
    assert [(issue.row, issue.column, issue.code) for issue in result.issues] == [(2, "age", "out_of_range"), (3, "y", "unknown_label")]
    assert result.refused == 2
    data = read_snapshot(store, CAMPAIGN, result.manifest.snapshot_id)
    assert data.table.rows.tolist() == [1, 4]
    assert data.label.tolist() == [True, True]


def test_one_wrong_month_is_one_issue(store: FolderStore) -> None:
    assert len(ingest(CAMPAIGN, _raw(month=["may", "mai", "jun", "jul"]), store).issues) == 1
    # "June" names a month, but the feature declares another spelling.
    assert [issue.code for issue in ingest(CAMPAIGN, _raw(month=["may", "May", "jun", "jul"]), store).issues] == ["unknown_category"]


@pytest.mark.parametrize(
    ("quality", "word"),
    [
        (Quality(min_rows=2, max_invalid_share=0.2, min_positive_share=0.1), "wrong"),
        (Quality(min_rows=4, max_invalid_share=0.5, min_positive_share=0.1), "usable rows"),
        (Quality(min_rows=2, max_invalid_share=0.5, min_positive_share=0.7), "positive"),
    ],
)
def test_a_failed_gate_stops_everything_and_writes_nothing(store: FolderStore, quality: Quality, word: str) -> None:
    raw = _raw(age=["30", "999", "30", "50"])
    with pytest.raises(QualityGateFailed, match=word) as caught:
        ingest(replace(CAMPAIGN, quality=quality), raw, store)
    assert [issue.row for issue in caught.value.issues] == [2]
    assert "line 3" in str(caught.value)
    assert list(store.keys("")) == []


def test_both_bounds_of_the_gate_are_included(store: FolderStore) -> None:
    quality = Quality(min_rows=3, max_invalid_share=0.25, min_positive_share=2 / 3)
    assert ingest(replace(CAMPAIGN, quality=quality), _raw(age=["30", "999", "30", "50"]), store).refused == 1


def test_a_failed_gate_names_ten_rows_and_holds_all(store: FolderStore) -> None:
    n = 40
    raw = _raw(age=["secret"] * n, month=["may"] * n, region=["7"] * n, y=["perhaps"] * n)
    with pytest.raises(QualityGateFailed) as caught:
        ingest(CAMPAIGN, raw, store)
    assert len(caught.value.issues) == 3 * n
    assert "110 more" in str(caught.value)
    assert not any(word in str(caught.value) for word in ("secret", "perhaps"))
    assert [issue.row for issue in caught.value.issues] == sorted(issue.row for issue in caught.value.issues)


def test_a_description_tells_the_file_of_each_row() -> None:
    raw = replace(_raw(), parts=(Part("a.csv", 2, [2, 3]), Part("b.csv", 2, [2, 3])))
    issues = read_labelled(CAMPAIGN, replace(raw, columns={**raw.columns, "age": ["1", "2", "3", "x"]})).issues
    assert "row 4 (b.csv line 3), age" in describe(issues, raw)


def test_a_missing_label_is_an_issue(store: FolderStore) -> None:
    codes = [issue.code for issue in ingest(CAMPAIGN, _raw(y=["yes", "", "no", "yes"]), store).issues]
    assert codes == ["missing"]


@pytest.mark.parametrize(
    ("label", "cells"),
    [
        (Label("y", "TRUE", "FALSE"), [True, False, False, True]),
        (Label("y", "1", "0"), [1, 0, 0, 1]),
        (Label("y", "1", "0"), [1.0, 0.0, 0.0, 1.0]),
        (Label("y", "yes", "no"), [" yes", "no ", "no", "yes"]),
    ],
)
def test_labels_of_typed_sources_are_read_as_declared(label: Label, cells: list[object]) -> None:
    raw = _raw(text=False, age=[30, 40, 30, 50], region=[1, 2, 1, 2], y=cells)
    assert read_labelled(replace(CAMPAIGN, label=label), raw).label.tolist() == [True, False, False, True]


@pytest.mark.parametrize("cells", [[True, None, 2, "True"], ["YES", "Yes", "1", "no!"]])
def test_other_labels_are_issues(cells: list[object]) -> None:
    raw = _raw(text=False, age=[30, 40, 30, 50], region=[1, 2, 1, 2], y=cells)
    assert {issue.row for issue in read_labelled(CAMPAIGN, raw).issues} == {1, 2, 3, 4}


def test_declared_ids_are_kept_and_a_second_use_is_an_issue(store: FolderStore) -> None:
    campaign = replace(CAMPAIGN, id_column="customer")
    result = ingest(campaign, _raw(customer=["a", "b", "a", "c"]), store)
    assert [(issue.row, issue.code) for issue in result.issues] == [(3, "duplicate_id")]
    assert read_snapshot(store, campaign, result.manifest.snapshot_id).table.ids == ("a", "b", "c")
    with pytest.raises(DataError, match="customer"):
        ingest(campaign, _raw(), store)


def test_a_column_named_id_is_the_id_where_nothing_else_is_declared() -> None:
    assert read_labelled(CAMPAIGN, _raw(id=["7", "8", "9", "10"])).table.ids == ("7", "8", "9", "10")
    assert read_rows(CAMPAIGN, _raw(id=["7", "8", "9", "10"])).ignored == ()
    excluded = replace(CAMPAIGN, excluded=(("id", "says nothing"),))
    assert all(name.startswith("c-") for name in read_labelled(excluded, _raw(id=["7", "8", "9", "10"])).table.ids)


def test_derived_ids_are_unique_also_among_equal_rows() -> None:
    ids = read_labelled(CAMPAIGN, _raw()).table.ids
    assert len(set(ids)) == 4
    assert all(len(name) == 18 and name.startswith("c-") for name in ids)


def _ids(rows: list[tuple[int, int]]) -> list[str]:
    raw = RawData({"age": [a for a, _ in rows], "month": ["may"] * len(rows), "region": [r for _, r in rows]}, False, len(rows), {})
    return list(read_rows(CAMPAIGN, raw).table.ids)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 2)), min_size=1, max_size=20), st.integers(0, 20))
@settings(deadline=None)
def test_inserting_another_row_does_not_change_the_ids(rows: list[tuple[int, int]], at: int) -> None:
    ids = _ids(rows)
    assert len(set(ids)) == len(ids)
    at = min(at, len(rows))
    with_another = _ids([*rows[:at], (99, 1), *rows[at:]])
    assert [*with_another[:at], *with_another[at + 1 :]] == ids


def test_ids_do_not_depend_on_label_column_order_wrong_rows_or_later_features() -> None:
    ids = read_labelled(CAMPAIGN, _raw()).table.ids
    assert read_rows(CAMPAIGN, _raw(without=["y"])).table.ids == ids
    assert read_labelled(replace(CAMPAIGN, features=CAMPAIGN.features[::-1]), _raw()).table.ids == ids
    assert read_labelled(CAMPAIGN, _raw(age=["30", "x", "30", "50"])).table.ids == (ids[0], ids[2], ids[3])


def test_a_date_that_is_no_feature_makes_rows_differ() -> None:
    campaign = replace(CAMPAIGN, calendar=Dates("day"))
    columns = {"age": ["1", "1"], "month": ["may", "may"], "region": ["1", "1"], "y": ["no", "no"]}
    one = read_labelled(campaign, RawData({**columns, "day": ["2024-01-01", "2024-01-02"]}, True, 2, {}))
    swapped = read_labelled(campaign, RawData({**columns, "day": ["2024-01-02", "2024-01-01"]}, True, 2, {}))
    assert one.table.ids == swapped.table.ids[::-1]
    assert one.months is not None
    assert [str(m) for m in one.months] == ["2024-01", "2024-01"]


def test_rows_to_score_need_neither_label_nor_order() -> None:
    rows = read_rows(CAMPAIGN, _raw(without=["y"], month=["jul", "may", "jun", "may"]))
    assert len(rows.table) == 4
    assert read_rows(CAMPAIGN, _raw(y=["?", "", "", "no"])).issues == ()
    # The same customer may be on a list twice; scoring both is not wrong.
    assert read_rows(replace(CAMPAIGN, id_column="c"), _raw(c=["a", "a", "b", "b"])).table.ids == ("a", "a", "b", "b")
    with pytest.raises(DataError, match="age"):
        read_rows(CAMPAIGN, _raw(without=["age"]))


def test_rows_to_score_that_are_wrong_do_not_sink_the_others() -> None:
    rows = read_rows(CAMPAIGN, _raw(region=["1", "3", "", "2"]))
    assert [issue.row for issue in rows.issues] == [2, 3]
    assert (rows.table.rows.tolist(), rows.refused) == ([1, 4], 2)


def test_an_unordered_history_is_refused(store: FolderStore) -> None:
    with pytest.raises(DataError, match="2020-05"):
        ingest(CAMPAIGN, _raw(month=["jul", "may", "jun", "may"]), store)
    assert list(store.keys("")) == []


@pytest.mark.parametrize("calendar", [None, Dates("day")])
def test_a_calendar_is_needed_only_where_declared(store: FolderStore, calendar: Calendar | None) -> None:
    campaign = replace(CAMPAIGN, calendar=calendar)
    if calendar is None:
        assert ingest(campaign, _raw(), store).manifest.first_month is None
    else:
        with pytest.raises(DataError, match="'day'"):
            ingest(campaign, _raw(), store)


@pytest.mark.real_data
@pytest.mark.skipif("PROPENSITY_DATA_DIR" not in os.environ, reason="PROPENSITY_DATA_DIR is not set: no real data")
@pytest.mark.parametrize(
    ("name", "rows", "positives", "first", "last", "dropped"),
    [
        ("term-deposit", 41_188, 4_640, "2008-05", "2010-11", "duration"),
        ("purchase-propensity", 12_330, 1_908, "2017-02", "2017-12", "PageValues"),
    ],
)
def test_the_real_files_are_ingested(store: FolderStore, name: str, rows: int, positives: int, first: str, last: str, dropped: str) -> None:
    campaign = all_campaigns()[name]
    raw = read_source("public", campaign, data_dir=Path(os.environ["PROPENSITY_DATA_DIR"]))
    result = ingest(campaign, raw, store)
    manifest = result.manifest
    assert (manifest.rows, manifest.positives, manifest.first_month, manifest.last_month) == (rows, positives, first, last)
    assert (result.issues, result.ignored, list(result.dropped)) == ((), (), [dropped])
    again = ingest(campaign, raw, store)
    assert again.manifest == manifest
    assert not again.created
    data = read_snapshot(store, campaign, manifest.snapshot_id)
    assert len(set(data.table.ids)) == rows
    assert data.label.sum() == positives
    scored = read_rows(campaign, raw)
    assert scored.table.ids == data.table.ids
    for feature in campaign.feature_names:
        assert np.array_equal(scored.table.columns[feature], data.table.columns[feature])
        texts = [str(cell) for cell in raw.columns[feature]]
        if feature in {f.name for f in campaign.numeric}:
            assert [float(cell) for cell in texts] == data.table.columns[feature].tolist()
        else:
            assert texts == [str(value) for value in data.table.values(feature)]
