"""The text of a CSV file, whatever program wrote it, or a refusal that names what to do. Nothing is replaced and nothing is guessed.

A byte order mark decides; then what the sender declared; then UTF-8, which other encodings hardly ever form by chance. What is
left was written by an older spreadsheet in the code page of its country, and code pages give the same byte different letters. So
every word with such a byte is read under each of them, and a file is taken only where all readings that could be words agree.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from functools import cache
from mmap import mmap

from propensity.errors import Malformed

MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_UTF32_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
# What a sender may declare: one letter per byte, or Unicode. No codec that runs escapes or compresses.
DECLARABLE = frozenset(
    {"ascii", "utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp437", "cp850", "mac-roman"}
    | {f"cp{page}" for page in range(1250, 1259)}
    | {f"iso8859-{part}" for part in range(1, 17) if part != 12}
)
# What spreadsheets save a plain "CSV" as: Windows by country, DOS and Macintosh by choice of the user.
_CODE_PAGES = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1257", "cp850", "cp437", "mac-roman")
_SCRIPTS = {"LATIN": "a", "CYRILLIC": "b", "GREEK": "g"}
# A word is written in one script, and small, capital, or with a capital first.
_ONE_CASE = re.compile(rb"(?:(?:A?+a*+|AA++|B?+b*+|BB++|G?+g*+|GG++)\n)*+")
_LONGEST_WORD, _MOST_WORDS = 100, 50_000
_WORD = re.compile(rb"[A-Za-z]*[\x80-\xff][A-Za-z\x80-\xff]*")
_REMEDY = "save it as CSV UTF-8, or declare its encoding, as in Content-Type: text/csv; charset=windows-1252"


def decode(data: bytes, declared: str | None = None, subject: str = "the CSV") -> str:
    """The text of a file, without its byte order mark.

    Parameters
    ----------
    declared : str or None
        The encoding that the sender or a declaration names. None: found out.
    subject : str
        What messages call the file.

    Raises
    ------
    Malformed
        Not readable in the encoding, no way to tell the encoding, or NUL among the characters.
    """
    encoding, start = _encoding(data, declared, subject)
    try:
        text = data[start:].decode(encoding)
    except UnicodeDecodeError as exc:
        at = exc.start + start
        raise not_in(encoding, at, data.count(b"\n", 0, at) + 1, subject) from exc
    if "\0" in text:
        raise nul_at(encoding, text.count("\n", 0, text.index("\0")) + 1, subject)
    return text


def encoding_of(data: bytes, subject: str = "the CSV") -> tuple[str, int]:
    """Encoding of a file, and how many bytes its byte order mark has. Raises Malformed where there is no way to tell."""
    return _encoding(data, None, subject)


def not_in(encoding: str, at: int, line: int, subject: str) -> Malformed:
    """The refusal of a file whose byte ``at`` (from 0), on ``line`` (from 1), is not in its encoding."""
    return Malformed(f"{subject}, line {line}: byte {at + 1} of the file is not {encoding}; save the file as {encoding}")


def nul_at(encoding: str, line: int, subject: str) -> Malformed:
    """The refusal of a text with a NUL character."""
    hint = "" if encoding.startswith("utf-16") else "; if it was saved as UTF-16, it lacks its byte order mark: save it as CSV UTF-8"
    return Malformed(f"{subject}, line {line}: the text holds a NUL character{hint}")


def _encoding(data: bytes, declared: str | None, subject: str) -> tuple[str, int]:
    wanted, found = marked(data, declared, subject)
    if found is not None:
        return found
    if wanted:
        return wanted, 0
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as exc:
        return code_page(data, exc.start, data.count(b"\n", 0, exc.start) + 1, subject), 0
    return "utf-8", 0


def marked(data: bytes, declared: str | None, subject: str) -> tuple[str | None, tuple[str, int] | None]:
    """The declared encoding by its common name, and what a byte order mark at the beginning says: encoding and length of the mark."""
    wanted = None if declared is None else _known(declared, subject)
    if data.startswith(_UTF32_MARKS):
        raise Malformed(f"{subject} is UTF-32, which is not read; save it as CSV UTF-8")
    for mark, encoding in MARKS:
        if data.startswith(mark):
            if wanted not in (None, encoding) and not (wanted == "utf-16" and encoding.startswith("utf-16")):
                raise Malformed(f"{subject} begins with the byte order mark of {encoding}, but {wanted} is declared; declare what it is")
            return wanted, (encoding, len(mark))
    if wanted == "utf-16":
        raise Malformed(
            f"{subject} is declared as utf-16 but has no byte order mark; declare utf-16-le or utf-16-be, or save it as CSV UTF-8"
        )
    return wanted, None


def _known(declared: str, subject: str) -> str:
    try:
        name = codecs.lookup(declared).name
    except (LookupError, ValueError):
        name = ""
    if name not in DECLARABLE:
        raise Malformed(f"{subject}: the declared encoding is not read here; save it as CSV UTF-8")
    return name


def code_page(data: bytes | mmap, bad_at: int, line: int, subject: str) -> str:
    """The code page of a whole file that is not UTF-8: cp1252, or a refusal.

    Parameters
    ----------
    bad_at, line : int
        The first byte that is not UTF-8, from 0, and its line, from 1.
    """
    if data.find(b"\0") >= 0:
        raise Malformed(f"{subject} holds NUL bytes: it seems to be UTF-16 without a byte order mark; {_REMEDY}")
    words = _words(data)
    possible = [page for page in _CODE_PAGES if words is not None and _ONE_CASE.fullmatch(words.translate(_classes(page)))]
    if words is None or "cp1252" not in possible:
        where = f"{subject}, line {line}: byte {bad_at + 1} of the file is not utf-8"
        raise Malformed(f"{where}, nor is the file cp1252; {_REMEDY}")
    others = [page for page in possible if words.decode(page) != words.decode("cp1252")]
    if others:
        pages = ", ".join(("cp1252", *others))
        raise Malformed(f"{subject} is not utf-8 and could be any of {pages}, which read its letters differently; {_REMEDY}")
    return "cp1252"


def _words(data: bytes | mmap) -> bytes | None:
    """Every distinct word with a byte beyond ASCII, each with a line end; None where there are too many, or too long ones."""
    words: set[bytes] = set()
    for found in _WORD.finditer(data):
        if found.end() - found.start() > _LONGEST_WORD or len(words) > _MOST_WORDS:
            return None
        words.add(found[0])
    return b"".join(word + b"\n" for word in words)


@cache
def _classes(page: str) -> bytes:
    """For each byte the script and case of its letter under a code page: a and A for Latin, b and B, g and G; else a full stop."""
    classes = bytearray(b"." * 256)
    for byte in range(256):
        letter = bytes([byte]).decode(page, "replace")
        mark = _SCRIPTS.get(unicodedata.name(letter, "").partition(" ")[0], "")
        if mark and letter.isalpha() and letter.isupper() != letter.islower():
            classes[byte] = ord(mark.upper() if letter.isupper() else mark)
    classes[ord("\n")] = ord("\n")
    return bytes(classes)
