"""Each body holds the same customers, and the scores of each kind of reply are found."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from benchmarks import exchange
from benchmarks.peers_setup import REQUIREMENTS

ROWS: list[dict[str, Any]] = [
    {"id": "c1", "card": "gold", "age": 40, "income": 1.5},
    {"id": "c2", "card": "none", "age": 50, "income": 2.25},
]


def read_back(format_: str, body: bytes) -> list[dict[str, Any]]:
    match format_:
        case "json":
            return list(json.loads(body)["customers"])
        case "json-columns":
            columns = json.loads(body)["columns"]
            return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        case "ndjson":
            return [json.loads(line) for line in body.splitlines()]
        case "csv":
            rows = csv.DictReader(io.StringIO(body.decode()))
            return [{**row, "age": int(row["age"]), "income": float(row["income"])} for row in rows]
        case "arrow":
            return list(pa.ipc.open_stream(body).read_all().to_pylist())
        case _:
            return list(pa.parquet.read_table(pa.BufferReader(body)).to_pylist())


@pytest.mark.parametrize("format_", list(exchange.SERVICE))
def test_every_format_says_the_same(format_: str) -> None:
    assert read_back(format_, exchange.SERVICE[format_].encode(ROWS)) == ROWS


def test_a_request_is_complete_http() -> None:
    whole = exchange.SERVICE["csv"].request(ROWS, "127.0.0.1", 8700, {"Authorization": "Bearer x"})
    head, _, body = whole.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/campaigns/speed/predictions?reasons=0 HTTP/1.1"
    assert {"Content-Type: text/csv", f"Content-Length: {len(body)}", "Authorization: Bearer x", "Host: 127.0.0.1:8700"} <= set(lines)


def test_scores_are_found_whatever_the_format_of_the_reply() -> None:
    table = pa.table({"customer_id": ["c1", "c2"], "score": [0.25, 0.5]})
    stream, file = pa.BufferOutputStream(), pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    pyarrow.parquet.write_table(table, file)
    replies = {
        exchange.JSON: b'{"predictions": [{"score": 0.25}, {"score": 0.5}]}',
        exchange.LINES: b'{"score": 0.25}\n{"score": 0.5}\n',
        exchange.CSV: b"customer_id,score\r\nc1,0.25\r\nc2,0.5\r\n",
        exchange.ARROW: stream.getvalue().to_pybytes(),
        exchange.PARQUET: file.getvalue().to_pybytes(),
    }
    assert {tuple(exchange.service_scores(mimetype, reply)) for mimetype, reply in replies.items()} == {(0.25, 0.5)}
    assert exchange.service_scores(exchange.JSON, b'{"columns": {"score": [0.25, 0.5]}}') == [0.25, 0.5]


def test_peers_are_asked_in_their_own_words() -> None:
    asked = exchange.peer_exchanges(lambda rows: [[float(row["age"]), row["income"]] for row in rows])
    split = json.loads(asked["mlflow-serve"].encode(ROWS))["dataframe_split"]
    assert (split["columns"], split["data"]) == (["card", "age", "income"], [["gold", 40, 1.5], ["none", 50, 2.25]])
    frame = {given["name"]: given for given in json.loads(asked["mlserver-mlflow"].encode(ROWS))["inputs"]}
    assert [frame[name]["datatype"] for name in ("card", "age", "income")] == ["BYTES", "INT64", "FP64"]
    bare = json.loads(asked["mlserver-xgboost"].encode(ROWS))["inputs"][0]
    assert (bare["shape"], bare["data"]) == ([2, 2], [40.0, 1.5, 50.0, 2.25])
    assert asked["mlserver-mlflow"].scores(exchange.JSON, b'{"outputs": [{"data": [0.9, 0.1, 0.8, 0.2]}]}') == [0.1, 0.2]
    assert asked["mlflow-serve"].scores(exchange.JSON, b'{"predictions": [[0.9, 0.1], [0.8, 0.2]]}') == [0.1, 0.2]


@pytest.mark.parametrize("wanted", sorted(REQUIREMENTS.glob("*.in")), ids=lambda path: path.stem)
def test_peers_are_locked_with_hashes_and_without_addresses(wanted: Path) -> None:
    text = wanted.with_suffix(".txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert " @ " not in text
    entries = [entry for entry in text.replace("\\\n", " ").splitlines() if entry and not entry.startswith("#")]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)
