"""What is understood of a file, and what a mapping makes of it: proposals for names that differ, never a silent guess."""

from __future__ import annotations

import csv
import io

import pytest

from propensity.campaigns import campaign
from propensity.errors import DataError, Malformed
from propensity.list_columns import agreed, propose, understand
from propensity.synthetic import generate
from tests.api.models import make_campaign

DEPOSIT = campaign("term-deposit")
RENAMED = {
    "job": "Job title",
    "marital": "MaritalStatus",
    "age": "Customer age",
    "emp.var.rate": "Emp var rate",
    "day_of_week": "DAY OF WEEK",
}


def file_of(rows: int = 5, delimiter: str = ",", decimal: str = ".", names: dict[str, str] | None = None, encoding: str = "utf-8") -> bytes:
    raw = generate(DEPOSIT, rows, 3)
    columns = list(DEPOSIT.feature_names)
    text = io.StringIO()
    lines = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    lines.writerow([(names or {}).get(name, name) for name in columns])
    for row in zip(*(raw.columns[name] for name in columns), strict=True):
        lines.writerow([str(cell).replace(".", decimal) if isinstance(cell, float) else cell for cell in row])
    return text.getvalue().encode(encoding)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_is_understood_whoever_wrote_it(delimiter: str, encoding: str) -> None:
    decimal = "," if delimiter != "," else "."
    found = understand(DEPOSIT, file_of(7, delimiter, decimal, encoding=encoding))
    assert (found.delimiter, found.decimal, found.rows, found.missing, found.sure) == (delimiter, decimal, 7, (), True)
    assert found.marked is (encoding != "utf-8")


def test_other_names_are_proposed_and_nothing_is_sure() -> None:
    found = understand(DEPOSIT, file_of(names=RENAMED))
    targets = {column.name: column.target for column in found.columns}
    assert {targets[theirs]: theirs for theirs in RENAMED.values()} == RENAMED
    assert not found.sure
    assert found.missing == ()


@pytest.mark.parametrize("name", ["Jobless since", "branch", "y", "duration", "xyz"])
def test_what_is_not_like_anything_is_not_taken(name: str) -> None:
    assert propose(DEPOSIT, [name])[0] in ("", "job") if name.startswith("Job") else propose(DEPOSIT, [name]) == ("",)


def test_no_column_is_taken_twice_and_exact_names_come_first() -> None:
    assert propose(DEPOSIT, ["Job title", "job"]) == ("", "job")
    assert sorted(propose(DEPOSIT, ["Job title", "Job name"])) == ["", "job"]


def test_the_label_and_excluded_columns_say_why_they_are_not_used() -> None:
    data = file_of().replace(b"age,", b"y,duration,age,", 1)
    data = data.replace(b"\r\n", b"\r\nno,5,", 1)
    columns = {column.name: column for column in understand(DEPOSIT, data).columns}
    assert columns["duration"].why_not
    assert columns["y"].why_not
    assert not columns["y"].target


def test_what_was_agreed_stands_in_the_first_line_and_rows_keep_their_numbers() -> None:
    data = b"sep=;\r\n\r\n" + file_of(delimiter=";", decimal=",", names=RENAMED)
    found = understand(DEPOSIT, data)
    mapping = {at: column.target for at, column in enumerate(found.columns) if column.target}
    made = agreed(DEPOSIT, data, [column.name for column in found.columns], mapping)
    assert made == data.replace(
        ";".join(RENAMED.get(n, n) for n in DEPOSIT.feature_names).encode(), ";".join(DEPOSIT.feature_names).encode()
    )
    assert understand(DEPOSIT, made).sure


def test_a_column_put_aside_does_not_come_back_by_its_name() -> None:
    data = file_of().replace(b"age,", b"Years,age,", 1).replace(b"\r\n", b"\r\n44,", 1)
    found = understand(DEPOSIT, data)
    names = [column.name for column in found.columns]
    mapping = {at: name for at, name in enumerate(names) if name in DEPOSIT.feature_names and name != "age"} | {0: "age"}
    header = agreed(DEPOSIT, data, names, mapping).split(b"\r\n")[0].decode().split(",")
    assert header[:2] == ["age", "age (not used)"]


@pytest.mark.parametrize(
    ("change", "told"),
    [({0: "job"}, "two columns"), ({0: ""}, "no column of the file is taken for 'age'"), ({0: "duration"}, "the campaign declares")],
)
def test_a_mapping_that_cannot_be_scored_is_refused(change: dict[int, str], told: str) -> None:
    data = file_of()
    names = list(DEPOSIT.feature_names)
    mapping = {at: name for at, name in (dict(enumerate(names)) | change).items() if name}
    with pytest.raises(DataError, match=told):
        agreed(DEPOSIT, data, names, mapping)


def test_an_id_column_is_found_under_its_usual_names() -> None:
    small = make_campaign()
    assert propose(small, ["Customer ID", "Age", "income", "segment", "region"])[0] == "customer_no"


@pytest.mark.parametrize(
    ("data", "error", "told"),
    [
        (b"a,b\r\n1,2\r\n", Malformed, "must name the columns"),
        (b"", DataError, "empty"),
        (b"age,job\r\n", DataError, "no rows"),
        (b"age,age\r\n1,2\r\n", Malformed, "twice"),
        (b"age;job,marital\r\n1,2\r\n", Malformed, "more than one separator"),
    ],
)
def test_what_cannot_be_understood_is_told(data: bytes, error: type[DataError], told: str) -> None:
    with pytest.raises(error, match=told):
        understand(DEPOSIT, data)
