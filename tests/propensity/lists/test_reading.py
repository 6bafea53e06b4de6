"""A list read in blocks means what the same file means when it is read whole, whatever the blocks."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from propensity.adapters.tabular import read_table
from propensity.campaign import Campaign, Categorical, Numeric
from propensity.csv_text import read_csv
from propensity.errors import DataError, Malformed, RowIssue, TooLarge, UnsupportedMedia
from propensity.ingest import with_derived_ids
from propensity.lists import csv_block_rows, csv_file
from propensity.lists.chunks import Piece, joined, with_ids
from propensity.lists.files import open_list
from propensity.raw import RawData
from propensity.schema import Checked, check_rows
from tests.builders import read_rows, tiny_campaign

CAMPAIGN = tiny_campaign(
    features=(
        Numeric("age", low=18, high=100, integer=True),
        Numeric("income", low=-1_000, high=1_000_000, nullable=True),
        Categorical("job", ("clerk", "farmer", "Müller; Söhne", "two\nlines")),
        Categorical("region", (10, 20), nullable=True),
    )
)
KNOWN = frozenset({*CAMPAIGN.feature_names, "customer", "asked_on"})


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few rows, and Arrow for all of them, so that small files show what large ones would."""
    monkeypatch.setattr(csv_file, "_LEAST_BLOCK", 60)
    monkeypatch.setattr(csv_file, "CHUNK_ROWS", 1)
    monkeypatch.setattr(csv_file, "_SAMPLE_BYTES", 30)
    monkeypatch.setattr(csv_block_rows, "_FEW_ROWS", 1)


def in_blocks(data: bytes, folder: Path, campaign: Campaign = CAMPAIGN) -> Piece:
    path = folder / "list.csv"
    path.write_bytes(data)
    return joined([chunk.check() for chunk in with_ids(open_list(path, campaign, folder), campaign)])


def as_whole(data: bytes, campaign: Campaign = CAMPAIGN) -> Checked:
    """What `read_csv` and `check_rows` make of it, with an id for every row."""
    table = read_csv(data, KNOWN, campaign.numeric, subject="list.csv")
    if not table.n:
        raise DataError("no rows")
    ids = table.columns.get("customer")
    checked = check_rows(campaign, table.columns, ids, table.n, text=True)
    faults = {at: RowIssue(at + 1, *fault) for at, fault in table.faults.items()}
    issues = [issue for issue in checked.issues if issue.row - 1 not in faults] + list(faults.values())
    bad = [row in {issue.row for issue in issues} for row in checked.table.rows.tolist()]
    kept = checked.table.take(~np.array(bad, dtype=np.bool_))
    if ids is None:
        kept = with_derived_ids(kept, table.columns.get("asked_on"))
    return Checked(kept, tuple(sorted(issues, key=lambda issue: issue.row)), table.n - len(kept))


def assert_same(piece: Piece, whole: Checked) -> None:
    assert list(piece.issues) == list(whole.issues)
    assert (piece.refused, piece.rows.tolist()) == (whole.refused, whole.table.rows.tolist())
    assert piece.ids is not None
    assert piece.ids.to_pylist() == list(whole.table.ids)
    for name, column in whole.table.columns.items():
        assert column.dtype == piece.columns[name].dtype
        assert column.tobytes() == piece.columns[name].tobytes(), name


def outcome(read: Any) -> Any:
    """What was read, or the sentence with which it was refused."""
    try:
        return read()
    except (Malformed, TooLarge) as exc:
        return type(exc), str(exc)
    except DataError:
        return DataError


def compare(data: bytes, folder: Path) -> None:
    whole, piece = outcome(lambda: as_whole(data)), outcome(lambda: in_blocks(data, folder))
    if isinstance(whole, Checked) and isinstance(piece, Piece):
        assert_same(piece, whole)
    else:
        assert piece == whole


NUMBERS = (
    *("30", " 30 ", "30.0", "+30", "3e1", "30.", "031", "-30", "", "  ", "nan", "NaN", "inf", "-inf", "Infinity", "1e999", "x", "3 0"),
    *(
        "17",
        "101",
        "30.5",
        "0x1e",
        "1_0",
        "30,0",
        "30,5",
        "1.234",
        "1,234",
        "1.234.567",
        "1,234,567.8",
        "1.234,5",
        ".5",
        ",5",
        "٣٠",
        "\u00a030",
    ),
    *("--30", "+-30", "++30", "30e", "e5", ".", "-", "1e-400", "0.1", "30f", "30%", "N/A", "NULL", "null", "#N/A", "true", "5e-324"),
    *("123456789012345678901234567890", "72.123456789012345678", "\t30", "30\x0b", "\x1f30", "１２", "1e5\u2009"),
)
WORDS = (
    "clerk",
    " clerk",
    "clerk ",
    "farmer",
    "Clerk",
    "",
    " ",
    "Müller; Söhne",
    "two\nlines",
    "NULL",
    "nan",
    "x,y",
    'say "hi"',
    "clerk\u00a0",
)
CODES = ("10", "20", " 20", "20.0", "30", "", "010", "ten")
IDS = ("k1", "K 2", "=1+1", "", " ", "ü", "a\tb", "x" * 128, "x" * 129, "日本", "a\u200bb", "7", "1.5", "id,with;marks", 'q"q')


def cells(good: Sequence[str], wild: Sequence[str], odds: int) -> st.SearchStrategy[str]:
    return st.integers(0, odds).flatmap(lambda n: st.sampled_from(wild if n == 0 else good))


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A file as some program might write it, with now and then a cell, a row or a byte that none would."""
    delimiter = draw(st.sampled_from(",;\t|"))
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    quoting: Any = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    odds = draw(st.sampled_from([3, 30, 1_000]))
    decimal = draw(st.sampled_from([("30.5", "12.75", "99"), ("30,5", "12,75", "99"), ("1.234", "99"), ("12", "99")]))
    rows = draw(
        st.lists(
            st.tuples(
                cells(("30", "45", "61"), NUMBERS, odds),
                cells(decimal, NUMBERS, odds),
                cells(("clerk", "farmer"), WORDS, odds),
                cells(("10", "20", ""), CODES, odds),
                cells(("k1", "k2", "k3"), IDS, odds),
            ),
            min_size=0,
            max_size=40,
        )
    )
    names = ["age", "income", "job", "region", "customer"]
    if draw(st.booleans()):
        names[3] = "notes"
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([names, *rows])
    written = text.getvalue()
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(written)))
        written = (
            written[:at]
            + draw(st.sampled_from(['"', delimiter, end, "\r", end + end, '""', "\0", '"x', end + delimiter * 4 + end]))
            + written[at:]
        )
    written += draw(st.sampled_from(["", "", end, delimiter * 4 + end, (delimiter * 4 + end) * 5]))
    if draw(st.integers(0, 5)) == 0:
        written = f"sep={delimiter}{end}" + written
    return written.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252"])), "replace")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files())
def test_blocks_and_the_whole_file_mean_the_same(tmp_path: Path, data: bytes) -> None:
    compare(data, tmp_path)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("others", ["30.5", "30,5", "30"])
@pytest.mark.parametrize("delimiter", [";", ","])
def test_each_number_is_read_alike_among_others(number: str, others: str, delimiter: str, tmp_path: Path) -> None:
    """Every spelling, in a file that writes decimals in one way or another: the same value to the bit, or the same refusal."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    rows = [["30", others, "clerk", "10", f"k{at}"] for at in range(9)]
    rows[4][1] = number
    rows[7][0] = number
    writer.writerows([["age", "income", "job", "region", "customer"], *rows])
    compare(text.getvalue().encode(), tmp_path)


def test_arrow_reads_what_is_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the comparisons above would compare our own reader with itself."""
    monkeypatch.setattr(csv_block_rows, "_carefully", lambda *_: pytest.fail("the careful reader was asked"))
    for text in ("30;1.5;clerk;10;k1\n 45 ;;farmer;;k 2\n", '"30";"1.5";"two\nlines";"10";"say ""k"""\r\n101;2;"Müller; Söhne";99;k3\r\n'):
        for end in ("", ";;;;\n"):
            piece = in_blocks(f"age;income;job;region;customer\n{text}{end}".encode(), tmp_path)
            assert piece.received == 2


def parquet_in_chunks(table: pa.Table, folder: Path, **options: Any) -> Piece:
    path = folder / "list.parquet"
    pq.write_table(table, path, **options)
    return joined([chunk.check() for chunk in open_list(path, CAMPAIGN, folder).chunks()])


NUMBERS_OF_TYPES = (
    pa.array([30, 17, None, 99], pa.int8()),
    pa.array([30, 2**60, 3, 99], pa.uint64()),
    pa.array([30.5, float("nan"), float("inf"), None]),
    pa.array([30.5, float("nan"), 2.0, None], pa.float32()),
    pa.array([Decimal("30.10"), None, Decimal("1234567.89"), Decimal("-5")]),
    pa.array([True, False, None, True]),
    pa.array(["30", "x", None, ""]),
    pa.array(["30", "40", None, "30"]).dictionary_encode(),
    pa.nulls(4),
    pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * 4),
    pa.array([b"30", None, b"x", b""]),
    pa.array([[1], None, [], [2]]),
)
CATEGORIES_OF_TYPES = (
    pa.array(["clerk", "Clerk", None, " clerk"]),
    pa.array(["clerk", "farmer", None, "clerk"], pa.large_string()).dictionary_encode(),
    pa.array([10, 20, None, 30]),
    pa.array([10.0, 20.0, float("nan"), 10.5]),
    pa.array([Decimal("10"), Decimal("20.00"), None, Decimal("10.5")]),
    pa.array([True, False, None, True]),
    pa.nulls(4),
    pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * 4),
)


@pytest.mark.parametrize("number", NUMBERS_OF_TYPES, ids=lambda array: str(array.type))
@pytest.mark.parametrize("category", CATEGORIES_OF_TYPES, ids=lambda array: str(array.type))
def test_parquet_of_any_type_is_checked_as_its_values_are(number: pa.Array, category: pa.Array, tmp_path: Path) -> None:
    """By column in chunks, or value by value of the whole file: the same rows, issues and bits."""
    ids = pa.array(["k1", "", "x" * 129, "k4"])
    columns = {"customer": ids, "age": pa.array([30, 31, 32, 33]), "income": number, "job": category, "region": category}
    table = pa.table(columns)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    read = read_table(sink.getvalue(), "list.parquet", CAMPAIGN)
    raw = read_rows(CAMPAIGN, RawData(read.columns, read.text, read.n, {}))
    for options in ({}, {"row_group_size": 1}, {"row_group_size": 3, "use_dictionary": False}):
        assert_same(parquet_in_chunks(table, tmp_path, **options), Checked(raw.table, raw.issues, raw.refused))


@pytest.mark.parametrize(
    "ids", [pa.array([1, 2, None, 4]), pa.array([1, -2, 3, 4]), pa.array([1.5, 2.0, float("nan"), 1e300]), pa.nulls(4)]
)
def test_ids_of_any_type_are_told_as_their_values_are(ids: list[Any], tmp_path: Path) -> None:
    table = pa.table({"customer": pa.array(ids), "age": [30] * 4, "income": [1.0] * 4, "job": ["clerk"] * 4, "region": [10] * 4})
    values: dict[str, Any] = {name: table.column(name).to_pylist() for name in table.column_names}
    checked = check_rows(CAMPAIGN, values, values["customer"], 4, text=False)
    assert_same(parquet_in_chunks(table, tmp_path), checked)


def test_a_parquet_file_of_texts_is_read_as_texts(tmp_path: Path) -> None:
    texts: dict[str, Any] = {
        "customer": ["a", "b"],
        "age": [" 30", "x"],
        "income": ["", "1e3"],
        "job": ["clerk ", "clerk"],
        "region": ["10", None],
    }
    checked = check_rows(CAMPAIGN, texts, texts["customer"], 2, text=True)
    assert_same(parquet_in_chunks(pa.table(texts), tmp_path), checked)


@pytest.mark.parametrize("name", ["x.parquet", "x.csv"])
@pytest.mark.parametrize("data", [b"", b"age", b"PAR1xxxxPAR1", b"\xff\xfe\x00\x00a", b"age,income,job,region,customer\n", b"\n\n"])
def test_what_is_no_list_is_refused_in_a_sentence(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError):
        open_list(tmp_path / name, CAMPAIGN, tmp_path)


def test_other_endings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.xlsx").write_bytes(b"x")
    with pytest.raises(UnsupportedMedia):
        open_list(tmp_path / "x.xlsx", CAMPAIGN, tmp_path)


def test_blocks_are_a_function_of_the_content_alone(tmp_path: Path) -> None:
    data = b"age,income,job,region,customer\n" + b"".join(b"30,1,clerk,10,k%d\n" % at for at in range(500))
    (tmp_path / "a.csv").write_bytes(data)
    first = csv_file.CsvList(CAMPAIGN, tmp_path / "a.csv", "a.csv", tmp_path / "copy")
    assert len(first.blocks) > 50
    assert csv_file.CsvList(CAMPAIGN, tmp_path / "a.csv", "a.csv", tmp_path / "copy").blocks == first.blocks
    assert sum(block.rows for block in first.blocks) == 500
    assert [block.first_row for block in first.blocks[1:]] == [block.first_row + block.rows for block in first.blocks[:-1]]
