from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.adapters.object_store import FolderStore
from propensity.campaign import Campaign, Categorical, Economics, Label, MonthsOfYear, Numeric
from propensity.errors import DataError, NotFound
from propensity.months import MonthArray
from propensity.schema import Table
from propensity.snapshot import (
    BoolArray,
    Manifest,
    find_or_write,
    latest,
    list_snapshots,
    read_manifest,
    read_snapshot,
    refuse_excluded,
    write_snapshot,
)
from propensity.snapshot_content import content_of, content_sha256
from tests.builders import MemoryStore

CAMPAIGN = Campaign(
    name="tiny",
    title="Tiny",
    question="?",
    label=Label("hit", "1", "0"),
    features=(
        Numeric("age", low=0, high=120, integer=True, nullable=True),
        Numeric("rate", low=-10, high=10, nullable=True),
        Categorical("month", ("jan", "feb"), nullable=True),
        Categorical("region", (1, 2, 30)),
        Categorical("mixed", ("a", 1)),
    ),
    excluded=(("duration", "known only later"),),
    calendar=MonthsOfYear("month", year=2020),
    economics=Economics(contact_cost=Decimal(1), conversion_value=Decimal(9), currency="EUR"),
)
SOURCE = {"kind": "file", "name": "x.csv"}


Rows = tuple[Table, BoolArray, MonthArray | None]


def _rows(campaign: Campaign = CAMPAIGN) -> Rows:
    columns = {
        "age": np.array([40, np.nan, 0, 120], dtype=np.float64),
        "rate": np.array([0.1, 1 / 3, np.nan, -0.0]),
        "month": np.array([0, 1, -1, 1], dtype=np.int16),
        "region": np.array([2, 0, 1, 2], dtype=np.int16),
        "mixed": np.array([0, 1, 1, 0], dtype=np.int16),
    }
    table = Table(campaign, ("c-1", "ü", "3", "x" * 128), np.array([1, 2, 5, 6]), columns)
    return table, np.array([True, False, False, True]), np.array(["2020-01", "2020-02", "2020-02", "2020-02"], dtype="datetime64[M]")


def _same(left: Table, right: Table) -> None:
    assert left.ids == right.ids
    assert left.rows.tolist() == right.rows.tolist()
    for name, column in left.columns.items():
        assert column.dtype == right.columns[name].dtype
        np.testing.assert_array_equal(column, right.columns[name])


def test_what_is_written_is_read() -> None:
    store, (table, label, months) = MemoryStore(), _rows()
    manifest = write_snapshot(store, table, label, months, SOURCE)
    data = read_snapshot(store, CAMPAIGN, manifest.snapshot_id)
    _same(data.table, table)
    assert data.label.tolist() == label.tolist()
    assert data.label.dtype == np.bool_
    assert data.months is not None
    assert months is not None
    assert data.months.tolist() == months.tolist()
    assert data.months.dtype == months.dtype
    assert np.signbit(data.table.columns["rate"][3])
    assert data.manifest == manifest
    assert (manifest.rows, manifest.positives, manifest.first_month, manifest.last_month) == (4, 2, "2020-01", "2020-02")
    assert manifest.declaration_digest == CAMPAIGN.digest()
    assert manifest.source == SOURCE


def test_the_manifest_is_written_last_and_makes_the_snapshot_exist() -> None:
    store, rows = MemoryStore(), _rows()
    manifest = write_snapshot(store, *rows, SOURCE)
    assert store.puts == [manifest.data_key, manifest.manifest_key]
    del store.objects[manifest.manifest_key]
    assert list_snapshots(store, CAMPAIGN) == []
    with pytest.raises(NotFound):
        read_snapshot(store, CAMPAIGN, manifest.snapshot_id)


def test_the_same_content_is_the_same_snapshot_and_nothing_is_rewritten() -> None:
    store = MemoryStore()
    first, created = find_or_write(store, *_rows(), SOURCE)
    again, created_again = find_or_write(store, *_rows(), {"kind": "sql", "name": "elsewhere"})
    assert (created, created_again) == (True, False)
    assert again == first
    assert len(store.puts) == 2


def test_every_part_of_the_content_changes_the_id() -> None:
    table, label, months = _rows()
    assert months is not None

    def digest(table: Table = table, label: BoolArray = label, months: MonthArray | None = months) -> str:
        return content_sha256(content_of(table, label, months))

    def with_column(name: str, at: int, value: float) -> Table:
        column = table.columns[name].copy()
        column[at] = value
        return replace(table, columns={**table.columns, name: column})

    other_category = replace(CAMPAIGN, features=(*CAMPAIGN.features[:-1], Categorical("mixed", ("a", 1, "new"))))
    variants = [
        digest(),
        digest(replace(table, ids=("c-1", "ü", "4", "x" * 128))),
        digest(replace(table, rows=np.array([1, 2, 5, 7]))),
        digest(with_column("rate", 0, float(np.nextafter(0.1, 1)))),
        digest(with_column("rate", 3, 0.0)),
        digest(with_column("age", 1, 0)),
        digest(with_column("month", 2, 0)),
        digest(label=~label),
        digest(months=months + 1),
        digest(months=None),
        digest(replace(table, campaign=other_category)),
        digest(replace(table, campaign=replace(CAMPAIGN, name="other"))),
        digest(replace(table, ids=("c-1ü", "", "3", "x" * 128))),
    ]
    assert len(set(variants)) == len(variants)


def test_what_is_no_content_does_not_change_the_id() -> None:
    table, label, months = _rows()
    other_nan = table.columns["rate"].copy()
    other_nan.view(np.uint64)[2] = 0x7FF8000000000001
    same = replace(table, columns={**table.columns, "rate": other_nan})
    assert content_sha256(content_of(same, label, months)) == content_sha256(content_of(table, label, months))
    dearer = replace(CAMPAIGN, economics=Economics(contact_cost=Decimal(2), conversion_value=Decimal(9), currency="EUR"))
    assert content_sha256(content_of(replace(table, campaign=dearer), label, months)) == content_sha256(content_of(table, label, months))


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_rows_come_back_to_the_last_bit(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 8))

    def column(values: st.SearchStrategy[float], kind: type) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array(data.draw(st.lists(values, min_size=n, max_size=n)), dtype=kind)

    columns = {
        "age": column(st.integers(0, 120) | st.just(np.nan), np.float64),
        "rate": column(st.floats(-10, 10) | st.just(np.nan), np.float64),
        "month": column(st.integers(-1, 1), np.int16),
        "region": column(st.integers(0, 2), np.int16),
        "mixed": column(st.integers(0, 1), np.int16),
    }
    ids = tuple(data.draw(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=5), min_size=n, max_size=n)))
    table = Table(CAMPAIGN, ids, np.arange(1, n + 1), columns)
    label, months = np.zeros(n, dtype=bool), np.full(n, np.datetime64("2020-03", "M"))
    store = MemoryStore()
    read = read_snapshot(store, CAMPAIGN, write_snapshot(store, table, label, months, SOURCE).snapshot_id)
    _same(read.table, table)
    assert read.table.columns["rate"].tobytes() == columns["rate"].tobytes() or np.isnan(columns["rate"]).any()


def test_other_programs_can_read_the_file(tmp_path: object) -> None:
    store = FolderStore(str(tmp_path))
    manifest = write_snapshot(store, *_rows(), SOURCE)
    frame = pq.read_table(store.root / manifest.data_key).to_pydict()
    assert list(frame) == ["__id", "__row", "age", "rate", "month", "region", "mixed", "__label", "__month"]
    assert frame["age"] == [40, None, 0, 120]
    assert frame["month"] == ["jan", "feb", None, "feb"]
    assert frame["region"] == [30, 1, 2, 30]
    assert frame["mixed"] == ["a", "1", "1", "a"]
    assert json.loads(store.get(manifest.manifest_key))["snapshot_id"] == manifest.snapshot_id


def test_damage_is_noticed() -> None:
    store = MemoryStore()
    table, label, months = _rows()
    manifest = write_snapshot(store, table, label, months, SOURCE)
    other = MemoryStore()
    others = write_snapshot(other, table, ~label, months, SOURCE)
    good = dict(store.objects)
    damaged = {
        "cut off": {manifest.data_key: good[manifest.data_key][:-20]},
        "empty": {manifest.data_key: b""},
        "other rows": {manifest.data_key: other.objects[others.data_key]},
        "other manifest": {manifest.manifest_key: other.objects[others.manifest_key]},
        "no manifest": {manifest.manifest_key: b"{"},
        "a list": {manifest.manifest_key: b"[]"},
        "other digest": {manifest.manifest_key: replace(manifest, content_sha256="0" * 64).to_json()},
        "later format": {manifest.manifest_key: replace(manifest, format=99).to_json()},
    }
    for how, change in damaged.items():
        store.objects = good | change
        with pytest.raises(DataError) as caught:
            read_snapshot(store, CAMPAIGN, manifest.snapshot_id)
        assert not isinstance(caught.value, NotFound), how
    store.objects = {manifest.manifest_key: good[manifest.manifest_key]}
    with pytest.raises(DataError, match="missing"):
        read_snapshot(store, CAMPAIGN, manifest.snapshot_id)


def test_any_flipped_byte_of_the_rows_is_noticed_or_harmless() -> None:
    store, (table, label, months) = MemoryStore(), _rows()
    manifest = write_snapshot(store, table, label, months, SOURCE)
    good = store.objects[manifest.data_key]
    noticed = 0
    for at in range(0, len(good), 7):
        store.objects[manifest.data_key] = good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :]
        try:
            _same(read_snapshot(store, CAMPAIGN, manifest.snapshot_id).table, table)
        except DataError:
            noticed += 1
    assert noticed > 10


def test_a_snapshot_outlives_a_wider_declaration_and_is_refused_by_a_narrower_one() -> None:
    store = MemoryStore()
    table, label, months = _rows()
    manifest = write_snapshot(store, table, label, months, SOURCE)
    age, rate = CAMPAIGN.numeric
    month, region, mixed = CAMPAIGN.categorical
    wider = replace(
        CAMPAIGN, features=(mixed, Categorical("month", ("mar", "feb", "jan"), nullable=True), replace(age, high=150), region, rate)
    )
    read = read_snapshot(store, wider, manifest.snapshot_id).table
    assert [read.values(name) for name in CAMPAIGN.feature_names] == [table.values(name) for name in CAMPAIGN.feature_names]
    for narrower in (
        (age, rate, Categorical("month", ("jan", "mar"), nullable=True), region, mixed),
        (replace(age, high=100), rate, month, region, mixed),
        (replace(age, nullable=False), rate, month, region, mixed),
        (age, replace(rate, integer=True), month, region, mixed),
        (age, rate, month, region, mixed, Numeric("new", low=0, high=1)),
        (Categorical("age", ("a", "b"), nullable=True), rate, month, region, mixed),
    ):
        with pytest.raises(DataError, match="ingest"):
            read_snapshot(store, replace(CAMPAIGN, features=narrower), manifest.snapshot_id)


def test_snapshots_are_listed_by_age_and_the_latest_is_last() -> None:
    store = MemoryStore()
    table, label, months = _rows()
    with pytest.raises(NotFound):
        latest(store, CAMPAIGN)
    first = write_snapshot(store, table, label, months, SOURCE)
    second = write_snapshot(store, table.take(np.array([0, 1])), label[:2], None if months is None else months[:2], SOURCE)
    store.put("snapshots/tiny/readme.txt", b"not a snapshot")
    assert [m.snapshot_id for m in list_snapshots(store, CAMPAIGN)] == [first.snapshot_id, second.snapshot_id]
    assert latest(store, CAMPAIGN) == second
    assert read_manifest(store, CAMPAIGN, first.snapshot_id) == first
    other = replace(CAMPAIGN, name="tiny-two")
    assert list_snapshots(store, other) == []
    with pytest.raises(NotFound):
        read_manifest(store, other, first.snapshot_id)


def test_created_at_does_not_influence_the_id() -> None:
    manifests = [write_snapshot(MemoryStore(), *_rows(), SOURCE) for _ in range(2)]
    assert manifests[0].snapshot_id == manifests[1].snapshot_id
    assert Manifest.from_json(manifests[0].to_json()) == manifests[0]


def test_a_campaign_without_a_calendar_has_no_months() -> None:
    store = MemoryStore()
    campaign = replace(CAMPAIGN, calendar=None)
    table, label, _ = _rows(campaign)
    manifest = write_snapshot(store, table, label, None, SOURCE)
    assert (manifest.first_month, manifest.last_month) == (None, None)
    assert read_snapshot(store, campaign, manifest.snapshot_id).months is None


def test_excluded_columns_are_refused_in_training_data() -> None:
    refuse_excluded(CAMPAIGN, ["age", "rate"])
    for columns in (["age", "duration"], ["Duration "]):
        with pytest.raises(DataError, match="known only later"):
            refuse_excluded(CAMPAIGN, columns)
    table, label, months = _rows()
    with pytest.raises(DataError, match="duration"):
        write_snapshot(MemoryStore(), replace(table, columns={**table.columns, "duration": np.zeros(4)}), label, months, SOURCE)


def test_rows_that_do_not_fit_together_are_refused() -> None:
    table, label, months = _rows()
    assert months is not None
    for wrong_label, wrong_months in ((label[:2], months), (label, months[:2]), (label, np.array(["NaT"] * 4, dtype="datetime64[M]"))):
        with pytest.raises(DataError):
            write_snapshot(MemoryStore(), table, wrong_label, wrong_months, SOURCE)


def test_a_feature_with_a_reserved_name_is_refused() -> None:
    campaign = replace(CAMPAIGN, features=(Numeric("__row", low=0, high=1),), calendar=None)
    table = Table(campaign, ("a",), np.array([1]), {"__row": np.array([0.5])})
    with pytest.raises(DataError, match="__row"):
        write_snapshot(MemoryStore(), table, np.array([True]), None, SOURCE)
