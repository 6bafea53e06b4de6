"""A throw-away process that decodes what only native code can: Parquet, and compressed Arrow IPC. Run by `propensity.arrow_worker`.

It reads a header of three lines and the file from its standard input, writes a header of one line and a plain Arrow IPC stream of the
wanted columns to its standard output, and ends. A file that makes the decoder crash, loop or ask for gigabytes ends this process and
nothing else. It imports nothing of this project, and little else: it has to be ready soon.
"""

from __future__ import annotations

import io
import resource
import sys

TOO_MANY_ROWS, TOO_LARGE, NOT_READABLE = 10, 11, 12


class _TooLarge(Exception):
    """More than the output may hold."""


class _Capped(io.BytesIO):
    """Bytes up to a limit."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self.full = False

    def write(self, data) -> int:  # type: ignore[no-untyped-def]
        self.full = self.full or self.tell() + len(data) > self._limit
        if self.full:
            raise _TooLarge
        return super().write(data)


def names_line(names) -> bytes:  # type: ignore[no-untyped-def]
    """Names on one line, whatever characters they hold."""
    return b",".join(name.encode().hex().encode() for name in names) + b"\n"


def names_of(line: bytes) -> list[str]:
    """The inverse of `names_line`."""
    return [bytes.fromhex(part.decode()).decode() for part in line.rstrip(b"\n").split(b",")] if line.strip() else []


def _limit(memory: int, seconds: int) -> None:
    """From here on this process may take that much more memory and time."""
    used = 2**30
    if sys.platform == "linux":
        with open("/proc/self/statm") as statm:
            used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _convert(kind: str, data: bytes, wanted: list[str], max_rows: int, out: _Capped) -> bytes:
    """The line with the names of all columns. Raises _TooLarge, OverflowError for too many rows, and whatever the decoder raises."""
    from arro3 import io as arrow
    from arro3.core import RecordBatchReader, Schema

    source = io.BytesIO(data)
    if kind == "parquet":
        reader = arrow.read_parquet(source, batch_size=max_rows + 1)
    else:
        reader = arrow.read_ipc(source) if data.startswith(b"ARROW1") else arrow.read_ipc_stream(source)
    schema = reader.schema
    names = list(schema.names)
    # Without any column there would be no number of rows.
    keep = [at for at, name in enumerate(names) if name in wanted] or [0]
    batches, rows = [], 0
    for batch in reader:
        rows += batch.num_rows
        if rows > max_rows:
            raise OverflowError
        batches.append(batch.select(keep))
    kept = Schema([schema.field(at) for at in keep])
    arrow.write_ipc_stream(RecordBatchReader.from_batches(kept, batches), out, compression=None)
    return names_line(names)


def main(packages: str, max_bytes: int, memory: int, seconds: int) -> int:
    """Convert standard input to standard output; the exit code says what went wrong."""
    sys.path.append(packages)
    import arro3.core
    import arro3.io  # noqa: F401  # before the file arrives, and outside of the limit

    source = sys.stdin.buffer
    kind, rows, wanted = source.readline().decode().strip(), source.readline().strip(), names_of(source.readline())
    if not kind:
        return 0
    data = source.read()
    _limit(memory, seconds)
    out = _Capped(max_bytes)
    try:
        header = _convert(kind, data, wanted, int(rows), out)
    except OverflowError:
        return TOO_MANY_ROWS
    except BaseException:  # noqa: BLE001  # a panic of the decoder is no Exception
        return TOO_LARGE if out.full else NOT_READABLE
    sys.stdout.buffer.write(header)
    sys.stdout.buffer.write(out.getbuffer())
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))
