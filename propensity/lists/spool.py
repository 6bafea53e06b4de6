"""What is done of a list, on disk: one file per chunk, whole or absent, so that a run that was killed goes on where it was."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from propensity.callsheet import error_lines
from propensity.errors import RowIssue, StoreError

_COUNTS = b"counts"


@dataclass(frozen=True)
class Scored:
    """The answers to one chunk.

    Attributes
    ----------
    ids : pyarrow.StringArray, n customer ids
    rows : int64 array, shape (n,)
        Row numbers in the whole list.
    scores : float64 array, shape (n,)
    reasons : pyarrow.StringArray or None
        In words, strongest first.
    received, refused : int
    codes : int8 array or None
        Why each customer may not be contacted whatever the score, as `propensity.gate.Gated` has them; None: nobody is excluded.
    """

    ids: pa.StringArray
    rows: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    reasons: pa.StringArray | None
    received: int
    refused: int
    codes: npt.NDArray[np.int8] | None = None


class Kept(Protocol):
    """Where the answers to chunks are kept, each whole or not at all."""

    def has(self, number: int) -> bool: ...
    def keep(self, number: int, scored: Scored, issues: Sequence[RowIssue]) -> None: ...
    def get(self, number: int) -> Scored: ...
    def issues(self, numbers: int) -> Iterator[bytes]: ...
    def logged(self, number: int) -> bool: ...
    def mark_logged(self, number: int) -> None: ...
    def close(self) -> None: ...
    def remove(self) -> None: ...


def to_arrow(scored: Scored) -> pa.Buffer:
    """The answers as an Arrow file."""
    columns = [scored.ids, pa.array(scored.rows), pa.array(scored.scores)]
    names = ["id", "row", "score"]
    if scored.reasons is not None:
        columns.append(scored.reasons)
        names.append("reasons")
    if scored.codes is not None:
        columns.append(pa.array(scored.codes))
        names.append("codes")
    counts = f"{scored.received},{scored.refused}".encode()
    batch = pa.RecordBatch.from_arrays(columns, names).replace_schema_metadata({_COUNTS: counts})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def from_arrow(file: pa.NativeFile) -> Scored:
    """What `to_arrow` wrote."""
    with pa.ipc.open_file(file) as reader:
        batch = reader.get_batch(0)
    received, refused = map(int, batch.schema.metadata[_COUNTS].split(b","))
    reasons = batch.column("reasons") if "reasons" in batch.schema.names else None
    codes = batch.column("codes").to_numpy() if "codes" in batch.schema.names else None
    return Scored(batch.column(0), batch.column(1).to_numpy(), batch.column(2).to_numpy(), reasons, received, refused, codes)


class Spool:
    """A folder with the chunks of one list. One process at a time works in it.

    Raises StoreError where another process does.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._lock = (folder / "lock").open("wb")
        try:
            # The kernel gives the lock back however the process ends.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise StoreError("this list is being scored by another process; try again when it has ended") from None
        self._done = {path.name for path in folder.iterdir()}

    def has(self, number: int) -> bool:
        """Whether a chunk was scored and kept."""
        return self._chunk(number).name in self._done

    def keep(self, number: int, scored: Scored, issues: Sequence[RowIssue]) -> None:
        """Keep the answers to a chunk, and what was wrong with its other rows."""
        if issues:
            self._write(self._issues(number), error_lines(issues))
        self._write(self._chunk(number), to_arrow(scored))

    def get(self, number: int) -> Scored:
        """The answers to a chunk."""
        with pa.OSFile(str(self._chunk(number))) as file:
            return from_arrow(file)

    def issues(self, numbers: int) -> Iterator[bytes]:
        """The lines of the error sheet, chunk by chunk."""
        for number in range(numbers):
            if self._issues(number).name in self._done:
                yield self._issues(number).read_bytes()

    def logged(self, number: int) -> bool:
        """Whether the log is known to have a chunk."""
        return self._logged(number).name in self._done

    def mark_logged(self, number: int) -> None:
        """Remember that the log has a chunk."""
        self._write(self._logged(number), b"")

    def close(self) -> None:
        """Let others work on the list."""
        self._lock.close()

    def remove(self) -> None:
        """Forget everything: the results stand elsewhere."""
        shutil.rmtree(self.folder)
        self.close()

    def _chunk(self, number: int) -> Path:
        return self.folder / f"{number:07d}.arrow"

    def _issues(self, number: int) -> Path:
        return self.folder / f"{number:07d}.csv"

    def _logged(self, number: int) -> Path:
        return self.folder / f"{number:07d}.logged"

    def _write(self, path: Path, data: bytes | pa.Buffer) -> None:
        temporary = path.with_name(path.name + ".new")
        with temporary.open("wb") as file:
            file.write(data)
            # A file that has its name after a power cut has its content too.
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        self._done.add(path.name)
