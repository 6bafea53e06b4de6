from __future__ import annotations

import csv
import io
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.csv_rows import parse
from propensity.csv_text import CsvTable, read_csv
from propensity.errors import Malformed, TooLarge
from tests.builders import tiny_campaign

CAMPAIGN = tiny_campaign()
NAMES = (*CAMPAIGN.feature_names, "customer")
ROWS = [
    ["30", "1200.5", "-1.25", "clerk", "10", "Jürgen Müller"],
    ["41", "", "0.5", "pilot", "", "Käthe; 2, \"the\" b|c\td"],
    ["18", "99999.125", "5", "farmer", "30", "André"],
    ["77", "0", "-5", "nurse", "20", "line\nbreak"],
]  # fmt: skip
PLAIN = [[cell.translate(str.maketrans(';,|\t"\n', "......")) for cell in row] for row in ROWS]
ENCODINGS = {"utf-8": b"", "utf-8-sig": b"", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff", "cp1252": b""}


def read(data: bytes, **options: Any) -> CsvTable:
    return read_csv(data, frozenset(NAMES), CAMPAIGN.numeric, **options)


def written(rows: list[list[str]], delimiter: str = ",", quoting: Any = csv.QUOTE_MINIMAL, end: str = "\r\n") -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter, quoting=quoting, lineterminator=end, quotechar='"').writerows(rows)
    return buffer.getvalue()


def cells(table: CsvTable) -> list[list[str]]:
    assert not table.faults
    return [list(row) for row in zip(*(table.columns[name] for name in NAMES), strict=True)]


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC, csv.QUOTE_NONE])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_whatever_a_spreadsheet_writes_is_read_the_same(delimiter: str, encoding: str, quoting: int) -> None:
    """240 variants: 4 delimiters, 4 quotings, 5 encodings, 3 line ends; each also below ``sep=`` and with lines left empty at the end."""
    for end, stated, tail in product(["\n", "\r\n", "\r"], [False, True], ["", "{0}{0}", "{1}{0}{1}{0}"]):
        rows = PLAIN if quoting == csv.QUOTE_NONE else [[cell.replace("\n", end) for cell in row] for row in ROWS]
        text = written([list(NAMES), *rows], delimiter, quoting, end)
        empty = tail.format(end, delimiter * (len(NAMES) - 1))
        text = (f"sep={delimiter}{end}" if stated else "") + text + empty
        table = read(ENCODINGS[encoding] + text.encode(encoding))
        assert cells(table) == rows
        assert (table.n, table.header, table.delimiter) == (4, NAMES, delimiter)
        assert list(table.lines) == [at + stated for at in (2, 3, 4, 5)]


def test_delimiters_too_many_on_every_line_are_left_out() -> None:
    text = "".join(";".join(row) + ";;;\r\n" for row in [list(NAMES), *PLAIN])
    assert cells(read(text.encode())) == PLAIN
    more = read((text + "50;1;1;clerk;10;k9;;x;\r\n50;1;1;clerk;10;k9\r\n").encode())
    assert {at: fault.code for at, fault in more.faults.items()} == {4: "wrong_cell_count", 5: "wrong_cell_count"}


def test_a_row_of_another_width_is_a_fault_of_that_row_alone() -> None:
    for quote in ("", '"'):
        text = f"age,job,customer\n30,clerk,{quote}k1{quote}\n31,clerk\n\n32,clerk,k3,\n33,pilot,k4\n"
        table = read(text.encode())
        assert {at: (fault.column, fault.code) for at, fault in table.faults.items()} == dict.fromkeys((1, 2), (None, "wrong_cell_count"))
        assert [table.columns["customer"][at] for at in (0, 3)] == ["k1", "k4"]
        assert list(table.lines) == [2, 3, 5, 6]


def test_columns_not_known_are_named_but_not_kept() -> None:
    table = read(b",age,notes,job\n0,30,x,clerk\n")
    assert (table.header, dict(table.columns)) == (("", "age", "notes", "job"), {"age": ["30"], "job": ["clerk"]})


@pytest.mark.parametrize("data", [b"", b"\n\r\n", b"\xef\xbb\xbf", b"age,job\n", b"sep=;\r\nage;job\r\n;\r\n"])
def test_a_file_without_rows_has_none(data: bytes) -> None:
    assert read(data).n == 0


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"Age,Job\n1,clerk\n", "must name the columns"),
        (b"1;2;3\n1;2;3\n", "must name the columns"),
        (b"age;x,job\n1;x,clerk\n", "more than one delimiter"),
        (b"sep=;\nage,job\n1,clerk\n", "states the delimiter"),
        (b"age,job,age\n1,clerk,2\n", "twice"),
        (b"age,x,x\n1,clerk,2\n", "column 3"),
        (b"age\n1;2\n", "sep="),
        (b'age,job\n1,"open\n2,clerk\n', "line 2"),
        (b'age,job\n1,clerk\n2,"a"b\n', "line 3"),
        (b'"age,job\n1,2\n', "must name the columns"),
        (b"age,job\n1,\x00\n", "line 2: the text holds a NUL"),
        ("age,job\n1,clerk\n".encode("utf-16-le"), "byte order mark"),
        ("age,job\n1,ä\n".encode("utf-16-be"), "byte order mark"),
        ("age,job\n1,clerk\n".encode("utf-32"), "UTF-32"),
        (b"\xff\xfea", "utf-16-le"),
        (b"\xef\xbb\xbfage,job\n1,\xff\n", "line 2"),
        (b"age,job\n1," + b"x" * 200_000, "line 2"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(data: bytes, says: str) -> None:
    with pytest.raises(Malformed, match=says) as caught:
        read(data)
    assert "clerk" not in str(caught.value)


@pytest.mark.parametrize("quote", ["", '"'])
def test_limits(quote: str) -> None:
    text = f"age,job\n{quote}1{quote},clerk\n" + "1,clerk\n" * 9
    assert read(text.encode(), max_rows=10).n == 10
    assert read((text + ",\n" * 50).encode(), max_rows=10).n == 10
    for more in ("1,clerk\n", "\n1,clerk\n", "1\n", ",\n1,clerk\n"):
        with pytest.raises(TooLarge, match="10 rows"):
            read((text + more).encode(), max_rows=10)
    with pytest.raises(TooLarge):
        read((text + "\n" * 500 + "1,clerk\n").encode(), max_rows=10)
    with pytest.raises(TooLarge, match="columns"):
        read(b"age" + b"," * 1_000 + b"\n1")
    wide = text + "1" + "," * 5_000 + "\n"
    assert list(read(wide.encode()).faults) == [10]
    with pytest.raises(TooLarge, match="cells"):
        read((f"age,job\n{quote or chr(34)}1{chr(34)},clerk\n" + "," * 500_000 + "x").encode())


# Letters of one code page are other letters of another one.
def test_a_code_page_is_taken_only_where_every_possible_reading_agrees() -> None:
    def file(word: str, page: str) -> bytes:
        return f"age,customer\n30,{word}\n".encode(page)

    for word in ("Müller", "André", "Größe", "Köln", "MÜNCHEN"):
        assert read(file(word, "cp1252")).columns["customer"] == [word]
        assert read(file(word, "utf-8")).columns["customer"] == [word]
    refused = [
        *[("Niño", "cp1252"), ("Zoë", "cp1252"), ("Ä", "cp1252"), ("€", "cp1252"), ("Dvořák", "cp1250"), ("Łódź", "cp1250")],
        *[("Москва", "cp1251"), ("Ж", "cp1251"), ("Αθήνα", "cp1253"), ("Yıldız", "cp1254"), ("Rīga", "cp1257")],
        *[("Straße", "cp850"), ("Köln", "cp850"), ("Köln", "mac-roman"), ("Weiß", "cp437")],
        *[("東京", "shift-jis"), ("北京", "gbk"), ("서울", "euc-kr")],
    ]
    for word, page in refused:
        with pytest.raises(Malformed, match=r"charset=windows-1252") as caught:
            read(file(word, page))
        assert word not in str(caught.value)
    for word, page in refused:
        if page not in ("shift-jis", "gbk", "euc-kr"):
            assert read(file(word, page), encoding=page).columns["customer"] == [word]


@pytest.mark.parametrize("declared", ["latin-1", "Windows-1252", "utf-8", "UTF-16", "utf-16-le"])
def test_a_declared_encoding_is_used(declared: str) -> None:
    text = "age,customer\n30,Niño\n"
    assert read(text.encode(declared), encoding=declared).columns["customer"] == ["Niño"]


@pytest.mark.parametrize("declared", ["rot13", "zip", "unicode_escape", "utf-7", "idna", "punycode", "x" * 99, "", "undefined", "a\0b"])
def test_other_encodings_are_not_on_offer(declared: str) -> None:
    with pytest.raises(Malformed, match="encoding"):
        read(b"age,customer\n30,x\n", encoding=declared)


@pytest.mark.parametrize(
    ("data", "declared"),
    [("ä".encode("cp1252"), "utf-8"), (b"\xef\xbb\xbfage", "cp1252"), (b"\xff\xfea\0", "utf-8"), (b"age", "utf-16"), (b"\x81", "cp1252")],
)
def test_a_wrong_declaration_is_refused(data: bytes, declared: str) -> None:
    with pytest.raises(Malformed, match=r"declare|is not"):
        read(data, encoding=declared)


ANY_WORD = st.text(st.characters(codec="utf-8", exclude_characters="\x00\ufeff"), max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_table_in_any_dialect_is_read_back_or_refused_by_name(data: st.DataObject) -> None:
    encoding = data.draw(st.sampled_from(list(ENCODINGS)))
    delimiter = data.draw(st.sampled_from(",;\t|"))
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    quoting = data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    # Before Python 3.13 the writer leaves line ends other than its own without quotes.
    word = ANY_WORD if quoting == csv.QUOTE_ALL else ANY_WORD.map(lambda text: text.replace("\r", "").replace("\n", end))
    rows = data.draw(st.lists(st.tuples(word, word, st.just("x")), min_size=1, max_size=8))
    text = written([["customer", "job", "notes"], *map(list, rows)], delimiter, quoting, end)
    if data.draw(st.booleans()):
        text = f"sep={delimiter}{end}{text}"
    try:
        body = text.encode(encoding)
    except UnicodeEncodeError:
        return
    try:
        table = read(ENCODINGS[encoding] + body)
    except Malformed as refusal:
        if encoding == "cp1252" and "cp1252" in str(refusal):
            return
        raise  # An encoding that states itself is never refused.
    if encoding == "cp1252" and body.decode("utf-8", "ignore").encode() == body:
        return  # The very bytes of a text in UTF-8.
    assert (table.columns["customer"], table.columns["job"]) == ([row[0] for row in rows], [row[1] for row in rows])


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200), st.text(st.sampled_from('age,job;"\n\r\t|123. '), max_size=60).map(lambda t: f"age,job\n{t}".encode())
    )
)
def test_whatever_arrives_is_read_or_refused(data: bytes) -> None:
    try:
        table = read(data)
    except (Malformed, TooLarge):
        return
    assert all(len(column) == table.n == len(table.lines) for column in table.columns.values())


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab,\n\r "), max_size=60))
def test_a_text_without_quotes_is_split_as_the_standard_reader_splits_it(text: str) -> None:
    plain, quoted = (parse(f"a,b{end}\n{text}", ",", (0, 1), 2) for end in ("", '"'))
    assert (plain.columns, plain.lines, plain.faults) == (quoted.columns, quoted.lines, quoted.faults)


def test_hostile_texts_of_megabytes_are_done_with_soon() -> None:
    """Each of these took over ten seconds, or a hundred megabytes, before the reader knew them."""
    words = b"".join(b" ,%06d\xfcx\n" % at for at in range(60_000)).translate(bytes.maketrans(b"0123456789", b"abcdefghij"))
    for data in (b"age,customer\n" + words, b"age,customer\n1," + b"\xfca" * 2_000_000):
        with pytest.raises(Malformed, match="charset="):
            read(data)
    with pytest.raises(Malformed, match="line 2"):
        read(b"age,customer\n" + b'"' * 4_000_000)
    assert read(b"age,customer\n" + b'"",""\n' * 600_000, max_rows=20_000).n == 0
    for mark in (b",", b";", b"\t", b"|"):
        with pytest.raises(TooLarge, match="more cells"):
            read(b"age,customer\n" + mark * 4_000_000)
    assert read(b'age,customer\n1,"a\n"\n"",""\n\n').columns["customer"] == ["a\n"]
    assert read(b'age,customer\n1,"a""\n""\n"\n"",\n').columns["customer"] == ['a"\n"\n']
