from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from propensity.adapters import download
from propensity.adapters.download import basic_authorization, cached, fetch, sha256, unpack
from propensity.errors import ChecksumMismatch, DataError, Malformed, SourceMissing, StoreError, TooLarge


class Site:
    """A web site on this machine that remembers who asked for what."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | int | str] = {}
        self.asked: list[tuple[str, str | None]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append((self.path, self.headers.get("Authorization")))
                page = site.pages.get(self.path, 404)
                self.send_response(200 if isinstance(page, bytes) else 302 if isinstance(page, str) else page)
                if isinstance(page, str):
                    self.send_header("Location", page)
                body = page if isinstance(page, bytes) else b""
                self.send_header("Content-Length", str(len(body) + (10 if self.path == "/cut" else 0)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever)
    thread.start()
    yield site
    site.server.shutdown()
    site.server.server_close()
    thread.join()


def _zip(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return buffer.getvalue()


def test_a_file_is_fetched_once_and_kept(site: Site, tmp_path: Path) -> None:
    site.pages["/x.csv"] = b"data"
    for _ in range(2):
        assert cached(tmp_path, f"{site.url}/x.csv", "x.csv", sha256(b"data").upper(), ()) == b"data"
    assert len(site.asked) == 1
    assert [path.read_bytes() for path in (tmp_path / "downloads").iterdir()] == [b"data"]


def test_a_damaged_kept_file_is_fetched_again(site: Site, tmp_path: Path) -> None:
    site.pages["/x.csv"] = b"data"
    cached(tmp_path, f"{site.url}/x.csv", "x.csv", sha256(b"data"), ())
    kept = next((tmp_path / "downloads").iterdir())
    kept.write_bytes(b"dat")
    assert cached(tmp_path, f"{site.url}/x.csv", "x.csv", sha256(b"data"), ()) == b"data"
    assert kept.read_bytes() == b"data"


def test_a_file_with_another_checksum_is_refused_and_not_kept(site: Site, tmp_path: Path) -> None:
    site.pages["/x.csv"] = b"altered"
    with pytest.raises(ChecksumMismatch, match=r"x\.csv"):
        cached(tmp_path, f"{site.url}/x.csv", "x.csv", sha256(b"data"), ())
    assert not (tmp_path / "downloads").exists()


def test_archives_in_archives_are_opened_by_members(site: Site, tmp_path: Path) -> None:
    site.pages["/all.zip"] = _zip(**{"inner.zip": _zip(deep__x=b"wrong", **{"deep__x.csv": b"data"}), "other.zip": b"?"})
    assert cached(tmp_path, f"{site.url}/all.zip", "x.csv", sha256(b"data"), ("inner.zip", "deep/x.csv")) == b"data"


def test_unpacking_finds_the_only_file_or_one_of_that_name() -> None:
    assert unpack(b"plain", (), "x.csv") == b"plain"
    assert unpack(b"plain", ("a.zip",), "x.csv") == b"plain"
    assert unpack(_zip(whatever=b"1"), (), "x.csv") == b"1"
    assert unpack(_zip(a=b"1", **{"deep__x.csv": b"2"}), (), "x.csv") == b"2"
    with pytest.raises(SourceMissing):
        unpack(_zip(a=b"1", b=b"2"), (), "x.csv")


def test_damaged_and_oversized_archives_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    good = _zip(a=b"data" * 100)
    with pytest.raises(Malformed):
        unpack(good[:-30], (), "x.csv")
    middle = good.index(b"a", 30) + 6
    with pytest.raises(Malformed):
        unpack(good[:middle] + b"\xff\xff" + good[middle + 2 :], (), "x.csv")
    monkeypatch.setattr(download, "LARGEST_BYTES", 399)
    with pytest.raises(TooLarge):
        unpack(good, (), "x.csv")


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, SourceMissing), (410, SourceMissing), (401, DataError), (403, DataError), (500, StoreError), (503, StoreError)],
)
def test_refusals_are_told_apart(site: Site, status: int, error: type[Exception]) -> None:
    site.pages["/x"] = status
    with pytest.raises(error, match=str(status)):
        fetch(f"{site.url}/x")


def test_an_address_that_does_not_answer_is_a_store_error(site: Site) -> None:
    site.pages["/cut"] = b"half"
    with pytest.raises(StoreError):
        fetch("http://127.0.0.1:1/x")
    with pytest.raises(StoreError, match="broke off"):
        fetch(f"{site.url}/cut")


def test_a_body_over_the_limit_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.pages["/x"] = b"12345"
    monkeypatch.setattr(download, "LARGEST_BYTES", 4)
    with pytest.raises(TooLarge):
        fetch(f"{site.url}/x")


@pytest.mark.parametrize("url", ["http://example.com/x.csv", "ftp://127.0.0.1/x", "file:///etc/passwd", "x.csv"])
def test_only_https_is_fetched(url: str) -> None:
    with pytest.raises(DataError):
        fetch(url)


def test_credentials_go_to_the_address_and_not_to_where_it_redirects(site: Site) -> None:
    site.pages["/private"] = f"{site.url}/storage"
    site.pages["/storage"] = b"data"
    header = basic_authorization("user", "key")
    assert fetch(f"{site.url}/private", header) == b"data"
    assert site.asked == [("/private", header), ("/storage", None)]


def test_a_state_folder_that_refuses_is_a_store_error(site: Site, tmp_path: Path) -> None:
    site.pages["/x"] = b"data"
    (tmp_path / "downloads").write_text("a file where the folder should be")
    with pytest.raises(StoreError):
        cached(tmp_path, f"{site.url}/x", "x.csv", sha256(b"data"), ())
