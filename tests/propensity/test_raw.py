from __future__ import annotations

from propensity.raw import Part, RawData


def _data(n: int, *parts: Part) -> RawData:
    return RawData({"a": ["x"] * n}, True, n, {"kind": "file"}, parts)


def test_a_single_file_is_told_by_line() -> None:
    assert _data(3, Part("", 3, [2, 3, 7])).place(3) == "line 7"


def test_several_files_are_told_by_name_and_line_within() -> None:
    data = _data(5, Part("a.csv", 2, range(2, 4)), Part("b.csv", 0, range(0)), Part("c.csv", 3, range(2, 5)))
    assert [data.place(row) for row in range(1, 6)] == ["a.csv line 2", "a.csv line 3", "c.csv line 2", "c.csv line 3", "c.csv line 4"]


def test_a_file_without_lines_is_told_by_row() -> None:
    data = _data(3, Part("a.parquet", 2), Part("b.parquet", 1))
    assert [data.place(row) for row in (1, 2, 3)] == ["a.parquet row 1", "a.parquet row 2", "b.parquet row 1"]


def test_nothing_is_added_where_there_is_nothing_to_add() -> None:
    assert _data(2).place(1) == ""
    assert _data(2, Part("", 2)).place(1) == ""
    assert _data(2, Part("", 2, [2, 3])).place(0) == ""
    assert _data(2, Part("", 2, [2, 3])).place(3) == ""
