from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propensity import outcome_files
from propensity.campaigns import campaign
from propensity.errors import DataError, Malformed, PropensityError, UnsupportedMedia
from propensity.outcome_files import Part, open_outcomes
from propensity.outcomes import form
from propensity.ports import Outcome

CAMPAIGN = campaign("term-deposit")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOW = form(CAMPAIGN, NOW)
ROWS = [("c1", "yes", "2026-02-01T10:00:00Z"), ("c;2", "no", ""), ("ü3", "yes", "2026-02-03")]
OUTCOMES = [
    Outcome(True, datetime(2026, 2, 1, 10, tzinfo=UTC), customer_id="c1"),
    Outcome(False, None, customer_id="c;2"),
    Outcome(True, datetime(2026, 2, 3, 23, 59, 59, 999_999, tzinfo=UTC), customer_id="ü3"),
]


def parts(path: Path) -> list[Part]:
    scratch = path.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    with open_outcomes(path, CAMPAIGN, HOW, scratch) as file:
        found = list(file.parts(HOW))
        assert sum(part.rows for part in found) == file.rows
    assert not list(scratch.iterdir())
    return found


def text(delimiter: str, end: str, header: tuple[str, ...] = ("customer_id", "label", "observed_at")) -> str:
    rows = [header, *(tuple(f'"{cell}"' if delimiter in cell else cell for cell in row) for row in ROWS)]
    return "".join(delimiter.join(row) + end for row in rows)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_dialect_is_read_alike(tmp_path: Path, delimiter: str, encoding: str, end: str) -> None:
    path = tmp_path / "outcomes.csv"
    path.write_bytes(text(delimiter, end).encode(encoding))
    (part,) = parts(path)
    assert part.outcomes == OUTCOMES
    assert not part.issues


def test_a_file_whose_encoding_is_not_certain_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.csv"
    path.write_bytes(text(";", "\r\n").encode("cp1252"))
    with pytest.raises(Malformed, match="UTF-8"):
        parts(path)


def test_a_file_is_read_under_the_campaigns_own_names_and_other_columns_are_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.csv"
    path.write_text("branch,id,y,age\nx,c1,yes,77\nx,c2,no,ancient\n", encoding="utf-8")
    (part,) = parts(path)
    assert part.outcomes == [Outcome(True, None, customer_id="c1"), Outcome(False, None, customer_id="c2")]


def test_parquet_knows_types(tmp_path: Path) -> None:
    moment = datetime(2026, 2, 1, 10, tzinfo=UTC)
    columns: dict[str, Any] = {
        "customer_id": pa.array(["a", "b", "c", None]),
        "label": pa.array([True, None, False, True]),
        "observed_at": pa.array([moment, moment, None, moment], pa.timestamp("us", "Europe/Lisbon")),
        "contacted_at": pa.array([date(2026, 1, 31), None, None, None]),
        "correction": pa.array([None, True, False, None], pa.bool_()),
    }
    path = tmp_path / "outcomes.parquet"
    pq.write_table(pa.table(columns), path)
    (part,) = parts(path)
    contact = datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert part.outcomes == [
        Outcome(True, moment, customer_id="a", contacted_at=contact),
        Outcome(None, moment, customer_id="b", correction=True),
        Outcome(False, None, customer_id="c"),
    ]
    assert [(issue.row, issue.code) for issue in part.issues] == [(4, "missing")]
    pq.write_table(pa.table({"customer_id": ["a"], "label": [True], "observed_at": pa.array([moment], pa.timestamp("us"))}), path)
    assert [issue.code for issue in parts(path)[0].issues] == ["not_a_time"]


def test_wrong_rows_are_told_by_number_and_never_by_value(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.csv"
    path.write_text(
        "customer_id,label,observed_at\nc1,yes,\nSECRET,maybe,\nc3,no,SECRET\nc4,no\nc5,no,2027-01-01\n,yes,\n", encoding="utf-8"
    )
    (part,) = parts(path)
    assert [outcome.customer_id for outcome in part.outcomes] == ["c1"]
    assert [(issue.row, issue.column, issue.code) for issue in part.issues] == [
        (2, "label", "unknown_category"),
        (3, "observed_at", "not_a_time"),
        (4, None, "wrong_cell_count"),
        (5, "observed_at", "out_of_range"),
        (6, None, "missing"),
    ]
    assert "SECRET" not in str(part.issues)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.csv", b"", DataError),
        ("a.csv", b"customer_id,label\n", DataError),
        ("a.csv", b"customer_id,shoe\nc1,4\n", DataError),
        ("a.csv", b"label,shoe\nyes,4\n", DataError),
        ("a.csv", b"customer_id,id,label\na,a,yes\n", DataError),
        ("a.csv", b"shoe\n4\n", Malformed),
        ("a.csv", b'customer_id,label\n"c1,yes\n', Malformed),
        ("a.csv", b"customer_id,label\nc\x00,yes\n", Malformed),
        ("a.parquet", b"PAR1", Malformed),
        ("a.xlsx", b"x", UnsupportedMedia),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_a_sentence(
    tmp_path: Path, name: str, content: bytes, error: type[PropensityError]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(error, match=name.replace(".", r"\.")):
        parts(path)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_parts_are_cut_the_same_whatever_is_wrong_in_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(outcome_files, "PART_ROWS", 40)
    path = tmp_path / f"a.{kind}"
    names = [f"c{at}" for at in range(100)]
    labels = ["?" if at == 41 else "yes" for at in range(100)]
    if kind == "csv":
        path.write_text("customer_id,label\n" + "".join(f"{n},{v}\n" for n, v in zip(names, labels, strict=True)), encoding="utf-8")
    else:
        pq.write_table(pa.table({"customer_id": names, "label": labels}), path, row_group_size=30)
    found = parts(path)
    assert [part.number for part in found] == list(range(len(found)))
    assert [outcome.customer_id for part in found for outcome in part.outcomes] == [name for name in names if name != "c41"]
    assert [issue.row for part in found for issue in part.issues] == [42]
