"""A CSV file as UTF-8, whatever its size: the file itself where it is UTF-8, else a copy; with its digest, read once.

What `propensity.csv_encoding.decode` says of the bytes of a posted list is said here of a file that is never held whole.
"""

from __future__ import annotations

import codecs
import hashlib
import mmap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from propensity.csv_encoding import code_page, marked, not_in, nul_at

PIECE_BYTES = 4 << 20


@dataclass(frozen=True)
class Utf8File:
    """Text that can be read at any place.

    Attributes
    ----------
    start : int
        Length of the byte order mark.
    size : int
        Where the file ends.
    sha256 : str
        Digest of the file as it was given.
    quotes, commas : bool
        Whether there is any.
    """

    path: Path
    start: int
    size: int
    sha256: str
    quotes: bool
    commas: bool

    def read(self, at: int, n: int) -> bytes:
        """Up to ``n`` bytes from ``at``."""
        with self.path.open("rb") as file:
            file.seek(at)
            return file.read(n)


def as_utf8(path: Path, subject: str, copy: Path) -> Utf8File:
    """The file as UTF-8; ``copy`` is written where it is something else.

    Raises Malformed where its encoding is not certain, where a byte is not of its encoding, or where the text holds NUL.
    """
    with path.open("rb") as file:
        _, mark = marked(file.read(4), None, subject)
    encoding, start = mark or ("utf-8", 0)
    sha256, found = hashlib.sha256(), _Found()
    decoder = codecs.getincrementaldecoder("utf-8")()
    at, is_utf8 = 0, encoding == "utf-8"
    with ThreadPoolExecutor(1) as beside:
        for piece in pieces(path):
            digested = beside.submit(sha256.update, piece)
            if is_utf8 and (not piece.isascii() or decoder.getstate()[0]):
                is_utf8 = _decodes(decoder, piece)
            found.look(piece)
            at += len(piece)
            digested.result()
    is_utf8 = is_utf8 and _decodes(decoder, b"", final=True)
    if is_utf8 and not found.nul:
        return Utf8File(path, start, at, sha256.hexdigest(), found.quotes, found.commas)
    if encoding == "utf-8":
        encoding = _what_else(path, start, subject)
    copied = _transcode(path, start, encoding, copy, subject)
    return Utf8File(copy, 0, copy.stat().st_size, sha256.hexdigest(), copied.quotes, copied.commas)


def pieces(path: Path, start: int = 0) -> Iterator[bytes]:
    """A file's bytes, some megabytes at a time."""
    with path.open("rb") as file:
        file.seek(start)
        while piece := file.read(PIECE_BYTES):
            yield piece


@dataclass
class _Found:
    quotes: bool = False
    commas: bool = False
    nul: bool = False

    def look(self, piece: bytes) -> None:
        self.quotes = self.quotes or b'"' in piece
        self.commas = self.commas or b"," in piece
        self.nul = self.nul or b"\0" in piece


def _decodes(decoder: codecs.IncrementalDecoder, piece: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(piece, final)
    except UnicodeDecodeError:
        return False
    return True


def _what_else(path: Path, start: int, subject: str) -> str:
    """The encoding of a file that is not plain UTF-8; ``utf-8`` where NUL is all that is wrong. Raises Malformed."""
    bad = _first_bad(path, start, "utf-8")
    if bad is None:
        return "utf-8"
    if start:
        raise not_in("utf-8", bad, _line(path, bad), subject)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        return code_page(whole, bad, _line(path, bad), subject)


def _first_bad(path: Path, start: int, encoding: str) -> int | None:
    """The first byte that is not in an encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    at = start
    for piece in _and_empty(pieces(path, start)):
        waiting = len(decoder.getstate()[0])
        try:
            decoder.decode(piece, not piece)
        except UnicodeDecodeError as exc:
            return at - waiting + exc.start
        at += len(piece)
    return None


def _line(path: Path, at: int) -> int:
    """The line of a byte, from 1."""
    line, seen = 1, 0
    for piece in pieces(path):
        line += piece.count(b"\n", 0, max(0, at - seen))
        seen += len(piece)
        if seen >= at:
            break
    return line


def _transcode(path: Path, start: int, encoding: str, copy: Path, subject: str) -> _Found:
    decoder = codecs.getincrementaldecoder(encoding)()
    line, found = 1, _Found()
    with copy.open("wb") as out:
        for piece in _and_empty(pieces(path, start)):
            try:
                text = decoder.decode(piece, not piece)
            except UnicodeDecodeError as exc:
                at = _first_bad(path, start, encoding)
                assert at is not None, "what does not decode has a first bad byte"
                raise not_in(encoding, at, _line(path, at), subject) from exc
            if "\0" in text:
                raise nul_at(encoding, line + text.count("\n", 0, text.index("\0")), subject)
            line += text.count("\n")
            data = text.encode()
            found.look(data)
            out.write(data)
    return found


def _and_empty(found: Iterator[bytes]) -> Iterator[bytes]:
    yield from found
    yield b""
