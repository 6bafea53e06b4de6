from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto import mock_aws

from propensity.adapters import sources
from propensity.adapters.object_store import FolderStore
from propensity.adapters.sources import read_source
from propensity.campaign import Campaign, Categorical, Economics, Label, Numeric, Source
from propensity.errors import ChecksumMismatch, DataError, SettingsInvalid, SourceMissing, UnsupportedMedia
from propensity.recipe import Choice, Recipe, Uniform

DATA = b"age;job;y\n1;a;yes\n2;b;no\n"
SHA = hashlib.sha256(DATA).hexdigest()
CAMPAIGN = Campaign(
    name="tiny",
    title="Tiny",
    question="?",
    label=Label("y", "yes", "no"),
    features=(Numeric("age", low=0, high=120), Categorical("job", ("a", "b"))),
    economics=Economics(contact_cost=Decimal(1), conversion_value=Decimal(9), currency="EUR"),
    source=Source(
        file="real.csv",
        sha256=SHA,
        url="https://data.example/real.zip",
        kaggle="owner/set/real.csv",
        delimiter=";",
        licence="CC BY 4.0",
        citation="Somebody",
    ),
    recipe=Recipe(draws={"age": Uniform(0, 9), "job": Choice({"a": 1})}, effects=(), intercept=0, first_month="2020-01", months=2, rows=30),
)
BARE = replace(CAMPAIGN, source=None, recipe=None)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """The web answers with the data file; what was asked for is recorded."""
    asked: list[tuple[str, str | None]] = []

    def fetch(url: str, authorization: str | None = None) -> bytes:
        asked.append((url, authorization))
        return DATA

    monkeypatch.setattr("propensity.adapters.download.fetch", fetch)
    return asked


def test_a_path_is_read(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_bytes(DATA.replace(b"1;", b"3;"))
    raw = read_source(str(tmp_path / "mine.csv"), CAMPAIGN)
    assert raw.columns == {"age": ["3", "2"], "job": ["a", "b"], "y": ["yes", "no"]}
    assert (raw.text, raw.n, raw.place(2)) == (True, 2, "line 3")
    assert raw.provenance == {"kind": "file", "name": "mine.csv", "sha256": hashlib.sha256(DATA.replace(b"1;", b"3;")).hexdigest()}


def test_a_file_of_the_declared_name_must_have_the_declared_checksum(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_bytes(DATA)
    assert read_source(str(tmp_path / "real.csv"), CAMPAIGN).provenance["licence"] == "CC BY 4.0"
    (tmp_path / "real.csv").write_bytes(DATA[:-1])
    for spec in (str(tmp_path / "real.csv"), "public", f"file://{tmp_path}/", f"file://{tmp_path}/real.csv"):
        with pytest.raises(ChecksumMismatch):
            read_source(spec, CAMPAIGN, data_dir=tmp_path)


def test_what_is_not_there_is_missing(tmp_path: Path) -> None:
    for spec in (str(tmp_path / "no.csv"), f"file://{tmp_path}/no/", f"file://{tmp_path}/no.csv", "public"):
        with pytest.raises(SourceMissing):
            read_source(spec, CAMPAIGN, data_dir=tmp_path)
    with pytest.raises(DataError, match="file://"):
        read_source(str(tmp_path), CAMPAIGN)
    (tmp_path / "x.xlsx").write_bytes(b"1")
    with pytest.raises(UnsupportedMedia):
        read_source(str(tmp_path / "x.xlsx"), CAMPAIGN)


def test_the_public_source_comes_from_the_data_folder(tmp_path: Path, fetched: list[tuple[str, str | None]]) -> None:
    (tmp_path / "real.csv").write_bytes(DATA)
    raw = read_source("public", CAMPAIGN, data_dir=tmp_path, home=tmp_path / "home")
    assert raw.provenance == {
        "kind": "public",
        "name": "real.csv",
        "sha256": SHA,
        "url": "https://data.example/real.zip",
        "licence": "CC BY 4.0",
        "citation": "Somebody",
    }
    assert fetched == []


def test_the_public_source_is_fetched_once_where_no_folder_is_set(tmp_path: Path, fetched: list[tuple[str, str | None]]) -> None:
    first, second = (read_source("public", CAMPAIGN, home=tmp_path) for _ in range(2))
    assert first == second
    assert fetched == [("https://data.example/real.zip", None)]


def test_the_declared_address_needs_no_checksum_and_any_other_does(tmp_path: Path, fetched: list[tuple[str, str | None]]) -> None:
    assert read_source("https://data.example/real.zip", CAMPAIGN, home=tmp_path).provenance["kind"] == "url"
    for spec in ("https://other.example/x.csv", "https://other.example/x.csv#sha256=abc", f"https://other.example/x.csv#md5={SHA}"):
        with pytest.raises(DataError, match="SHA-256"):
            read_source(spec, CAMPAIGN, home=tmp_path)
    raw = read_source(f"https://other.example/x.csv?signature=hunter2#sha256={SHA}", CAMPAIGN, home=tmp_path)
    assert raw.n == 2
    assert "hunter2" not in str(raw.provenance)
    with pytest.raises(ChecksumMismatch):
        read_source(f"https://other.example/x.csv#sha256={'0' * 64}", CAMPAIGN, home=tmp_path)
    with pytest.raises(DataError) as caught:
        read_source(f"https://user:hunter2@other.example/x.csv#sha256={SHA}", CAMPAIGN, home=tmp_path)
    assert "hunter2" not in str(caught.value)


def test_kaggle_needs_credentials_and_sends_them(tmp_path: Path, fetched: list[tuple[str, str | None]]) -> None:
    for environ in ({}, {"KAGGLE_USERNAME": "me"}, {"KAGGLE_KEY": "hunter2"}):
        with pytest.raises(SettingsInvalid, match="KAGGLE_USERNAME"):
            read_source("kaggle", CAMPAIGN, home=tmp_path, environ=environ)
    raw = read_source("kaggle", CAMPAIGN, home=tmp_path, environ={"KAGGLE_USERNAME": "me", "KAGGLE_KEY": "hunter2"})
    assert raw.provenance["url"] == "https://www.kaggle.com/datasets/owner/set"
    assert fetched[0][0] == f"{sources.KAGGLE_URL}/owner/set/real.csv"
    assert (fetched[0][1] or "").startswith("Basic ")


def test_what_a_campaign_does_not_declare_is_refused(tmp_path: Path) -> None:
    assert CAMPAIGN.source is not None
    for spec in ("public", "kaggle", "synthetic"):
        with pytest.raises(DataError):
            read_source(spec, BARE, home=tmp_path)
    with pytest.raises(DataError, match="Kaggle"):
        read_source("kaggle", replace(CAMPAIGN, source=replace(CAMPAIGN.source, kaggle="")), home=tmp_path)
    with pytest.raises(SourceMissing):
        read_source("public", replace(CAMPAIGN, source=replace(CAMPAIGN.source, url="")), home=tmp_path)


def test_a_campaign_without_a_source_reads_plain_csv(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(DATA.replace(b";", b","))
    assert read_source(str(tmp_path / "x.csv"), BARE).n == 2


def test_synthetic_rows_are_drawn_as_asked() -> None:
    assert read_source("synthetic", CAMPAIGN).n == 30
    assert read_source("synthetic:7", CAMPAIGN).n == 7
    one, two = read_source("synthetic:7:1", CAMPAIGN), read_source("synthetic:7:2", CAMPAIGN)
    assert one == read_source("synthetic:7:1", CAMPAIGN)
    assert one.columns != two.columns
    assert one.provenance["kind"] == "synthetic"
    for spec in ("synthetic:", "synthetic:x", "synthetic:-1", "synthetic:1:2:3", "synthetic:0", "synthetic:²"):
        with pytest.raises(DataError):
            read_source(spec, CAMPAIGN)


@pytest.mark.parametrize("spec", ["ftp://h/x.csv", "mysql://h/db", "gs://b/x"])
def test_other_schemes_are_refused(spec: str) -> None:
    with pytest.raises(DataError):
        read_source(spec, CAMPAIGN)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="lake")
        yield client


@pytest.mark.parametrize("kind", ["s3", "file"])
def test_every_file_below_a_prefix_is_read_in_order_of_key(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    files = {
        "in/2024/b.csv": b"age;job;y\n3;a;no\n",
        "in/2024/a.CSV": b"y;age;job\nyes;1;a\nno;2;b\n",
        "in/readme.txt": b"?",
        "other/c.csv": b"?",
    }
    if kind == "s3":
        client = request.getfixturevalue("s3")
        for key, data in files.items():
            client.put_object(Bucket="lake", Key=key, Body=data)
    else:
        for key, data in files.items():
            FolderStore(tmp_path).put(key, data)
    root = "s3://lake" if kind == "s3" else f"file://{tmp_path}"
    for spec in (f"{root}/in", f"{root}/in/"):
        raw = read_source(spec, CAMPAIGN)
        assert {name: raw.columns[name] for name in ("age", "job", "y")} == {
            "age": ["1", "2", "3"],
            "job": ["a", "b", "a"],
            "y": ["yes", "no", "no"],
        }
        assert (raw.n, raw.provenance["objects"], raw.place(3)) == (3, 2, "2024/b.csv line 2")
    assert read_source(f"{root}/in/2024/b.csv", CAMPAIGN).columns["age"] == ["3"]
    assert read_source(f"{root}/in", CAMPAIGN).provenance["sha256"] != read_source(f"{root}/in/2024/b.csv", CAMPAIGN).provenance["sha256"]
    with pytest.raises(SourceMissing):
        read_source(f"{root}/in/2024/c.csv", CAMPAIGN)


def test_files_of_one_source_must_agree(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(DATA)
    (tmp_path / "b.csv").write_bytes(b"age;job\n1;a\n")
    with pytest.raises(DataError, match=r"b\.csv"):
        read_source(f"file://{tmp_path}", CAMPAIGN)
    sink = io.BytesIO()
    pq.write_table(pa.table({"age": [1.0], "job": ["a"], "y": ["no"]}), sink)
    (tmp_path / "b.csv").unlink()
    (tmp_path / "b.parquet").write_bytes(sink.getvalue())
    with pytest.raises(DataError, match=r"b\.parquet"):
        read_source(f"file://{tmp_path}", CAMPAIGN)
    (tmp_path / "a.csv").unlink()
    raw = read_source(f"file://{tmp_path}", CAMPAIGN)
    assert (raw.text, raw.columns["age"], raw.place(1)) == (False, [1.0], "b.parquet row 1")
