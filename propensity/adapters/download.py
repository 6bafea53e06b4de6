"""Files from the web: fetched once, verified, kept under the state folder whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from propensity.adapters.object_store import FolderStore
from propensity.errors import ChecksumMismatch, DataError, Malformed, SourceMissing, StoreError, TooLarge

TIMEOUT_S = 30.0
LARGEST_BYTES = 2**30
_ZIP_MAGIC = b"PK\x03\x04"


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


def verify(data: bytes, expected: str, name: str) -> None:
    """Do nothing where the data has the expected SHA-256 (hexadecimal). Raises ChecksumMismatch."""
    verify_digest(sha256(data), expected, name)


def verify_digest(found: str, expected: str, name: str) -> None:
    """The same for a digest that is known."""
    if found != expected.lower():
        raise ChecksumMismatch(
            f"{name} is not the file that was declared: its SHA-256 begins with {found[:12]}, declared is {expected[:12]}. "
            "It may be cut off or altered; fetch it again from the declared source, or give an edited file another name"
        )


def cached(home: Path, url: str, name: str, expected: str, members: Sequence[str], authorization: str | None = None) -> bytes:
    """The file behind an address, verified; from the folder ``home/downloads`` where it was fetched before.

    Parameters
    ----------
    expected : str
        SHA-256 of the file itself, not of the archive that it came in.
    members : sequence of str
        How to open an archive, outermost first; empty where the address is that of the file.

    Raises
    ------
    SourceMissing
        Nothing is there.
    ChecksumMismatch
        Something else is there. Nothing is kept.
    StoreError
        The address does not answer.
    """
    folder, key = FolderStore(home / "downloads"), f"{expected[:16].lower()}-{name}"
    if folder.exists(key) and sha256(data := folder.get(key)) == expected.lower():
        return data
    data = unpack(fetch(url, authorization), members, name)
    verify(data, expected, name)
    folder.put(key, data)
    return data


def fetch(url: str, authorization: str | None = None) -> bytes:
    """The body behind an ``https://`` address (``http://`` for this machine alone).

    Raises DataError for another kind of address, SourceMissing, TooLarge, or StoreError where it does not answer.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https" and not (parts.scheme == "http" and host in ("127.0.0.1", "localhost")):
        raise DataError("data is fetched from https:// addresses only")
    request = Request(url, headers={"User-Agent": "propensity"})  # noqa: S310 - the scheme was checked above
    if authorization:
        # Not sent on to where a redirect leads.
        request.add_unredirected_header("Authorization", authorization)
    try:
        with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the scheme was checked above
            data: bytes = answer.read(LARGEST_BYTES + 1)
            stated = answer.headers.get("Content-Length", "")
    except HTTPError as exc:
        raise _refused(host, exc.code) from exc
    except (URLError, OSError, http.client.HTTPException) as exc:
        raise StoreError(f"{host} did not answer: try again, or put the file into the folder PROPENSITY_DATA_DIR") from exc
    if len(data) > LARGEST_BYTES:
        raise TooLarge(f"the file at {host} is over {LARGEST_BYTES} bytes")
    if stated.isdigit() and len(data) < int(stated):
        raise StoreError(f"{host} sent {len(data)} of {stated} bytes and broke off: try again")
    return data


def _refused(host: str, status: int) -> DataError | StoreError:
    if status in (404, 410):
        return SourceMissing(f"{host} has no file at the declared address (HTTP {status})")
    if status in (401, 403):
        return DataError(f"{host} refused the request (HTTP {status}): check the credentials and the rights to the file")
    return StoreError(f"{host} answered with HTTP {status}: try again later, or put the file into the folder PROPENSITY_DATA_DIR")


def basic_authorization(user: str, key: str) -> str:
    """The header value of HTTP basic authentication."""
    return "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()


def unpack(data: bytes, members: Sequence[str], name: str) -> bytes:
    """Open archives within archives by their members, outermost first; data that is no archive is returned as it is.

    Where no member is declared, an archive must hold one file or one of that name.
    """
    for member in members:
        if not data.startswith(_ZIP_MAGIC):
            break
        data = _member(data, member)
    if data.startswith(_ZIP_MAGIC) and not name.lower().endswith(".zip"):
        data = _member(data, name)
    return data


def _member(data: bytes, name: str) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = [entry for entry in archive.infolist() if not entry.is_dir()]
            found = (
                [e for e in files if e.filename == name] or [e for e in files if Path(e.filename).name == name] or files[: len(files) == 1]
            )
            if not found:
                raise SourceMissing(f"the archive has no file {name!r}")
            if found[0].file_size > LARGEST_BYTES:
                raise TooLarge(f"the file {name!r} in the archive is over {LARGEST_BYTES} bytes")
            # The stated size may be a lie: never unpack more than the limit.
            with archive.open(found[0]) as file:
                content = file.read(LARGEST_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as exc:
        raise Malformed(f"the archive that should hold {name!r} is damaged or encrypted") from exc
    if len(content) > LARGEST_BYTES:
        raise TooLarge(f"the file {name!r} in the archive is over {LARGEST_BYTES} bytes")
    return content
