"""A list scored by many machines: each takes some chunks that follow each other, and all keep the answers in the object store.

Chunks, request ids and scores are those that one machine would have: a share says which bytes of the upload a chunk is, and the same code
reads, checks, scores and logs it. So a list may be begun by one machine and ended by many, or be done twice at once: an answer is the same
bytes whoever writes it, and the log takes each chunk's request once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa

from propensity.callsheet import error_lines
from propensity.campaign import Campaign
from propensity.errors import RowIssue
from propensity.id_columns import id_name
from propensity.lists.chunks import Chunk, ListFile
from propensity.lists.csv_block_rows import Reading
from propensity.lists.csv_file import Block, CsvChunk, CsvList
from propensity.lists.parquet_file import ParquetList, ParquetShape, read_chunks
from propensity.lists.spool import Scored, from_arrow, to_arrow
from propensity.ports import ObjectStore

# About 400,000 customers: seconds to minutes of work, against the part of a second that it takes to hand it out.
SHARE_CHUNKS = 8


class PartStore(Protocol):
    """What a share needs of the object store."""

    def open_at(self, key: str, version: str | None = None) -> BinaryIO: ...


@dataclass(frozen=True)
class Share:
    """Chunks that follow each other, as a list file of their own: small, and good on any machine that reaches the store.

    Attributes
    ----------
    key, version : str, str or None
        Where the text or table lies.
    first, end : int
        Numbers of the first chunk, and of the one after the last.
    shape : ParquetShape or None
        None for CSV, which ``blocks`` and ``reading`` say how to read.
    store : PartStore or None
        Where it is read from; None until `within` says it.
    """

    key: str
    version: str | None
    sha256: str
    header: Sequence[str]
    rows: int
    first: int
    end: int
    shape: ParquetShape | None = None
    blocks: Sequence[Block] = ()
    reading: Reading | None = None
    store: PartStore | None = None

    def within(self, store: PartStore) -> Share:
        """The same share, read from there: a connection does not go from one machine to another."""
        return replace(self, store=store)

    def chunks(self) -> Iterator[Chunk]:
        """The chunks, numbered as in the whole list. Raises Malformed, StoreError."""
        assert self.store is not None, "within() says where it is read"
        with self.store.open_at(self.key, self.version) as file:
            if self.shape is not None:
                yield from read_chunks(file, self.shape, self.first, self.end)
                return
            assert self.reading is not None, "a share is of a table or of a text"
            for number, block in enumerate(self.blocks, self.first):
                yield CsvChunk(partial(_same, _read(file, block)), self.reading, number, block)

    def close(self) -> None:
        """Nothing stays open between two readings."""


def _read(file: BinaryIO, block: Block) -> bytes:
    file.seek(block.at)
    return file.read(block.size)


def _same(data: bytes, block: Block) -> bytes:
    assert len(data) == block.size, "the list is as long as when it was cut"
    return data


def can_be_shared(source: ListFile, campaign: Campaign) -> bool:
    """Whether any chunk can be scored without those before it: ids that are derived depend on all of them."""
    return id_name(campaign) in source.header


def shares(source: ListFile, key: str, version: str | None, *, chunks: int = SHARE_CHUNKS) -> list[Share]:
    """A list in shares of so many chunks. A text that is not UTF-8 lies at ``key`` as the copy that ``source`` made of it."""
    if isinstance(source, ParquetList):
        count = source.count
        return [
            Share(key, version, source.sha256, source.header, source.rows, at, min(at + chunks, count), shape=source.shape)
            for at in range(0, count, chunks)
        ]
    assert isinstance(source, CsvList), "a list is a table or a text"
    found = []
    for at in range(0, len(source.blocks), chunks):
        blocks = source.blocks[at : at + chunks]
        end = at + len(blocks)
        found.append(Share(key, version, source.sha256, source.header, source.rows, at, end, blocks=blocks, reading=source.reading))
    return found


@dataclass
class SharedSpool:
    """`propensity.lists.spool.Kept` in the object store, for any number of processes at once. What is written stays.

    Attributes
    ----------
    prefix : str
        Where the parts lie.
    cache : Path or None
        Folder in which parts stay that were read: whoever puts a list together reads each several times.
    """

    store: ObjectStore
    prefix: str
    cache: Path | None = None
    _known: set[str] = field(default_factory=set)

    def has(self, number: int) -> bool:
        """Whether a chunk was scored and kept, by whomever."""
        return self._exists(f"{number:07d}.arrow")

    def keep(self, number: int, scored: Scored, issues: Sequence[RowIssue]) -> None:
        """Keep the answers to a chunk; what was wrong with its other rows first, so that a chunk that is there is whole."""
        if issues:
            self._put(f"{number:07d}.csv", error_lines(issues))
        self._put(f"{number:07d}.arrow", to_arrow(scored).to_pybytes())

    def get(self, number: int) -> Scored:
        """The answers to a chunk. Raises NotFound."""
        name = f"{number:07d}.arrow"
        if self.cache is None:
            return from_arrow(pa.BufferReader(self.store.get(f"{self.prefix}/{name}")))
        path = self.cache / name
        if not path.exists():
            path.write_bytes(self.store.get(f"{self.prefix}/{name}"))
        with pa.OSFile(str(path)) as file:
            return from_arrow(file)

    def issues(self, numbers: int) -> Iterator[bytes]:
        """The lines of the error sheet, chunk by chunk."""
        for number in range(numbers):
            if self.get(number).refused:
                yield self.store.get(f"{self.prefix}/{number:07d}.csv")

    def logged(self, number: int) -> bool:
        """Whether the log is known to have a chunk."""
        return self._exists(f"{number:07d}.logged")

    def mark_logged(self, number: int) -> None:
        """Remember that the log has a chunk."""
        self._put(f"{number:07d}.logged", b"")

    def close(self) -> None:
        """Nothing is held."""

    def remove(self) -> None:
        """The parts stay as long as the list does: nobody may delete from the object store."""

    def _exists(self, name: str) -> bool:
        if name not in self._known and self.store.exists(f"{self.prefix}/{name}"):
            self._known.add(name)
        return name in self._known

    def _put(self, name: str, data: bytes) -> None:
        self.store.put(f"{self.prefix}/{name}", data)
        self._known.add(name)
