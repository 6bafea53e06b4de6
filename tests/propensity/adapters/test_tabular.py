from __future__ import annotations

import csv
import io
from dataclasses import replace
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.adapters.tabular import read_table
from propensity.campaign import Campaign, Categorical, Economics, Label, Numeric, Source
from propensity.errors import DataError, Malformed, UnsupportedMedia

CAMPAIGN = Campaign(
    name="tiny",
    title="Tiny",
    question="?",
    label=Label("y", "yes", "no"),
    features=(
        Numeric("age", low=0, high=120),
        Categorical("job", ("a", "b")),
        Categorical("flag", ("FALSE", "TRUE")),
        Categorical("code", (1, 2)),
    ),
    economics=Economics(contact_cost=Decimal(1), conversion_value=Decimal(9), currency="EUR"),
)


def _declared(delimiter: str, encoding: str = "utf-8") -> Campaign:
    return replace(CAMPAIGN, source=Source(file="x.csv", sha256="0" * 64, delimiter=delimiter, encoding=encoding))


def test_a_csv_is_read_as_text_with_the_line_of_each_row() -> None:
    table = read_table(b"age,job\r\n 1,a\r\n2,b\r\n", "x.csv", CAMPAIGN)
    assert table.columns == {"age": [" 1", "2"], "job": ["a", "b"]}
    assert (table.text, table.n, list(table.lines or ())) == (True, 2, [2, 3])


def test_quotes_delimiters_in_cells_and_line_breaks_in_cells() -> None:
    table = read_table(b'"age";"job"\n"1";"x ""y""; z"\n2;"two\nlines"\n3;c\n', "x.csv", _declared(";"))
    assert table.columns == {"age": ["1", "2", "3"], "job": ['x "y"; z', "two\nlines", "c"]}
    assert list(table.lines or ()) == [2, 3, 5]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n\n"])
def test_line_ends_and_byte_order_marks_make_no_difference(newline: str, bom: bytes, end: str) -> None:
    text = "age,job\n1,a\n2,ü" + end
    assert read_table(bom + text.replace("\n", newline).encode(), "x.csv", CAMPAIGN).columns == {"age": ["1", "2"], "job": ["a", "ü"]}


def test_the_declared_encoding_is_used() -> None:
    assert read_table("age,job\n1,ü\n".encode("cp1252"), "x.csv", _declared(",", "cp1252")).columns["job"] == ["ü"]
    with pytest.raises(Malformed, match=r"line 2.*utf-8"):
        read_table("age,job\n1,ü\n".encode("cp1252"), "x.csv", CAMPAIGN)
    with pytest.raises(Malformed):
        read_table("age,job\n1,a\n".encode("utf-16"), "x.csv", CAMPAIGN)


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("declared", [",", ";", "\t", "|"])
@pytest.mark.parametrize("used", [",", ";", "\t", "|"])
def test_a_wrong_delimiter_is_named_with_the_declared_one(declared: str, used: str, quote: str) -> None:
    data = "\n".join(used.join(f"{quote}{cell}{quote}" for cell in row) for row in (("age", "job"), ("1", "a"))).encode()
    if declared == used:
        assert read_table(data, "x.csv", _declared(declared)).n == 1
        return
    with pytest.raises(Malformed) as caught:
        read_table(data, "x.csv", _declared(declared))
    assert repr(declared) in str(caught.value)
    assert repr(used) in str(caught.value)


def test_a_row_of_another_width_is_named_by_line() -> None:
    for wrong in (b"3", b"3,c,d", b""):
        with pytest.raises(Malformed, match="line 3") as caught:
            read_table(b"age,job\n1,secret\n" + wrong + b"\n4,d\n", "x.csv", CAMPAIGN)
        assert "secret" not in str(caught.value)


def test_repeated_and_empty_column_names_are_refused() -> None:
    with pytest.raises(Malformed, match="'age'"):
        read_table(b"age,job,age\n1,a,2\n", "x.csv", CAMPAIGN)
    # Without a header the "names" are a customer's values.
    with pytest.raises(Malformed, match="column 3") as caught:
        read_table(b"secret,x,secret\n1,a,2\n", "x.csv", CAMPAIGN)
    assert "secret" not in str(caught.value)
    with pytest.raises(Malformed, match="column 2"):
        read_table(b"age,,job\n1,a,2\n", "x.csv", CAMPAIGN)


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf", b"age,job\n", b"age,job"])
def test_an_empty_file_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match=r"empty|no rows"):
        read_table(data, "x.csv", CAMPAIGN)


@pytest.mark.parametrize("data", [b'age,job\n1,"open\n2,b\n', b'age,job\n1,"a"b\n', b"age,job\n1," + b"x" * 200_000])
def test_broken_quoting_is_told_by_line(data: bytes) -> None:
    with pytest.raises(Malformed, match="line 2"):
        read_table(data, "x.csv", CAMPAIGN)


@pytest.mark.parametrize("name", ["x.xlsx", "x", "x.csv.gz", "csv", ".csv"])
def test_other_endings_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedMedia):
        read_table(b"age,job\n1,a\n", name, CAMPAIGN)


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6), min_size=2, max_size=2),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(",;|\t"),
    st.sampled_from(["\n", "\r\n"]),
)
def test_whatever_a_csv_writer_writes_is_read_back(rows: list[list[str]], delimiter: str, end: str) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["age", "job"], *rows])
    table = read_table(buffer.getvalue().encode(), "x.csv", _declared(delimiter))
    assert list(zip(table.columns["age"], table.columns["job"], strict=True)) == [tuple(row) for row in rows]


def _parquet(**columns: pa.Array) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def test_a_typed_parquet_file_is_read_in_the_terms_of_the_declaration() -> None:
    data = _parquet(
        age=pa.array([Decimal("1.5"), None, Decimal("3")]),
        job=pa.array(["a", "b", None]).dictionary_encode(),
        flag=pa.array([True, False, None]),
        code=pa.array([1.0, float("nan"), 2.0]),
        y=pa.array([True, False, True]),
    )
    table = read_table(data, "x.parquet", CAMPAIGN)
    assert table.columns == {
        "age": [1.5, None, 3.0],
        "job": ["a", "b", None],
        "flag": ["TRUE", "FALSE", None],
        "code": [1, None, 2],
        "y": [True, False, True],
    }
    assert (table.text, table.n, table.lines) == (False, 3, None)


def test_a_parquet_file_of_texts_is_parsed_as_text() -> None:
    assert read_table(_parquet(age=pa.array(["1", None]), job=pa.array(["a", "b"])), "x.PARQUET", CAMPAIGN).text


def test_what_a_type_does_not_fit_is_left_for_the_validation() -> None:
    columns = read_table(
        _parquet(age=pa.array([True, False]), job=pa.array([1, 2]), code=pa.array([1.5, 7.0])), "x.parquet", CAMPAIGN
    ).columns
    assert columns == {"age": [True, False], "job": [1, 2], "code": [1.5, 7.0]}


@pytest.mark.parametrize("data", [b"PAR1", b"not parquet at all", b"PAR1" + b"\x00" * 100 + b"PAR1"])
def test_a_damaged_parquet_file_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        read_table(data, "x.parquet", CAMPAIGN)


def test_a_parquet_file_without_rows_is_refused() -> None:
    with pytest.raises(DataError, match="no rows"):
        read_table(_parquet(age=pa.array([], pa.float64())), "x.parquet", CAMPAIGN)
