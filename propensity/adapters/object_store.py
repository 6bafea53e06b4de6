"""Objects by key in a folder or in S3, behind the port `propensity.ports.ObjectStore`."""

from __future__ import annotations

import io
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote, urlsplit

from propensity.errors import DataError, NotFound, ObjectStoreUnavailable, SettingsInvalid

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    # For its name alone: the functions on AWS Lambda use this module and have no NumPy, which that one imports.
    from propensity.ports import ObjectStore

_TEMPORARY = ".tmp-"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 20
ATTEMPTS = 3
PIECE_BYTES = 4 << 20
# Fetched at once where an object is read in places: a round trip costs as much as a megabyte.
RANGE_BYTES = 1 << 20


def open_store(url: str, *, endpoint_url: str | None = None) -> ObjectStore:
    """Open the object store at ``file:///folder`` or ``s3://bucket/prefix``; nothing is contacted yet.

    Raises SettingsInvalid for any other address. The message names the scheme alone: an address may carry a password.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return FolderStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc and "@" not in parts.netloc and ":" not in parts.netloc:
        return open_s3(parts.netloc, unquote(parts.path).strip("/"), endpoint_url)
    given = f"this one begins with {parts.scheme + '://'!r}" if parts.scheme else "this one has no scheme" if url else "none is given"
    raise SettingsInvalid(f"an object store is addressed as file:///folder or s3://bucket/prefix; {given}")


def open_s3(bucket: str, prefix: str, endpoint_url: str | None = None) -> S3Store:
    """Open part of a bucket; nothing is contacted yet."""
    return S3Store(bucket, prefix, _client(endpoint_url))


def _client(endpoint_url: str | None) -> S3Client:
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        # Other servers than AWS seldom resolve bucket.host names.
        s3={"addressing_style": "path" if endpoint_url else "auto"},
    )
    try:
        client: S3Client = boto3.session.Session().client("s3", endpoint_url=endpoint_url, config=config)
    except ValueError as exc:
        raise SettingsInvalid("the S3 endpoint is not an address such as https://host:port") from exc
    return client


def check_key(key: str) -> str:
    """The key itself. Raises DataError where it could leave the store's root or is no plain ``a/b/c`` path."""
    segments = key.split("/")
    plain = all(s not in ("", ".", "..") and not s.startswith(_TEMPORARY) for s in segments)
    if not plain or "\\" in key or _CONTROL.search(key):
        raise DataError("an object key must be a relative path such as 'a/b/c.json', without '..', empty parts or backslashes")
    return key


class FolderStore:
    """A folder as an object store: each object is a file that appears whole or not at all."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).resolve()

    def put(self, key: str, data: bytes) -> None:
        """Write or replace one object; when this returns, it survives a power cut.

        Raises DataError for a key outside the root, ObjectStoreUnavailable where the disk refuses.
        """
        self._put(key, (data,))

    def put_file(self, key: str, path: Path) -> None:
        """The same with the content of a file."""
        with path.open("rb") as file:
            self._put(key, iter(partial(file.read, PIECE_BYTES), b""))

    def _put(self, key: str, pieces: Iterable[bytes]) -> None:
        path = self._path(key)
        temporary = path.with_name(_TEMPORARY + uuid.uuid4().hex)
        with _disk(key):
            _make_folder(path.parent)
            try:
                _write_synced(temporary, pieces)
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            _sync_folder(path.parent)

    def create(self, key: str, data: bytes) -> bool:
        """Write one object where there is none of that key; False where there is. Of any number at once, one gets True."""
        path = self._path(key)
        temporary = path.with_name(_TEMPORARY + uuid.uuid4().hex)
        with _disk(key):
            _make_folder(path.parent)
            try:
                _write_synced(temporary, (data,))
                # A rename would replace; a second name for the file is refused where the name is taken.
                os.link(temporary, path)
            except FileExistsError:
                return False
            finally:
                temporary.unlink(missing_ok=True)
            _sync_folder(path.parent)
        return True

    def fetch(self, key: str, path: Path, version: str | None = None) -> None:
        """Copy one object to a file. A folder keeps one version, and any other is not found.

        Raises NotFound, ObjectStoreUnavailable where either disk refuses.
        """
        if version is not None:
            raise NotFound(f"the object store has no other version of {key!r} than the last")
        with self._open(key) as source, path.open("wb") as file:
            shutil.copyfileobj(source, file, PIECE_BYTES)

    def get(self, key: str) -> bytes:
        """Read one object. Raises NotFound where there is none, ObjectStoreUnavailable where the disk refuses."""
        with self._open(key) as file:
            return file.read()

    def pieces(self, key: str) -> Iterator[bytes]:
        """One object some megabytes at a time. Raises as `get`."""
        with self._open(key) as file:
            yield from iter(partial(file.read, PIECE_BYTES), b"")

    @contextmanager
    def _open(self, key: str) -> Iterator[BinaryIO]:
        path = self._path(key)
        with _disk(key):
            try:
                file = path.open("rb")
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as exc:
                if not self.root.is_dir():
                    # A folder that is gone says nothing of the object: it may be back in a moment, as a bucket that does not answer.
                    raise ObjectStoreUnavailable("the object store's folder is not there") from exc
                raise NotFound(f"the object store has no object {key!r}") from exc
            with file:
                yield file

    def open_at(self, key: str, version: str | None = None) -> BinaryIO:
        """One object to be read at any place; closing it is the caller's. Raises as `fetch`."""
        if version is not None:
            raise NotFound(f"the object store has no other version of {key!r} than the last")
        with self._open(key) as file:
            return open(os.dup(file.fileno()), "rb")

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        path = self._path(key)
        with _disk(key):
            return path.is_file()

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys that begin with ``prefix``, sorted. Unfinished writes are not listed."""
        head = prefix.rpartition("/")[0]
        top = self._path(head) if head else self.root
        with _disk(prefix):
            files = [(Path(folder) / name) for folder, _, names in os.walk(top, onerror=_raise) for name in names] if top.is_dir() else []
        found = (path.relative_to(self.root).as_posix() for path in files if not path.name.startswith(_TEMPORARY))
        yield from sorted(key for key in found if key.startswith(prefix))

    def uri(self, key: str) -> str:
        """The ``file://`` address of an object."""
        return self._path(key).as_uri()

    def _path(self, key: str) -> Path:
        path = self.root / check_key(key)
        # A symbolic link inside the root must not lead out of it either.
        if not path.resolve().is_relative_to(self.root):
            raise DataError(f"the object key {key!r} leads out of the store's folder")
        return path


def _raise(error: OSError) -> None:
    raise error


@contextmanager
def _disk(key: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise ObjectStoreUnavailable(f"the object store's folder refused {key!r}: {exc.strerror or type(exc).__name__}") from exc


def _make_folder(folder: Path) -> None:
    """Create a folder and its parents so that they survive a power cut."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        _sync_folder(new.parent)


def _write_synced(path: Path, pieces: Iterable[bytes]) -> None:
    with open(path, "xb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _Ranges(io.RawIOBase):
    """Bytes that are fetched when they are read."""

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        self._size, self._fetch, self._at = size, fetch, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        n = min(len(buffer), self._size - self._at)
        if n <= 0:
            return 0
        data = self._fetch(self._at, n)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class S3Store:
    """Part of an S3 bucket as an object store. One PUT per object, so that it appears whole or not at all."""

    def __init__(self, bucket: str, prefix: str, client: S3Client) -> None:
        self.bucket = bucket
        self._head = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._client = client

    def put(self, key: str, data: bytes) -> None:
        """Write or replace one object. Raises ObjectStoreUnavailable where S3 does not take it."""
        name = self._name(key)
        with self._answers(key):
            self._client.put_object(Bucket=self.bucket, Key=name, Body=data)

    def create(self, key: str, data: bytes) -> bool:
        """Write one object where there is none of that key; False where there is. Of any number at once, at most one gets True.

        S3 itself decides (``If-None-Match: *``). The SDK tries a write again whose answer was lost, and may then find itself: so False says
        only that the object is there, not whose it is. Raises ObjectStoreUnavailable.
        """
        from botocore.exceptions import ClientError

        name = self._name(key)
        with self._answers(key):
            for _ in range(ATTEMPTS):
                try:
                    self._client.put_object(Bucket=self.bucket, Key=name, Body=data, IfNoneMatch="*")
                    return True
                except ClientError as exc:
                    code = exc.response.get("Error", {}).get("Code")
                    if code == "PreconditionFailed":
                        return False
                    if code != "ConditionalRequestConflict":
                        raise
        raise ObjectStoreUnavailable(f"S3 could not decide who writes {key!r} first: try again")

    def fetch(self, key: str, path: Path, version: str | None = None) -> None:
        """Copy one object, or one version of it, to a file, piece by piece. Raises NotFound, ObjectStoreUnavailable."""
        asked: dict[str, Any] = {"Bucket": self.bucket, "Key": self._name(key), **({"VersionId": version} if version else {})}
        with self._answers(key), _disk(key):
            pieces = self._client.get_object(**asked)["Body"].iter_chunks(PIECE_BYTES)
            with path.open("wb") as file:
                file.writelines(pieces)

    def get(self, key: str) -> bytes:
        """Read one object. Raises NotFound where there is none, ObjectStoreUnavailable where S3 does not answer."""
        name = self._name(key)
        with self._answers(key):
            return self._client.get_object(Bucket=self.bucket, Key=name)["Body"].read()

    def pieces(self, key: str) -> Iterator[bytes]:
        """One object some megabytes at a time. Raises as `get`, also where S3 stops to answer in the middle."""
        name = self._name(key)
        with self._answers(key):
            yield from self._client.get_object(Bucket=self.bucket, Key=name)["Body"].iter_chunks(PIECE_BYTES)

    def open_at(self, key: str, version: str | None = None) -> BinaryIO:
        """One object, or one version of it, to be read at any place: what is asked for is all that is fetched. Raises as `fetch`."""
        asked: dict[str, Any] = {"Bucket": self.bucket, "Key": self._name(key), **({"VersionId": version} if version else {})}
        with self._answers(key):
            told = self._client.head_object(**asked)

        def read(at: int, n: int) -> bytes:
            with self._answers(key):
                # The very object that was opened, also where another has taken its key since.
                part: Any = self._client.get_object(**asked, Range=f"bytes={at}-{at + n - 1}", IfMatch=told["ETag"])
                data = bytes(part["Body"].read())
            if len(data) != n:
                # A store that does not know parts of a version gives the whole, whose first bytes would be taken for what was asked for.
                raise ObjectStoreUnavailable(f"S3 gave {len(data):,} bytes of {key!r} where {n:,} were asked for")
            return data

        return io.BufferedReader(_Ranges(int(told["ContentLength"]), read), RANGE_BYTES)

    def put_file(self, key: str, path: Path) -> None:
        """Write or replace one object with the content of a file, in parts where it is large. Raises as `put`."""
        name = self._name(key)
        with self._answers(key):
            self._client.upload_file(str(path), self.bucket, name)

    def exists(self, key: str) -> bool:
        """Whether there is such an object. Raises ObjectStoreUnavailable where S3 does not answer."""
        name = self._name(key)
        try:
            with self._answers(key):
                self._client.head_object(Bucket=self.bucket, Key=name)
        except NotFound:
            return False
        return True

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys that begin with ``prefix``, sorted."""
        with self._answers(prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._head + prefix):
                names = [entry["Key"].removeprefix(self._head) for entry in page.get("Contents", ())]
                # Consoles leave empty objects that stand for folders.
                yield from (name for name in names if name and not name.endswith("/"))

    def uri(self, key: str) -> str:
        """The ``s3://`` address of an object."""
        return f"s3://{self.bucket}/{self._name(key)}"

    def _name(self, key: str) -> str:
        return self._head + check_key(key)

    @contextmanager
    def _answers(self, key: str) -> Iterator[None]:
        from boto3.exceptions import S3UploadFailedError
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except S3UploadFailedError as exc:
            raise ObjectStoreUnavailable(f"S3 did not take {key!r} for bucket {self.bucket!r}") from exc
        except ClientError as exc:
            code = str(exc.response.get("Error", {}).get("Code", "unknown"))
            if code in ("NoSuchKey", "NoSuchVersion", "404", "NotFound"):
                raise NotFound(f"the object store has no object {key!r}") from exc
            raise ObjectStoreUnavailable(f"S3 refused {key!r} in bucket {self.bucket!r}: {code}") from exc
        except BotoCoreError as exc:
            raise ObjectStoreUnavailable(f"S3 did not answer for bucket {self.bucket!r}: {type(exc).__name__}") from exc
