from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.callsheet import safe_cell
from propensity.columnar import read_arrow, read_parquet
from propensity.csv_text import read_csv
from propensity.errors import RowIssue
from propensity.list_writers import Coded, Values, write_arrow, write_csv, write_ndjson, write_parquet
from tests.propensity.test_callsheet import PAYLOADS, cells, runs

SUMMARY = {"request_id": "r", "counts": {"received": 3, "scored": 2, "refused": 1}, "errors": [{"row": 2, "message": "ä"}]}
ISSUES = (
    RowIssue(2, "age", "missing", "is missing; it must be a number"),
    RowIssue(2, None, "bad_id", "=HYPERLINK"),
    RowIssue(9, "@x", "unknown_category", "must be one of a, b"),
)


def columns(scores: list[float] | None = None) -> dict[str, np.ndarray[Any, Any] | Sequence[str]]:
    scores = [0.1, 1 / 3, 5e-324] if scores is None else scores
    n = len(scores)
    return {
        "row": np.arange(1, n + 1),
        "customer_id": [f"k, ü {at}" for at in range(n)],
        "score": np.array(scores, dtype=np.float64),
        "decision": ["contact" if at % 2 else "leave" for at in range(n)],
        "band": ["high"] * n,
        "expected_profit": -np.array(scores, dtype=np.float64),
        "reasons": [f"poutcome = success raises the score; age = {at} lowers it" for at in range(n)],
    }


def coded(scores: list[float] | None = None) -> dict[str, Values]:
    """The same columns as tables are given them."""
    sent: dict[str, Values] = {**columns(scores)}
    n = len(columns(scores)["row"])
    return sent | {"decision": Coded(("leave", "contact"), np.arange(n) % 2), "band": Coded(("high", "low"), np.zeros(n, dtype=np.int8))}


def plain(values: Values) -> list[Any]:
    if isinstance(values, Coded):
        return [values.words[at] for at in values.positions.tolist()]
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


FLOATS = st.lists(st.floats(allow_nan=False), max_size=20)


@settings(max_examples=40, deadline=None)
@given(FLOATS)
def test_arrow_is_read_back_to_the_same_bits(scores: list[float]) -> None:
    sent = coded(scores)
    with pa.ipc.open_stream(write_arrow(sent, SUMMARY)) as reader:
        table = reader.read_all()
    assert {name: table[name].to_pylist() for name in sent} == {name: plain(values) for name, values in sent.items()}
    assert np.array_equal(table["score"].to_numpy().view(np.int64), np.array(scores, dtype=np.float64).view(np.int64))
    assert [str(table[name].type) for name in ("row", "customer_id", "score", "reasons")] == ["int64", "string", "double", "string"]
    assert pa.types.is_dictionary(table["decision"].type)
    assert pa.types.is_dictionary(table["band"].type)
    assert json.loads(table.schema.metadata[b"propensity"]) == SUMMARY


@pytest.mark.parametrize("n", [0, 1, 3, 2_000])
def test_what_is_written_is_read_by_our_own_readers(n: int) -> None:
    sent = coded(np.random.default_rng(n).random(n).tolist())
    for table in (read_arrow(write_arrow(sent, {}), sent), read_parquet(write_parquet(sent, {}), sent)):
        assert table.header == tuple(sent)
        assert {name: table.columns[name].tolist() for name in sent} == {name: plain(values) for name, values in sent.items()}


@settings(max_examples=20, deadline=None)
@given(FLOATS)
def test_parquet_is_read_back_to_the_same_bits(scores: list[float]) -> None:
    sent = coded(scores)
    table = pq.read_table(io.BytesIO(write_parquet(sent, SUMMARY)))
    assert {name: table[name].to_pylist() for name in sent} == {name: plain(values) for name, values in sent.items()}
    assert np.array_equal(table["score"].to_numpy().view(np.int64), np.array(scores, dtype=np.float64).view(np.int64))
    assert json.loads(table.schema.metadata[b"propensity"]) == SUMMARY


@settings(max_examples=40, deadline=None)
@given(FLOATS)
def test_csv_is_read_back_to_the_same_bits(scores: list[float]) -> None:
    sent = coded(scores)
    rows = list(csv.DictReader(io.StringIO(write_csv(sent).decode(), newline="")))
    assert {name: [row[name] for row in rows] for name in ("decision", "band")} == {
        name: plain(sent[name]) for name in ("decision", "band")
    }
    assert [math.copysign(1, float(row["score"])) * abs(float(row["score"])) for row in rows] == scores
    assert [row["error"] for row in rows] == [""] * len(scores)


def test_a_csv_names_every_refused_row_and_all_that_is_wrong_with_it() -> None:
    data = write_csv(columns(), ISSUES)
    rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    assert [(row["row"], row["customer_id"]) for row in rows] == [("1", "k, ü 0"), ("2", "k, ü 1"), ("3", "k, ü 2"), ("2", ""), ("9", "")]
    assert rows[3]["error"] == "age: is missing; it must be a number;' =HYPERLINK"
    assert rows[4]["error"] == "'@x: must be one of a, b"
    again = read_csv(data, {"row", "error", "customer_id"})
    assert again.columns["error"] == [row["error"] for row in rows]


@pytest.mark.parametrize("payload", PAYLOADS, ids=ascii)
def test_no_text_of_a_csv_is_taken_for_a_formula(payload: str) -> None:
    texts = [payload, f"x{payload}", f"x; {payload}", f"x;{payload}"]
    sent: dict[str, Values] = {"row": np.arange(4), "customer_id": texts, "reasons": texts}
    data = write_csv(sent, [RowIssue(7, payload, "code", payload)])
    assert not any(runs(cell) for delimiter in ",;" for cell in cells(data, delimiter))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(st.sampled_from("a1 ;=+-@\t\r\n'\"é＝"), max_size=8), max_size=3))
def test_what_is_not_looked_at_closely_needs_no_closer_look(texts: list[str]) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerows([["x", safe_cell(text), ""] for text in texts])
    assert write_csv({"x": ["x"] * len(texts), "text": texts}) == b"x,text,error\r\n" + buffer.getvalue().encode()


@settings(max_examples=40, deadline=None)
@given(FLOATS.map(lambda numbers: [number for number in numbers if math.isfinite(number)]))
def test_ndjson_is_read_back_to_the_same_bits(scores: list[float]) -> None:
    sent = columns(scores)
    lines = [json.loads(line) for line in write_ndjson(sent, ISSUES, SUMMARY).splitlines()]
    n = len(scores)
    assert [line["score"] for line in lines[:n]] == scores
    assert [list(line) for line in lines[:n]] == [list(sent)] * n
    assert [line["error"]["row"] for line in lines[n:-1]] == [2, 2, 9]
    assert lines[-1] == {"summary": SUMMARY}


def test_a_list_of_nobody_says_so() -> None:
    assert write_csv(columns([])).count(b"\r\n") == 1
    assert write_ndjson(columns([]), (), {"n": 0}) == b'{"summary":{"n":0}}\n'
