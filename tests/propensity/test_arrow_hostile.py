"""Damaged and hostile Arrow and Parquet files, read in a process of its own: a crash would be seen there and end nothing else."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.propensity.test_columnar import parquet, stream

PROJECT = Path(__file__).resolve().parents[2]

# Reads every mutation of the files it is given. Says how many were read and refused, the slowest, and the growth of memory.
READ_ALL = """
import json, random, resource, sys, time
from pathlib import Path
from propensity.columnar import read_arrow, read_parquet
from propensity.errors import Malformed, TooLarge

def mutated(data, rng):
    data, kind = bytearray(data), rng.randrange(5)
    if kind == 0:
        return bytes(data[: rng.randrange(len(data))])
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(min(len(data), 900))
        if kind == 1:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            data[at] = rng.randrange(256)
        elif kind == 3:
            data[at : at + 4] = rng.choice([b"\\xff\\xff\\xff\\x7f", b"\\xff" * 4, b"\\0\\0\\0\\x80", b"\\0" * 4, b"\\0\\0\\0\\x10"])
        else:
            data[at : at + 8] = rng.choice([b"\\xff" * 7 + b"\\x7f", b"\\0" * 8, b"\\0" * 4 + b"\\1" + b"\\0" * 3])
    return bytes(data)

folder, ending, rounds = sys.argv[1:]
read = read_parquet if ending == "parquet" else read_arrow
files = [p.read_bytes() for p in sorted(Path(folder).glob("*." + ending))]
wanted = json.loads((Path(folder) / "wanted.json").read_text())
rng, counts, slowest = random.Random(7), {"read": 0, "refused": 0}, 0.0
for data in files:
    try:
        read(data, wanted)
    except (Malformed, TooLarge):
        pass
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(int(rounds)):
    data = mutated(rng.choice(files), rng)
    start = time.perf_counter()
    try:
        table = read(data, wanted)
        for column in table.columns.values():
            assert len(column.tolist()) == table.n
        counts["read"] += 1
    except (Malformed, TooLarge):
        counts["refused"] += 1
    slowest = max(slowest, time.perf_counter() - start)
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
print(json.dumps({**counts, "slowest_s": slowest, "grown_mib": grown}))
"""


def read_all(folder: Path, ending: str, rounds: int) -> dict[str, Any]:
    command = [sys.executable, "-c", READ_ALL, str(folder), ending, str(rounds)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, (done.returncode, done.stderr[-2_000:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    n = 40
    table = pa.table(
        {
            "a": pa.array(range(n)),
            "b": pa.array([None if at % 7 == 0 else at / 3 for at in range(n)]),
            "c": pa.array([f"text {at}" for at in range(n)]).dictionary_encode(),
            "d": pa.array([None if at % 5 == 0 else "ä" * (at % 20) for at in range(n)]),
            "e": pa.array(["a" * (at % 30) for at in range(n)], pa.string_view()),
            "f": pa.array([at % 2 == 0 for at in range(n)]),
            "g": pa.array([[at, at] for at in range(n)]),
            "h": pa.array(range(n)).cast(pa.decimal128(30, 2)),
        }
    )
    (folder / "wanted.json").write_text(json.dumps(list("abcdefh")))
    plain = table.set_column(4, "e", table["e"].cast(pa.string()))
    for at, data in enumerate((stream(table), stream(table, file=True), stream(table, rows=9), stream(table.select(["a", "c"])))):
        (folder / f"{at}.arrow").write_bytes(data)
    for name in ("lz4", "zstd"):
        (folder / f"{name}.compressed").write_bytes(stream(table, compression=name))
    for name in ("none", "snappy", "zstd", "gzip"):
        (folder / f"{name}.parquet").write_bytes(parquet(plain, compression=name))
    return folder


@pytest.mark.parametrize(("ending", "rounds"), [("arrow", 4_000), ("parquet", 60), ("compressed", 60)])
def test_damaged_files_are_read_or_refused(files: Path, ending: str, rounds: int) -> None:
    found = read_all(files, ending, rounds)
    assert found["read"] + found["refused"] == rounds
    assert found["refused"] > rounds / 4
    assert found["grown_mib"] < 50
    assert found["slowest_s"] < 20


def shared_views() -> bytes:
    """Ten thousand texts of a megabyte each, which are all the same bytes."""
    data = b"x" * 2**20
    view = np.zeros(10_000, dtype=[("length", "<i4"), ("prefix", "V4"), ("buffer", "<i4"), ("offset", "<i4")])
    view["length"] = len(data)
    array = pa.Array.from_buffers(pa.string_view(), 10_000, [None, pa.py_buffer(view.tobytes()), pa.py_buffer(data)])
    return stream(pa.table({"a": array}))


def long_texts(**options: Any) -> bytes:
    """A gigabyte of texts that compresses to next to nothing."""
    entries = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000), pa.array(["x" * 100_000]))
    # Without the schema of Arrow they are read as plain texts.
    return parquet(pa.table({"a": entries}), store_schema=False, **options)


def compressed_zeros() -> bytes:
    data = pa.array(["\0" * 10_000_000] * 30, pa.large_string())
    return stream(pa.table({"a": data}), compression="zstd")


def many_rows() -> bytes:
    return parquet(pa.table({"a": pa.array(np.zeros(20_000_000, dtype=np.int8))}))


BOMBS = {
    "views": (shared_views, "arrow"),
    "dictionary": (long_texts, "parquet"),
    "zeros": (compressed_zeros, "arrow"),
    "rows": (many_rows, "parquet"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_without_being_unpacked(tmp_path: Path, name: str) -> None:
    write, ending = BOMBS[name]
    data = write()
    assert len(data) < 5 * 2**20
    (tmp_path / f"bomb.{ending}").write_bytes(data)
    (tmp_path / "wanted.json").write_text('["a"]')
    code = READ_ALL.replace("data = mutated(rng.choice(files), rng)", "data = files[0]").replace("for data in files:", "for data in ():")
    command = [sys.executable, "-c", code, str(tmp_path), ending, "1"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2_000:]
    found = json.loads(done.stdout)
    assert (found["read"], found["refused"]) == (0, 1)
    assert found["grown_mib"] < 50
    assert found["slowest_s"] < 20


def test_a_parquet_file_for_which_memory_was_lied_about_is_refused() -> None:
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, pa.schema([("a", pa.int64())])) as writer:
        writer.write_table(pa.table({"a": [1, 2, 3]}))
    data = sink.getvalue()
    from propensity.columnar import read_parquet
    from propensity.errors import Malformed

    for size in (2**31 - 1, 2**32 - 1, 0, 4):
        broken = data[:-8] + size.to_bytes(4, "little") + b"PAR1"
        with pytest.raises(Malformed):
            read_parquet(broken, {"a"})
