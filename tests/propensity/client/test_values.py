"""What can be sent, and how it arrives: as plain JSON values, or not at all."""

from __future__ import annotations

import enum
import json
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.client import NotSendable
from propensity.client.values import rows_of


class Job(enum.StrEnum):
    ADMIN = "admin."


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (float("nan"), None),
        (np.float32("nan"), None),
        (Decimal("nan"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (None, None),
        (np.int64(7), 7),
        (np.uint8(7), 7),
        (np.float64(0.1), 0.1),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(3), 3),
        (Decimal("12.50"), 12.5),
        (True, True),
        (2**60, 2**60),
        (Job.ADMIN, "admin."),
        ("", ""),
    ],
    ids=repr,
)
def test_a_value_arrives_as_what_it_means(given: Any, sent: Any) -> None:
    (row,) = rows_of([{"a": given}])
    assert json.loads(json.dumps(row, allow_nan=False)) == {"a": sent}
    assert type(row["a"]) in (str, int, float, bool, type(None))
    assert type(row["a"]) is type(sent)


@pytest.mark.parametrize(
    "given",
    [
        date(2026, 1, 31),
        datetime(2026, 1, 31, tzinfo=UTC),
        time(12, 0),
        timedelta(days=4711),
        pd.Timestamp("2026-01-31"),
        pd.Timedelta(days=4711),
        pd.Period("2026-01"),
        np.datetime64("2026-01-31"),
        np.datetime64("2026-01-31T00:00:00", "ns"),
        np.timedelta64(4711, "ns"),
        math.inf,
        -math.inf,
        np.float32("inf"),
        Decimal("Infinity"),
        b"4711",
        [4711],
        {"a": 4711},
        np.array([4711]),
        4711j,
        object(),
    ],
    ids=lambda value: type(value).__name__ if type(value) is object else repr(value),
)
def test_what_cannot_be_sent_is_named_by_row_and_column_and_not_quoted(given: Any) -> None:
    with pytest.raises(NotSendable, match="row 2, age:") as refusal:
        rows_of([{"age": 1}, {"age": given}])
    assert "4711" not in str(refusal.value)
    assert "2026" not in str(refusal.value)
    with pytest.raises(NotSendable, match="row 2, age:"):
        rows_of(pd.DataFrame({"age": pd.Series([None, given], dtype=object)}))


def test_a_frame_arrives_row_by_row_with_each_dtype_as_it_means() -> None:
    frame = pd.DataFrame(
        {
            "id": ["c1", "c2"],
            "whole": np.array([1, 2], dtype=np.int32),
            "real": [0.1, np.nan],
            "nullable": pd.array([5, None], dtype="Int64"),
            "flag": pd.array([True, None], dtype="boolean"),
            "text": pd.array(["a", None], dtype="string"),
            "kind": pd.Categorical(["x", None]),
            "mixed": np.array([1, "b"], dtype=object),
        },
        index=[7, 7],
    )
    assert rows_of(frame) == [
        {"id": "c1", "whole": 1, "real": 0.1, "nullable": 5, "flag": True, "text": "a", "kind": "x", "mixed": 1},
        {"id": "c2", "whole": 2, "real": None, "nullable": None, "flag": None, "text": None, "kind": None, "mixed": "b"},
    ]
    assert rows_of(frame.iloc[:0]) == []


def test_a_date_column_is_refused() -> None:
    with pytest.raises(NotSendable, match="since: dates"):
        rows_of(pd.DataFrame({"since": pd.to_datetime(["2026-01-31", "2026-02-01"])}))


@pytest.mark.parametrize("given", [{"id": 1}, "id", b"id", 7, None, ["id"], [["id"]], [{1: 2}], [None]], ids=repr)
def test_what_is_no_list_of_rows_is_refused(given: Any) -> None:
    with pytest.raises(NotSendable):
        rows_of(given)


def test_a_frame_with_ambiguous_columns_is_refused() -> None:
    with pytest.raises(NotSendable, match="same name"):
        rows_of(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(NotSendable, match="text as its name"):
        rows_of(pd.DataFrame([[1, 2]]))


def test_rows_may_come_from_a_generator_and_are_not_changed() -> None:
    given: list[dict[str, Any]] = [{"a": np.int64(1)}, {"a": float("nan")}]
    assert rows_of(row for row in given) == [{"a": 1}, {"a": None}]
    assert type(given[0]["a"]) is np.int64
