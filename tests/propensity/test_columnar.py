from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from propensity.campaign import Campaign, Categorical, Numeric
from propensity.columnar import ColumnTable, as_sent, check_arrays, read_arrow, read_parquet
from propensity.errors import Malformed, TooLarge
from propensity.schema import Checked, check_rows
from tests.builders import tiny_campaign, tiny_columns

CAMPAIGN = tiny_campaign(
    features=(
        *tiny_campaign().features,
        Categorical("weekend", ("FALSE", "TRUE"), nullable=True),
        Categorical("town", ("Köln", "Zürich am See, im Süden und sonst nirgends", "x"), nullable=True),
        Categorical("code", tuple(f"c{at}" for at in range(80)), nullable=True),
        Categorical("level", (-3, 0, 2**53 + 1, 7), nullable=True),
        Numeric("whole", low=-(2.0**60), high=2.0**60, integer=True, nullable=True),
    )
)
WANTED = frozenset({*CAMPAIGN.feature_names, "customer"})
NAN, INF = math.nan, math.inf


def stream(table: pa.Table, *, file: bool = False, compression: str | None = None, rows: int | None = None, **options: Any) -> bytes:
    sink = io.BytesIO()
    written = pa.ipc.IpcWriteOptions(compression=compression, **options)
    with (pa.ipc.new_file if file else pa.ipc.new_stream)(sink, table.schema, options=written) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue()


def parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def assert_same(one: Checked, other: Checked) -> None:
    assert one.issues == other.issues
    assert one.refused == other.refused
    assert one.table.ids == other.table.ids
    assert one.table.rows.tolist() == other.table.rows.tolist()
    for name, column in one.table.columns.items():
        assert column.dtype == other.table.columns[name].dtype
        np.testing.assert_array_equal(column, other.table.columns[name])


def assert_same_verdicts(campaign: Campaign, sent: ColumnTable) -> Checked:
    ids = sent.columns.get("customer")
    columns = {f.name: as_sent(sent.columns[f.name], f) for f in campaign.features if f.name in sent.columns}
    expected = check_rows(campaign, columns, None if ids is None else ids.tolist(), sent.n, text=False, first_row=3)
    checked = check_arrays(campaign, sent.columns, ids, sent.n, first_row=3)
    assert_same(checked, expected)
    return checked


TEXTS = st.one_of(
    st.sampled_from(
        ["clerk", "pilot", "nurse", "Köln", "x", "TRUE", "c7", "20", "", "nurse ", "nurse\0", "Zürich am See, im Süden und sonst nirgends"]
    ),
    st.text(st.characters(codec="utf-8"), max_size=20),
)
WHOLE = st.one_of(
    st.sampled_from([0, 1, 7, 10, 20, 30, 40, -3, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]), st.integers(-50, 150)
)
FLOATS = st.one_of(st.sampled_from([NAN, INF, -INF, -0.0, 20.0, 7.0, 1e308, 2.0**60]), st.floats(-100, 150), st.floats())
KINDS: list[tuple[st.SearchStrategy[Any], pa.DataType]] = [
    (TEXTS, pa.string()),
    (TEXTS, pa.large_string()),
    (TEXTS, pa.string_view()),
    (TEXTS, pa.dictionary(pa.int8(), pa.string())),
    (TEXTS, pa.dictionary(pa.uint32(), pa.large_string())),
    (WHOLE, pa.int64()),
    (WHOLE, pa.dictionary(pa.int16(), pa.int64())),
    (st.integers(0, 127), pa.int8()),
    (st.integers(0, 2**64 - 1) | st.integers(0, 60), pa.uint64()),
    (FLOATS, pa.float64()),
    (st.floats(width=32) | st.sampled_from([20.0, 30.0]), pa.float32()),
    (st.floats(width=16), pa.float16()),
    (FLOATS.filter(math.isfinite), pa.dictionary(pa.int32(), pa.float64())),
    (st.booleans(), pa.bool_()),
    (st.just(None), pa.null()),
    (st.decimals(-100, 100, places=2), pa.decimal128(9, 2)),
    (st.decimals(-100, 100, places=2), pa.decimal256(50, 2)),
]


def arrow_column(draw: Callable[[st.SearchStrategy[Any]], Any], n: int) -> pa.Array:
    values, kind = draw(st.sampled_from(KINDS))
    cells = draw(st.lists(st.none() | values if draw(st.booleans()) else values, min_size=n, max_size=n))
    if pa.types.is_dictionary(kind):
        return pa.array(cells, kind.value_type).dictionary_encode().cast(kind)
    return pa.array(np.array(cells, dtype=np.float16) if kind == pa.float16() and None not in cells else cells, kind)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_arrays_get_the_verdicts_of_rows(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 12))
    names = data.draw(st.lists(st.sampled_from(sorted(WANTED)), unique=True, min_size=1))
    table = pa.table({name: arrow_column(data.draw, n) for name in names})
    rows = data.draw(st.none() | st.integers(1, 5))
    sent = read_arrow(stream(table, file=data.draw(st.booleans()), rows=rows, emit_dictionary_deltas=data.draw(st.booleans())), WANTED)
    assert (sent.header, sent.n) == (tuple(names), n)
    for name in names:
        expected = [float(v) if isinstance(v, Decimal) else v for v in table[name].to_pylist()]
        assert repr(sent.columns[name].tolist()) == repr([float(v) if isinstance(v, np.floating) else v for v in expected])
    assert_same_verdicts(CAMPAIGN, sent)


@pytest.mark.parametrize("encode", [False, True])
@pytest.mark.parametrize("text", [pa.string(), pa.large_string(), pa.string_view()])
def test_many_rows_get_the_verdicts_of_rows(encode: bool, text: pa.DataType) -> None:
    n = 1_000
    columns = tiny_columns(n, seed=3) | {"customer": [f"k{at}" for at in range(n)], "weekend": [at % 3 == 0 for at in range(n)]}
    columns["job"][5:9] = ["Nurse", "nurse\0", "", "nurs"]
    columns["job"][9] = None
    columns["age"][7] = 17
    columns["town"] = [CAMPAIGN.feature("town").values[at % 3] for at in range(n)]  # type: ignore[union-attr]
    columns["code"] = [f"c{at % 81}" for at in range(n)]
    columns["level"] = [float(at % 8) for at in range(n)]
    table = pa.table({name: pa.array(cells, text) if isinstance(cells[0], str) else pa.array(cells) for name, cells in columns.items()})
    if encode and text != pa.string_view():
        coded = [name for name in table.column_names if table[name].type == text and name != "customer"]
        table = pa.table({name: table[name].dictionary_encode() if name in coded else table[name] for name in table.column_names})
    for rows in (None, 97):
        checked = assert_same_verdicts(CAMPAIGN, read_arrow(stream(table, rows=rows), WANTED))
        assert {issue.row - 3 for issue in checked.issues} >= {5, 6, 7, 8, 9, 80}
        assert len(checked.table) > 200
    assert_same_verdicts(CAMPAIGN, read_parquet(parquet(table.cast(_written(table.schema))), WANTED))


def _written(schema: pa.Schema) -> pa.Schema:
    return pa.schema([(f.name, pa.string() if f.type == pa.string_view() else f.type) for f in schema])


def test_what_was_not_sent_is_missing_and_a_nan_is_not() -> None:
    table = pa.table({"income": pa.array([None, NAN, 1.0], from_pandas=False), "age": pa.array([40, 41, None])})
    checked = check_arrays(CAMPAIGN, read_arrow(stream(table), WANTED).columns, None, 3)
    assert [(i.row, i.column, i.code) for i in checked.issues if i.column in ("income", "age")] == [
        (2, "income", "not_a_number"),
        (3, "age", "missing"),
    ]


def test_other_columns_are_stepped_over_whatever_their_type() -> None:
    n = 3
    table = pa.table(
        {
            "a": pa.array([[1], [2, 3], None]),
            "b": pa.array([{"x": 1, "y": ["z"]}] * n),
            "c": pa.array([[("k", 1)]] * n, pa.map_(pa.string(), pa.int64())),
            "d": pa.array([b"x", b"a long binary value", None], pa.binary_view()),
            "e": pa.array([None] * n),
            "f": pa.array([1, 2, 3], pa.timestamp("us")),
            "g": pa.array([[1, 2]] * n, pa.list_(pa.int8(), 2)),
            "h": pa.RunEndEncodedArray.from_arrays([2, 3], ["x", "y"]),
            "i": pa.UnionArray.from_sparse(pa.array([0, 1, 0], pa.int8()), [pa.array([1, 2, 3]), pa.array(["x", "y", "z"])]),
            "j": pa.UnionArray.from_dense(pa.array([0, 0, 0], pa.int8()), pa.array([0, 1, 2], pa.int32()), [pa.array([1, 2, 3])]),
            "k": pa.array([[1], [2], None], pa.list_view(pa.int64())),
            "l": pa.array(["x", "y", None]).dictionary_encode(),
            "m": pa.array([Decimal(1)] * n),
            "age": pa.array([40, 41, 42]),
        }
    )  # fmt: skip
    for data in (stream(table), stream(table, file=True)):
        sent = read_arrow(data, WANTED)
        assert sent.header == (*"abcdefghijklm", "age")
        assert (list(sent.columns), sent.columns["age"].tolist()) == (["age"], [40, 41, 42])


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int64()), pa.timestamp("s"), pa.binary(), pa.date32(), pa.struct([("x", pa.int8())])], ids=str
)
def test_a_feature_of_a_type_that_is_no_value_is_refused_by_name(kind: pa.DataType) -> None:
    data = stream(pa.table({"age": pa.array([None], kind)}))
    with pytest.raises(Malformed, match="'age' is of Arrow type"):
        read_arrow(data, WANTED)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
@pytest.mark.parametrize("file", [False, True])
def test_compressed_arrow_is_read(compression: str, file: bool) -> None:
    columns = tiny_columns(50) | {"other": list(range(50))}
    sent = read_arrow(stream(pa.table(columns), file=file, compression=compression), WANTED)
    assert sent.header == tuple(columns)
    assert {name: column.tolist() for name, column in sent.columns.items()} == {name: columns[name] for name in tiny_columns(0)}


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
def test_parquet_is_read(compression: str) -> None:
    columns = tiny_columns(50) | {"other": list(range(50)), "Spalte, ä": ["x"] * 50}
    sent = read_parquet(parquet(pa.table(columns), compression=compression, row_group_size=7), WANTED)
    assert sent.header == tuple(columns)
    assert {name: column.tolist() for name, column in sent.columns.items()} == {name: columns[name] for name in tiny_columns(0)}
    assert read_parquet(parquet(pa.table({"x": [1, 2]})), WANTED) == (("x",), {}, 2)


@pytest.mark.parametrize("write", [stream, parquet, lambda t: stream(t, compression="zstd")], ids=["arrow", "parquet", "compressed"])
def test_rows_are_limited(write: Callable[[pa.Table], bytes]) -> None:
    read = read_parquet if write is parquet else read_arrow
    assert read(write(pa.table({"age": range(100)})), WANTED, 100).n == 100
    with pytest.raises(TooLarge, match="more than 100 rows"):
        read(write(pa.table({"age": range(101)})), WANTED, 100)
    with pytest.raises(Malformed, match="'age' twice"):
        read(write(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["age", "age"])), WANTED)


def test_columns_messages_and_dictionaries_are_limited() -> None:
    with pytest.raises(TooLarge, match="1,000 columns"):
        read_arrow(stream(pa.table({f"c{at}": [1] for at in range(1_001)})), WANTED)
    with pytest.raises(TooLarge, match="parts"):
        read_arrow(stream(pa.table({"age": range(2_000)}), rows=1), WANTED)
    large = pa.DictionaryArray.from_arrays(pa.array([0]), pa.array([str(at) for at in range(200_001)]))
    with pytest.raises(TooLarge, match="200,000 entries"):
        read_arrow(stream(pa.table({"job": large})), WANTED)
    assert read_arrow(stream(pa.table({"other": large})), WANTED).n == 1
    nested: Any = pa.int8()
    for _ in range(60):
        nested = pa.list_(nested)
    with pytest.raises(Malformed, match="nested"):
        read_arrow(stream(pa.table({"x": pa.array([None], nested)})), WANTED)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"FEA1....FEA1", "version 1"),
        (b"age,job\n1,clerk\n", "not readable"),
        (stream(pa.table({"age": [1]}))[:-8], "end mark"),
        (stream(pa.table({"age": [1]}))[:-16], "not readable"),
        (b"\xff\xff\xff\xff\0\0\0\0", "no schema"),
        (parquet(pa.table({"age": [1]})), "not readable"),
    ],
)
def test_what_is_no_arrow_table_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        read_arrow(data, WANTED)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1PAR1", b"PAR1" + b"\0" * 100 + b"PAR1", b"x" * 50, stream(pa.table({"age": [1]}))])
def test_what_is_no_parquet_file_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        read_parquet(data, WANTED)


def test_ids_are_texts_or_numbers() -> None:
    campaign = replace(CAMPAIGN, features=CAMPAIGN.features[1:2])
    cases: list[tuple[list[Any], list[str]]] = [
        (["k1", "ä" * 128, "a\tb", "", None, "x" * 129], ["k1", "ä" * 128]),
        (["k1", "k1", ""], ["k1", "k1"]),
        ([1, None, 2**60], ["1", str(2**60)]),
        ([1.5, NAN, INF], ["1.5"]),
        ([True, False], []),
    ]
    for values, usable in cases:
        for column in (pa.array(values), pa.array(values).dictionary_encode()):
            checked = assert_same_verdicts(campaign, read_arrow(stream(pa.table({"customer": column})), WANTED))
            assert list(checked.table.ids) == usable
