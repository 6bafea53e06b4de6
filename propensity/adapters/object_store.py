"""Objects by key in a folder or in S3, behind the port `propensity.ports.ObjectStore`."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from propensity.errors import DataError, NotFound, ObjectStoreUnavailable, SettingsInvalid
from propensity.ports import ObjectStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_TEMPORARY = ".tmp-"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 20
ATTEMPTS = 3


def open_store(url: str, *, endpoint_url: str | None = None) -> ObjectStore:
    """Open the object store at ``file:///folder`` or ``s3://bucket/prefix``; nothing is contacted yet.

    Raises SettingsInvalid for any other address. The message names the scheme alone: an address may carry a password.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return FolderStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc and "@" not in parts.netloc and ":" not in parts.netloc:
        return S3Store(parts.netloc, unquote(parts.path).strip("/"), _client(endpoint_url))
    given = f"this one begins with {parts.scheme + '://'!r}" if parts.scheme else "this one has no scheme" if url else "none is given"
    raise SettingsInvalid(f"an object store is addressed as file:///folder or s3://bucket/prefix; {given}")


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
        path = self._path(key)
        temporary = path.with_name(_TEMPORARY + uuid.uuid4().hex)
        with _disk(key):
            _make_folder(path.parent)
            try:
                _write_synced(temporary, data)
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            _sync_folder(path.parent)

    def get(self, key: str) -> bytes:
        """Read one object. Raises NotFound where there is none, ObjectStoreUnavailable where the disk refuses."""
        path = self._path(key)
        with _disk(key):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as exc:
                if not self.root.is_dir():
                    # A folder that is gone says nothing of the object: it may be back in a moment, as a bucket that does not answer.
                    raise ObjectStoreUnavailable("the object store's folder is not there") from exc
                raise NotFound(f"the object store has no object {key!r}") from exc

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


def _write_synced(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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

    def get(self, key: str) -> bytes:
        """Read one object. Raises NotFound where there is none, ObjectStoreUnavailable where S3 does not answer."""
        name = self._name(key)
        with self._answers(key):
            return self._client.get_object(Bucket=self.bucket, Key=name)["Body"].read()

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
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as exc:
            code = str(exc.response.get("Error", {}).get("Code", "unknown"))
            if code in ("NoSuchKey", "404", "NotFound"):
                raise NotFound(f"the object store has no object {key!r}") from exc
            raise ObjectStoreUnavailable(f"S3 refused {key!r} in bucket {self.bucket!r}: {code}") from exc
        except BotoCoreError as exc:
            raise ObjectStoreUnavailable(f"S3 did not answer for bucket {self.bucket!r}: {type(exc).__name__}") from exc
