"""How each server is asked and how its answer is read: complete HTTP requests, encoded once, and the scores in a reply."""

from __future__ import annotations

import csv
import http.client
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.package import NAME

Row = dict[str, Any]
JSON = "application/json"
LINES, CSV = "application/x-ndjson", "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
PATH = f"/v1/campaigns/{NAME}/predictions"


@dataclass(frozen=True)
class Exchange:
    """One way to ask for scores.

    Attributes
    ----------
    encode : rows to the body
    scores : media type and body of the reply to the scores, in the order sent
    """

    path: str
    encode: Callable[[Sequence[Row]], bytes]
    scores: Callable[[str, bytes], list[float]]
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": JSON})

    def request(self, rows: Sequence[Row], host: str, port: int, headers: Mapping[str, str]) -> bytes:
        """The whole request as it goes over the wire."""
        body = self.encode(rows)
        sent = {"Host": f"{host}:{port}", **self.headers, **headers, "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        return f"POST {self.path} HTTP/1.1\r\n{head}\r\n".encode() + body

    def ask(self, rows: Sequence[Row], host: str, port: int, headers: Mapping[str, str], timeout_s: float = 120) -> tuple[int, str, bytes]:
        """Send once; status, media type and body of the reply."""
        connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        try:
            connection.request("POST", self.path, self.encode(rows), {**self.headers, **headers})
            reply = connection.getresponse()
            return reply.status, reply.headers.get_content_type(), reply.read()
        finally:
            connection.close()


def dumps(value: Any) -> bytes:
    """Compact JSON, as clients of any language send it."""
    return json.dumps(value, separators=(",", ":")).encode()


def columns_of(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """The same by column."""
    return {name: [row[name] for row in rows] for name in rows[0]}


# -- this project's service


def customers_body(reasons: int) -> Callable[[Sequence[Row]], bytes]:
    """``{"customers": [...], "reasons": n}``."""
    return lambda rows: dumps({"customers": list(rows), "reasons": reasons})


def columns_body(rows: Sequence[Row]) -> bytes:
    return dumps({"columns": columns_of(rows), "reasons": 0})


def lines_body(rows: Sequence[Row]) -> bytes:
    return b"\n".join(dumps(row) for row in rows) + b"\n"


def csv_body(rows: Sequence[Row]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def arrow_body(rows: Sequence[Row]) -> bytes:
    import pyarrow as pa

    table = pa.table(columns_of(rows))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body: bytes = sink.getvalue().to_pybytes()
    return body


def parquet_body(rows: Sequence[Row]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet

    sink = pa.BufferOutputStream()
    pyarrow.parquet.write_table(pa.table(columns_of(rows)), sink)
    body: bytes = sink.getvalue().to_pybytes()
    return body


def service_scores(mimetype: str, reply: bytes) -> list[float]:
    """Scores of a reply in whatever format it came."""
    if mimetype == JSON:
        read: dict[str, Any] = json.loads(reply)
        return list(read["columns"]["score"]) if "columns" in read else [prediction["score"] for prediction in read["predictions"]]
    if mimetype == LINES:
        return [row["score"] for row in map(json.loads, reply.splitlines()) if "score" in row]
    if mimetype == CSV:
        return [float(row["score"]) for row in csv.DictReader(io.StringIO(reply.decode("utf-8-sig")))]
    import pyarrow as pa
    import pyarrow.parquet

    table = pa.ipc.open_stream(reply).read_all() if mimetype == ARROW else pyarrow.parquet.read_table(pa.BufferReader(reply))
    return list(table["score"].to_pylist())


def _table(mimetype: str, encode: Callable[[Sequence[Row]], bytes]) -> Exchange:
    return Exchange(PATH + "?reasons=0", encode, service_scores, {"Content-Type": mimetype, "Accept": mimetype})


# In each format the reply is asked for in the format that was sent: what a program that has such a table would do.
SERVICE: Mapping[str, Exchange] = {
    "json": Exchange(PATH, customers_body(0), service_scores),
    "json-columns": Exchange(PATH, columns_body, service_scores),
    "ndjson": _table(LINES, lines_body),
    "csv": _table(CSV, csv_body),
    "arrow": _table(ARROW, arrow_body),
    "parquet": _table(PARQUET, parquet_body),
}
WITH_REASONS = Exchange(PATH, customers_body(3), service_scores)


# -- the peers, each in its own words


def _without_id(rows: Sequence[Row]) -> tuple[list[str], list[list[Any]]]:
    names = [name for name in rows[0] if name != "id"]
    return names, [[row[name] for name in names] for row in rows]


def split_body(rows: Sequence[Row]) -> bytes:
    names, data = _without_id(rows)
    return dumps({"dataframe_split": {"columns": names, "data": data}})


def plain_body(rows: Sequence[Row]) -> bytes:
    return dumps({"customers": list(rows)})


def frame_body(rows: Sequence[Row]) -> bytes:
    """The Open Inference Protocol's way to send a data frame: one input per column."""
    inputs = []
    for name, values in columns_of(rows).items():
        if name == "id":
            continue
        text = isinstance(values[0], str)
        kind = {"datatype": "BYTES", "parameters": {"content_type": "str"}} if text else {"datatype": _datatype(values)}
        inputs.append({"name": name, "shape": [len(values), 1], **kind, "data": values})
    return dumps({"parameters": {"content_type": "pd"}, "inputs": inputs})


def _datatype(values: Sequence[Any]) -> str:
    return "INT64" if all(isinstance(value, int) for value in values) else "FP64"


def numbers_body(encode: Callable[[Sequence[Row]], list[list[float]]]) -> Callable[[Sequence[Row]], bytes]:
    """Bare numbers: the client has done the encoding."""

    def body(rows: Sequence[Row]) -> bytes:
        matrix = encode(rows)
        numbers = [value for row in matrix for value in row]
        return dumps({"inputs": [{"name": "x", "shape": [len(matrix), len(matrix[0])], "datatype": "FP32", "data": numbers}]})

    return body


def _json_scores(pick: Callable[[Any], list[float]]) -> Callable[[str, bytes], list[float]]:
    return lambda _, reply: pick(json.loads(reply))


def peer_exchanges(encode: Callable[[Sequence[Row]], list[list[float]]]) -> Mapping[str, Exchange]:
    """By server. ``encode`` is the ordinal encoding that a client of the bare XGBoost server does itself."""
    infer = f"/v2/models/{NAME}/infer"
    # The Open Inference Protocol sends a tensor of shape (n, 2) row by row: every second number is the probability.
    return {
        "fastapi": Exchange("/predict", plain_body, _json_scores(lambda reply: reply["scores"])),
        "flask": Exchange("/predict", plain_body, _json_scores(lambda reply: reply["scores"])),
        "mlflow-serve": Exchange("/invocations", split_body, _json_scores(lambda reply: [pair[1] for pair in reply["predictions"]])),
        "mlserver-mlflow": Exchange(infer, frame_body, _json_scores(lambda reply: reply["outputs"][0]["data"][1::2])),
        "mlserver-xgboost": Exchange(infer, numbers_body(encode), _json_scores(lambda reply: reply["outputs"][0]["data"])),
        "bentoml": Exchange("/predict", plain_body, _json_scores(lambda reply: reply)),
    }
