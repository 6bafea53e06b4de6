from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from propensity.adapters.object_store import FolderStore, S3Store, check_key, open_store
from propensity.errors import DataError, NotFound, ObjectStoreUnavailable, SettingsInvalid
from propensity.ports import ObjectStore


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield client


@pytest.fixture(params=["folder", "s3", "s3-root"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return FolderStore(tmp_path / "store")
    return S3Store("lake", "some/prefix" if request.param == "s3" else "", request.getfixturevalue("s3"))


def test_what_was_put_is_got(store: ObjectStore) -> None:
    store.put("a/b/c.bin", b"\x00\xff")
    assert store.get("a/b/c.bin") == b"\x00\xff"
    assert store.exists("a/b/c.bin")


def test_an_object_may_be_empty_and_is_replaced_whole(store: ObjectStore) -> None:
    store.put("k", b"longer than what follows")
    store.put("k", b"")
    assert store.get("k") == b""


def test_a_file_is_put_and_got_in_pieces(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("propensity.adapters.object_store.PIECE_BYTES", 1_000)
    (tmp_path / "file").write_bytes(bytes(range(256)) * 10)
    store.put_file("a/file", tmp_path / "file")
    found = list(store.pieces("a/file"))
    assert b"".join(found) == store.get("a/file") == (tmp_path / "file").read_bytes()
    assert max(map(len, found)) <= 1_000
    with pytest.raises(NotFound):
        list(store.pieces("a/other"))


def test_an_object_is_read_in_places(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("propensity.adapters.object_store.RANGE_BYTES", 100)
    data = bytes(range(256)) * 10
    store.put("a/b", data)
    with store.open_at("a/b") as file:
        assert file.read(3) == data[:3]
        assert file.seek(-5, os.SEEK_END) == len(data) - 5
        assert file.read() == data[-5:]
        file.seek(700)
        assert file.read(450) == data[700:1150]
    with pytest.raises(NotFound):
        store.open_at("a/c")


def test_the_version_that_was_noticed_is_read_and_no_other(s3: Any) -> None:
    s3.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
    lake = S3Store("lake", "", s3)
    version = s3.put_object(Bucket="lake", Key="k", Body=b"first")["VersionId"]
    lake.put("k", b"second")
    with lake.open_at("k", version) as file:
        assert file.read() == b"first"
    with lake.open_at("k") as file:
        lake.put("k", b"third")
        with pytest.raises(ObjectStoreUnavailable):
            file.read()


def test_what_is_not_there_is_not_found(store: ObjectStore) -> None:
    store.put("a/b", b"1")
    for key in ("nothing", "a", "a/b/c"):
        assert not store.exists(key)
        with pytest.raises(NotFound):
            store.get(key)


def test_keys_are_sorted_and_begin_with_the_prefix(store: ObjectStore) -> None:
    for key in ("b/2.csv", "a/1.csv", "b/10.csv", "b-side.csv", "bc/x", "ä/ö.csv"):
        store.put(key, b"")
    assert list(store.keys("b")) == ["b-side.csv", "b/10.csv", "b/2.csv", "bc/x"]
    assert list(store.keys("b/")) == ["b/10.csv", "b/2.csv"]
    assert list(store.keys("b/1")) == ["b/10.csv"]
    assert list(store.keys("nothing/")) == []
    assert len(list(store.keys(""))) == 6
    assert store.get("ä/ö.csv") == b""


@pytest.mark.parametrize("key", ["", "/a", "../a", "a/../../b", "a//b", "a/./b", "a/", "a\\..\\b", "a\x00b", "a\nb", ".", "..", "x/.tmp-1"])
def test_keys_that_could_escape_are_refused(store: ObjectStore, key: str) -> None:
    for use in (lambda: store.put(key, b""), lambda: store.get(key), lambda: store.exists(key), lambda: store.uri(key)):
        with pytest.raises(DataError):
            use()


@given(st.text(alphabet="ab./\\\x00~ é", max_size=12))
def test_a_key_that_is_accepted_stays_below_the_root(key: str) -> None:
    try:
        check_key(key)
    except DataError:
        return
    root = os.path.normpath("/srv/of/store")
    assert os.path.normpath(os.path.join(root, key)).startswith(root + "/")


def test_a_symbolic_link_does_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("x")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(DataError):
        FolderStore(tmp_path / "root").get("link/secret")


def test_a_failed_write_leaves_the_old_object_and_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path)
    store.put("a/k", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ObjectStoreUnavailable, match="No space"):
        store.put("a/k", b"new")
    monkeypatch.undo()
    assert store.get("a/k") == b"old"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["k"]


def test_an_unfinished_write_is_not_listed(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("a/k", b"1")
    (tmp_path / "a" / ".tmp-123").write_bytes(b"half")
    assert list(store.keys("")) == ["a/k"]


def test_a_folder_that_refuses_is_a_store_error(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("a", b"1")
    with pytest.raises(ObjectStoreUnavailable):
        store.put("a/b", b"2")


def test_uris_name_the_object(tmp_path: Path, s3: Any) -> None:
    folder = FolderStore(tmp_path)
    folder.put("a b/c", b"1")
    assert open_store(folder.uri("a b/c").removesuffix("/c")).get("c") == b"1"
    assert S3Store("lake", "/p/", s3).uri("a/c") == "s3://lake/p/a/c"


def test_many_objects_are_listed_over_several_pages(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")
    assert s3.list_objects_v2(Bucket="lake")["MaxKeys"] == 10
    store = S3Store("lake", "p", s3)
    for at in range(35):
        s3.put_object(Bucket="lake", Key=f"p/{at:05d}", Body=b"")
    s3.put_object(Bucket="lake", Key="p/folder/", Body=b"")
    s3.put_object(Bucket="lake", Key="other/x", Body=b"")
    keys = list(store.keys(""))
    assert len(keys) == 35
    assert keys == sorted(keys)


def test_a_bucket_that_is_not_there_is_a_store_error(s3: Any) -> None:
    store = S3Store("no-such-bucket", "", s3)
    with pytest.raises(ObjectStoreUnavailable, match="no-such-bucket"):
        store.put("k", b"")
    with pytest.raises(ObjectStoreUnavailable):
        store.get("k")
    with pytest.raises(ObjectStoreUnavailable):
        list(store.keys(""))


def test_an_s3_that_does_not_answer_is_a_store_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    config = Config(connect_timeout=1, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    # Port 1 of this machine: nothing listens there.
    client = boto3.client("s3", endpoint_url="http://127.0.0.1:1", region_name="eu-central-1", config=config)
    store = S3Store("lake", "", client)
    for use in (lambda: store.put("k", b""), lambda: store.get("k"), lambda: store.exists("k"), lambda: list(store.keys(""))):
        with pytest.raises(ObjectStoreUnavailable) as caught:
            use()
        assert isinstance(caught.value.__cause__, EndpointConnectionError)


def test_addresses_are_opened(tmp_path: Path, s3: Any) -> None:
    folder = open_store(f"file://{tmp_path}/with%20space")
    folder.put("k", b"1")
    assert (tmp_path / "with space" / "k").read_bytes() == b"1"
    bucket = open_store("s3://lake/deep/prefix/")
    bucket.put("k", b"2")
    assert s3.get_object(Bucket="lake", Key="deep/prefix/k")["Body"].read() == b"2"
    open_store("s3://lake").put("k", b"3")
    assert s3.get_object(Bucket="lake", Key="k")["Body"].read() == b"3"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/tmp/x",
        "file://host/x",
        "file:relative",
        "s3://",
        "s3:///x",
        "https://user:hunter2@host/x",
        "s3://key:hunter2@bucket/x",
        "gs://b/x",
    ],
)
def test_other_addresses_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)


def test_a_wrong_endpoint_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsInvalid, match="endpoint"):
        open_store("s3://lake", endpoint_url="nonsense")


def test_the_module_needs_neither_boto3_nor_pandas_to_be_imported() -> None:
    program = "import sys, propensity.adapters.object_store; print(sorted({'boto3', 'pandas', 'pyarrow', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_the_first_creates(store: ObjectStore) -> None:
    assert store.create("a/marker", b"first")
    assert not store.create("a/marker", b"second")
    assert not store.create("a/marker", b"first")
    assert store.get("a/marker") == b"first"
    assert list(store.keys("a/")) == ["a/marker"]


def test_of_many_at_once_one_creates(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    barrier = threading.Barrier(8)

    def attempt(at: int) -> bool:
        barrier.wait()
        return store.create("a/marker", b"%d" % at)

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(attempt, range(8)))
    assert won.count(True) == 1
    assert store.get("a/marker") == b"%d" % won.index(True)
    assert list(store.keys("")) == ["a/marker"]


def test_an_object_is_fetched_to_a_file(store: ObjectStore, tmp_path: Path) -> None:
    data = os.urandom(3 * 1024 * 1024 + 1)
    store.put("a/b", data)
    store.fetch("a/b", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data
    with pytest.raises(NotFound):
        store.fetch("a/c", tmp_path / "other")


def test_a_version_is_fetched_though_another_replaced_it(s3: Any, tmp_path: Path) -> None:
    s3.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket="lake", Key="a/b", Body=b"first")["VersionId"]
    store = S3Store("lake", "", s3)
    store.put("a/b", b"second")
    store.fetch("a/b", tmp_path / "copy", first)
    assert (tmp_path / "copy").read_bytes() == b"first"
    with pytest.raises(NotFound):
        store.fetch("a/b", tmp_path / "copy", "no-such-version")


def test_s3_that_cannot_decide_is_unavailable_and_other_refusals_are_told() -> None:
    class Undecided:
        def __init__(self, code: str) -> None:
            self.code, self.asked = code, 0

        def put_object(self, **_: Any) -> None:
            self.asked += 1
            raise ClientError({"Error": {"Code": self.code}}, "PutObject")

    for code, asked in (("ConditionalRequestConflict", 3), ("AccessDenied", 1)):
        client: Any = Undecided(code)
        with pytest.raises(ObjectStoreUnavailable):
            S3Store("lake", "", client).create("a", b"")
        assert client.asked == asked


def test_the_functions_that_use_it_need_no_numpy() -> None:
    code = "import sys, propensity.adapters.object_store, propensity.list_state; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
