"""R22 R23: the limits hold, and what is over them costs next to nothing."""

from __future__ import annotations

import gzip
import http.client
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from faults.access import headers as key_headers
from faults.load import Load
from faults.processes import forget_peak, peak_mib, resident_mib
from faults.promise import Result, Scale
from faults.samples import make_rows
from faults.world import PREDICTIONS, Service, World

MIB = 2**20
GROWTH_MIB, WHOLE_MIB = 50, 512
ARROW, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
_FILL = 10 * MIB - 200
# The dearest of each format.
SHORT = (
    *("empty objects", "one object of many keys", "many columns", "an object that is deep", "an id of 10 MiB in escapes"),
    *("lines of empty objects", "a CSV of short lines", "a CSV of commas", "gzip of a GiB of numbers", "64 MiB in chunks"),
    *("a header of a MiB", "fifty thousand headers", "Parquet of one text of a MiB ten thousand times"),
)


@dataclass(frozen=True)
class Bomb:
    """A request that is to be refused cheaply. ``pieces`` makes the body as it is sent, so that this program holds little of it."""

    pieces: Callable[[], Iterator[bytes]]
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    path: str = PREDICTIONS
    length: int | None = None


def _of(data: bytes, **headers: str) -> Bomb:
    given = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return Bomb(lambda: iter([data]), given, length=len(data))


def _filled(head: bytes, part: bytes, tail: bytes, mimetype: str = "application/json") -> Bomb:
    """``head``, then ``part`` as often as fits into 10 MiB, then ``tail``."""
    return _of(head + part * ((_FILL - len(head) - len(tail)) // len(part)) + tail, Content_Type=mimetype)


def _zipped(data: bytes, times: int) -> bytes:
    """A gzip file that unpacks to ``times`` as much, made without ever holding it."""
    return gzip.compress(data, 9) * times


def bombs() -> dict[str, Bomb]:
    """By name: every format, the header, the encodings."""
    gigabyte = _zipped(b"[" + b"0," * (8 * MIB // 2), 64) + _zipped(b" " * 8 * MIB, 64)
    return {
        "empty objects": _filled(b"[", b"{},", b"{}]"),
        "empty lists": _filled(b"[", b"[],", b"[]]"),
        "numbers": _filled(b"[", b"0,", b"0]"),
        "nulls": _filled(b"[", b"null,", b"null]"),
        "small objects": _filled(b'{"customers":[', b'{"a":1},', b"{}]}"),
        "one object of many keys": _of(b"[{" + b",".join(b'"k%x":0' % at for at in range(850_000)) + b"}]"),
        "a column of many values": _filled(b'{"columns":{"age":[', b"1,", b"1]}}"),
        "many columns": _of(b'{"columns":{' + b",".join(b'"k%x":[]' % at for at in range(750_000)) + b"}}"),
        "a list that is deep": _of(b"[" * _FILL),
        "an object that is deep": _filled(b"", b'{"a":', b""),
        "a list that is deep and closed": _of(b"[" * (_FILL // 2) + b"]" * (_FILL // 2)),
        "a number of 10 MiB": _of(b'[{"id":"a","age":' + b"9" * (_FILL - 40) + b"}]"),
        "an id of 10 MiB": _of(b'[{"id":"' + b"a" * (_FILL - 40) + b'"}]'),
        "an id of 10 MiB in escapes": _filled(b'[{"id":"', b"\\u0041", b'"}]'),
        "lines of empty objects": _filled(b"", b"{}\n", b"{}", "application/x-ndjson"),
        "lines of nothing readable": _filled(b"", b"x\n", b"x", "application/x-ndjson"),
        "empty lines": _filled(b"", b"\n", b"", "application/x-ndjson"),
        "a CSV of commas": _filled(b"", b",", b"\n", "text/csv"),
        "a CSV of line ends": _filled(b"id,age\n", b"\n", b"", "text/csv"),
        "a CSV of short lines": _filled(b"id,age\n", b"a,1\n", b"", "text/csv"),
        "a CSV of empty cells": _filled(b"id,age\n", b"," * 999 + b"\n", b"", "text/csv"),
        "a CSV with an open quote": _filled(b'id,age\n"', b"a,1\n", b"", "text/csv"),
        "gzip of a GiB of numbers": _of(gigabyte, Content_Encoding="gzip"),
        "gzip of gzip": _of(gzip.compress(gigabyte), Content_Encoding="gzip"),
        "gzip cut short": _of(gzip.compress(b"[" * MIB)[:-20], Content_Encoding="gzip"),
        "not gzip": _of(b"[]" * 100, Content_Encoding="gzip"),
        "another encoding": _of(b"[]" * 100, Content_Encoding="br"),
        "encodings upon encodings": _of(gzip.compress(b"[]"), Content_Encoding=", ".join(["gzip"] * 100)),
        "a byte too many": _of(b" " * (10 * MIB + 1)),
        "64 MiB": Bomb(lambda: iter([b" " * MIB] * 64), length=64 * MIB),
        "64 MiB in chunks": Bomb(lambda: iter([b" " * MIB] * 64)),
        "a header of a MiB": Bomb(lambda: iter([b"[]"]), {"Content-Type": "application/json", "X-Long": "a" * MIB}, length=2),
        "fifty thousand headers": Bomb(
            lambda: iter([b"[]"]), {"Content-Type": "application/json"} | {f"X-{at}": "a" for at in range(50_000)}, length=2
        ),
        "a long address": Bomb(lambda: iter([b"[]"]), path=f"{PREDICTIONS}?policy={'a' * MIB}", length=2),
        "a long key": Bomb(lambda: iter([b"[]"]), {"Content-Type": "application/json", "Idempotency-Key": "a" * 10_000}, length=2),
        "parts": _of(b"--b\r\n\r\n" * 100_000, Content_Type="multipart/form-data; boundary=b"),
        **_columnar(),
        "a form": _of(b"a&" * (_FILL // 2), Content_Type="application/x-www-form-urlencoded"),
    }


def _columnar() -> dict[str, Bomb]:
    """Small files of the binary formats that unfold to gigabytes, or to endless columns or batches."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    def parquet(table: Any) -> Bomb:
        out = io.BytesIO()
        pq.write_table(table, out, compression="zstd")
        return _of(out.getvalue(), Content_Type=PARQUET)

    def stream(batches: list[Any], compression: str | None = None) -> Bomb:
        out = io.BytesIO()
        with pa.ipc.new_stream(out, batches[0].schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
            for batch in batches:
                writer.write_batch(batch)
        return _of(out.getvalue(), Content_Type=ARROW)

    zeros = pa.table({"age": np.zeros(20_000_000, dtype=np.int64)})
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(10_000, dtype=np.int32)), pa.array(["a" * MIB]))
    wide = pa.table({f"k{at}": [0] for at in range(20_000)})
    return {
        "Parquet of 20 million zeros": parquet(zeros),
        "Parquet of one text of a MiB ten thousand times": parquet(pa.table({"id": text})),
        "Parquet of many columns": parquet(wide),
        "Arrow of 20 million zeros": stream(zeros.to_batches(max_chunksize=4_000_000), "zstd"),
        "Arrow of many columns": stream(wide.to_batches()),
        "Arrow of empty batches": stream([pa.record_batch({"age": pa.array([], pa.int64())})] * 20_000),
    }


@dataclass(frozen=True)
class Cost:
    """What a bomb got, and what it cost the service."""

    status: int
    grew_mib: float
    took_s: float


def throw(service: Service, bomb: Bomb) -> Cost:
    """Send it, and measure by how much the process grew at most. Status 0: the connection was closed without a reply."""
    forget_peak(service.pid)
    before = resident_mib(service.pid)
    started = time.monotonic()
    status = _send(service, bomb)
    return Cost(status, peak_mib(service.pid) - before, time.monotonic() - started)


def _send(service: Service, bomb: Bomb) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    try:
        connection.putrequest("POST", bomb.path, skip_accept_encoding=True)
        given = {**key_headers(service.keys["operator"]), **bomb.headers}
        given |= {"Transfer-Encoding": "chunked"} if bomb.length is None else {"Content-Length": str(bomb.length)}
        for name, value in given.items():
            connection.putheader(name, value)
        try:
            connection.endheaders()
            for piece in bomb.pieces():
                connection.send(b"%x\r\n%s\r\n" % (len(piece), piece) if bomb.length is None else piece)
            if bomb.length is None:
                connection.send(b"0\r\n\r\n")
        except OSError:
            pass  # it may answer before all was sent
        reply = connection.getresponse()
        reply.read()
        return reply.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def r23(world: World, scale: Scale) -> Result:
    """Every bomb, each against a process that has not grown yet."""
    costs: dict[str, Cost] = {}
    with world.service() as service:
        _warm(world, service)
        base = resident_mib(service.pid)
        every = bombs()
        for name, bomb in every.items() if scale is Scale.FULL else [(name, every[name]) for name in SHORT]:
            # Memory that an earlier bomb left behind would hide what the next one takes.
            if resident_mib(service.pid) > base + scale.of(full=5, short=25):
                service.kill()
                service.restart()
                _warm(world, service)
            costs[name] = throw(service, bomb)
            if not service.running():
                service.restart()
                costs[name] = Cost(0, costs[name].grew_mib, costs[name].took_s)
        still = service.once("POST", PREDICTIONS, json.dumps(world.rows[:3]).encode()).status
    wrong = {name: cost.status for name, cost in costs.items() if not 400 <= cost.status < 500}
    large = {name: round(cost.grew_mib) for name, cost in costs.items() if cost.grew_mib >= GROWTH_MIB}
    most, slowest = max(costs.values(), key=lambda c: c.grew_mib), max(costs.values(), key=lambda c: c.took_s)
    return Result(
        not wrong and not large and still == 200,
        f"{len(costs) - len(wrong)} of {len(costs)} refused with 4xx{f', not: {wrong}' if wrong else ''}; memory grew by "
        f"{most.grew_mib:.0f} MiB at most{f', over {GROWTH_MIB} MiB: {large}' if large else ''}; slowest {slowest.took_s:.1f} s",
        f"{', '.join(costs)}; growth is the peak of RSS during the request less RSS before it",
    )


def _warm(world: World, service: Service) -> None:
    client = service.client()
    for _ in range(3):
        client.post_json(PREDICTIONS, world.rows[:100])
    client.close()


def r22(world: World, scale: Scale) -> Result:
    """What of a million rows concerns the service: lists at its limit fit into memory, larger ones are refused with the way to go."""
    rows = make_rows(world.campaign, 10_001)
    with world.service() as service:
        client = service.client(timeout_s=120)
        over = client.post_json(PREDICTIONS, {"customers": rows, "reasons": 0})
        line = ",".join(str(value) for value in rows[0].values()).encode() + b"\n"
        million = throw(service, Bomb(lambda: iter([line * 10_000] * 100), {"Content-Type": "text/csv"}, length=len(line) * 1_000_000))
        forget_peak(service.pid)
        whole = json.dumps({"customers": rows[:10_000], "reasons": 0}).encode()
        with Load(service, [whole], callers=8, requests=scale.of(full=6, short=1)) as load:
            answers = load.finish()
        peak = peak_mib(service.pid)
        client.close()
    named = over.json() or {}
    return Result(
        over.status == 413
        and "10,000" in named.get("detail", "")
        and million.status == 413
        and million.grew_mib < GROWTH_MIB
        and {a.status for a in answers} == {200}
        and peak < WHOLE_MIB,
        f"10,001 rows: {over.status}; a CSV of 1,000,000 rows: {million.status}, {million.grew_mib:.0f} MiB; {len(answers)} lists of "
        f"10,000 from 8 callers: {sorted({a.status for a in answers})}, peak {peak:.0f} MiB",
        "the service alone: files of a million rows are scored by the batch, whose memory its own tests measure",
    )
