"""Raw rows from wherever they lie: a file, the campaign's public source, Kaggle, the web, Postgres, object storage, or a recipe.

======================================  ===========================================================================
``public``                              the campaign's declared file: from ``data_dir`` where that is set, else its URL
``kaggle``                              the same file from Kaggle (needs KAGGLE_USERNAME and KAGGLE_KEY)
``synthetic``, ``synthetic:ROWS:SEED``  drawn by the campaign's recipe
``https://host/file.csv#sha256=...``    a file on the web, with the checksum it must have
``postgresql://...?table=name``         a table (``&order_by=column``) or, with ``?query=``, a query
``s3://bucket/prefix``, ``file://...``  every .csv or .parquet object below, in order of key
anything else                           the path of a .csv or .parquet file
======================================  ===========================================================================
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from propensity.adapters.download import basic_authorization, cached, sha256, verify
from propensity.adapters.object_store import open_store
from propensity.adapters.tabular import Columns, read_table
from propensity.campaign import Campaign, Source
from propensity.errors import DataError, SettingsInvalid, SourceMissing, StoreError
from propensity.raw import Part, RawData
from propensity.synthetic import generate

KAGGLE_URL = "https://www.kaggle.com/api/v1/datasets/download"


@dataclass(frozen=True)
class Surroundings:
    """What reading depends on besides the address."""

    data_dir: Path | None
    home: Path
    s3_endpoint_url: str | None
    environ: Mapping[str, str]


def read_source(
    spec: str,
    campaign: Campaign,
    *,
    data_dir: Path | None = None,
    home: Path = Path(".propensity"),
    s3_endpoint_url: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> RawData:
    """Read every row of a source, unchecked.

    Parameters
    ----------
    spec : str
        One of the forms in this module's table.
    data_dir : Path or None
        Folder with the public data files.
    home : Path
        State folder; downloads are kept in ``home/downloads``.
    environ : mapping or None
        Where Kaggle's credentials stand; None: the process environment.

    Raises
    ------
    SourceMissing
        The file, table, prefix or address is not there.
    ChecksumMismatch
        A file that is declared with a checksum is another one.
    Malformed, UnsupportedMedia, DataError
        The source cannot be read as the campaign declares it, or the spec is wrong.
    SettingsInvalid
        Kaggle's credentials are missing.
    StoreError
        The source does not answer.
    """
    around = Surroundings(data_dir, home, s3_endpoint_url, os.environ if environ is None else environ)
    scheme = spec.partition("://")[0].lower() if "://" in spec else ""
    if spec == "public":
        return _read_public(campaign, around)
    if spec == "kaggle":
        return _read_kaggle(campaign, around)
    if spec.partition(":")[0] == "synthetic":
        return _read_synthetic(spec, campaign)
    if scheme in ("https", "http"):
        return _read_web(spec, campaign, around)
    if scheme in ("postgresql", "postgres"):
        return _read_sql(spec, campaign)
    if scheme in ("s3", "file"):
        return _read_store(spec, campaign, around)
    if scheme:
        raise DataError(
            f"a source cannot be read from {scheme}://; known are https, postgresql, s3, file, a path, public, kaggle, synthetic"
        )
    return _read_path(spec, campaign)


def _declared(campaign: Campaign) -> Source:
    if campaign.source is None:
        raise DataError(f"campaign {campaign.name!r} declares no public source: name a file, an address or a table")
    return campaign.source


def _read_public(campaign: Campaign, around: Surroundings) -> RawData:
    source = _declared(campaign)
    if around.data_dir is not None:
        if not (around.data_dir / source.file).is_file():
            instead = f", or unset it to have the file fetched from {source.url}" if source.url else ""
            raise SourceMissing(f"the folder PROPENSITY_DATA_DIR has no file {source.file}: put it there{instead}")
        return _one_file(_read_bytes(around.data_dir / source.file), source.file, campaign, "public")
    if not source.url:
        raise SourceMissing(
            f"campaign {campaign.name!r} declares no address for {source.file}: set PROPENSITY_DATA_DIR to a folder that has it"
        )
    return _one_file(cached(around.home, source.url, source.file, source.sha256, source.members), source.file, campaign, "public")


def _read_kaggle(campaign: Campaign, around: Surroundings) -> RawData:
    source = _declared(campaign)
    if not source.kaggle:
        raise DataError(f"campaign {campaign.name!r} declares no Kaggle data set")
    user, key = around.environ.get("KAGGLE_USERNAME", ""), around.environ.get("KAGGLE_KEY", "")
    if not user or not key:
        raise SettingsInvalid("Kaggle needs KAGGLE_USERNAME and KAGGLE_KEY in the environment; or take the source 'public'")
    url = f"{KAGGLE_URL}/{quote(source.kaggle)}"
    data = cached(around.home, url, source.file, source.sha256, (), basic_authorization(user, key))
    return _one_file(data, source.file, campaign, "kaggle", url=f"https://www.kaggle.com/datasets/{source.kaggle.rpartition('/')[0]}")


def _read_web(spec: str, campaign: Campaign, around: Surroundings) -> RawData:
    address, _, fragment = spec.partition("#")
    source = campaign.source
    if source is not None and address == source.url and not fragment:
        return _one_file(cached(around.home, address, source.file, source.sha256, source.members), source.file, campaign, "url")
    expected = parse_qs(fragment).get("sha256", [""])[0].lower()
    if len(expected) != 64 or not set(expected) <= set("0123456789abcdef"):
        raise DataError("a file from the web needs the SHA-256 that it must have: append #sha256= and its 64 hexadecimal digits")
    parts = urlsplit(address)
    if parts.username or parts.password:
        raise DataError("an address with a user name or password in it is not read")
    name = unquote(parts.path).rpartition("/")[2]
    # A signed address carries its secret in the query: it is not written down.
    return _one_file(cached(around.home, address, name, expected, ()), name, campaign, "url", url=parts._replace(query="").geturl())


def _read_sql(spec: str, campaign: Campaign) -> RawData:
    from propensity.adapters.sql_source import read_sql

    return read_sql(spec, campaign)


def _read_synthetic(spec: str, campaign: Campaign) -> RawData:
    numbers = spec.split(":")[1:]
    if len(numbers) > 2 or not all(number.isascii() and number.isdigit() for number in numbers):
        raise DataError("synthetic customers are asked for as synthetic, synthetic:ROWS or synthetic:ROWS:SEED, as in synthetic:5000:1")
    return generate(campaign, int(numbers[0]) if numbers else None, int(numbers[1]) if len(numbers) > 1 else 0)


def _read_path(spec: str, campaign: Campaign) -> RawData:
    path = Path(spec)
    if path.is_dir():
        raise DataError(f"{path.name} is a folder: write file:// and its full path to read every file below it")
    if not path.is_file():
        raise SourceMissing(f"there is no file {spec}")
    return _one_file(_read_bytes(path), path.name, campaign, "file")


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise StoreError(f"{path.name} cannot be read: {exc.strerror or type(exc).__name__}") from exc


def _one_file(data: bytes, name: str, campaign: Campaign, kind: str, url: str | None = None) -> RawData:
    declared = _verify_declared(data, name, campaign)
    table = read_table(data, name, campaign)
    provenance: dict[str, object] = {"kind": kind, "name": name, "sha256": sha256(data)}
    if declared is not None:
        provenance |= {key: value for key in ("url", "licence", "citation") if (value := getattr(declared, key))}
    if url:
        provenance["url"] = url
    return RawData(table.columns, table.text, table.n, provenance, (Part("", table.n, table.lines),))


def _verify_declared(data: bytes, name: str, campaign: Campaign) -> Source | None:
    """The declared source where this is its file, by name. Raises ChecksumMismatch where the content is another."""
    if campaign.source is None or name != campaign.source.file:
        return None
    verify(data, campaign.source.sha256, name)
    return campaign.source


def _read_store(spec: str, campaign: Campaign, around: Surroundings) -> RawData:
    root, _, last = spec.rpartition("/")
    single = last.lower().endswith((".csv", ".parquet"))
    store = open_store(root + "/" if single else spec, endpoint_url=around.s3_endpoint_url)
    keys = [unquote(last)] if single else [key for key in store.keys("") if key.lower().endswith((".csv", ".parquet"))]
    if not keys or (single and not store.exists(keys[0])):
        raise SourceMissing(f"there is no .csv or .parquet object at {spec}")
    parts, tables, digests = [], [], []
    for key in keys:
        data = store.get(key)
        _verify_declared(data, key.rpartition("/")[2], campaign)
        table = read_table(data, key, campaign)
        tables.append(table)
        parts.append(Part(key, table.n, table.lines))
        digests.append(f"{sha256(data)}  {key}\n")
    provenance = {"kind": "store", "name": spec, "sha256": sha256("".join(digests).encode()), "objects": len(keys)}
    return RawData(_joined(tables, keys), tables[0].text, sum(table.n for table in tables), provenance, tuple(parts))


def _joined(tables: list[Columns], keys: list[str]) -> dict[str, list[object]]:
    first = tables[0]
    for key, table in zip(keys, tables, strict=True):
        if set(table.columns) != set(first.columns):
            raise DataError(f"{key} has other columns than {keys[0]}: all files of one source need the same")
        if table.text != first.text:
            raise DataError(
                f"{key} is of another kind than {keys[0]}: all files of one source must be CSV, or all Parquet with the same types"
            )
    return {name: [cell for table in tables for cell in table.columns[name]] for name in first.columns}
