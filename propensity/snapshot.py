"""A snapshot: an immutable, validated version of a data set, as Parquet and a manifest in object storage.

``snapshots/<campaign>/<snapshot id>/data.parquet`` holds the rows, ``manifest.json`` beside it says what they are. The manifest is
written last: it is what makes the snapshot exist. The id comes from the content alone (`propensity.snapshot_content`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign
from propensity.errors import DataError, NotFound
from propensity.months import MonthArray
from propensity.ports import ObjectStore
from propensity.schema import Table
from propensity.snapshot_content import Content, content_of, content_sha256, from_parquet, table_of, to_parquet

BoolArray = npt.NDArray[np.bool_]
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a snapshot holds.

    Attributes
    ----------
    snapshot_id : str
        ``s-`` and 16 hexadecimal digits of ``content_sha256``.
    declaration_digest : str
        `Campaign.digest` of the declaration under which the rows were validated.
    rows, positives : int
        Rows, and those whose label is positive.
    first_month, last_month : str or None
        ``YYYY-MM``; None where the campaign has no calendar.
    schema : list of dict
        One entry per feature: name, kind and what it allowed.
    source : dict
        Where the rows came from; never holds a password.
    created_at : str
        UTC, RFC 3339. Has no influence on the id.
    """

    snapshot_id: str
    campaign: str
    declaration_digest: str
    content_sha256: str
    rows: int
    positives: int
    first_month: str | None
    last_month: str | None
    schema: list[dict[str, Any]]
    source: dict[str, Any]
    created_at: str
    format: int = FORMAT

    @property
    def data_key(self) -> str:
        """Key of the rows."""
        return f"{_folder(self.campaign, self.snapshot_id)}/data.parquet"

    @property
    def manifest_key(self) -> str:
        """Key of this manifest."""
        return f"{_folder(self.campaign, self.snapshot_id)}/manifest.json"

    def to_json(self) -> bytes:
        """UTF-8 JSON, keys sorted."""
        return json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Read a manifest. Raises DataError where it is damaged or of another format."""
        try:
            manifest = cls(**json.loads(data))
        except (ValueError, TypeError) as exc:
            raise DataError("the manifest of a snapshot is damaged: it is not the JSON that was written; ingest the data again") from exc
        if manifest.format != FORMAT:
            raise DataError(f"the manifest of a snapshot has format {manifest.format!r}; this version reads format {FORMAT}")
        return manifest


@dataclass(frozen=True)
class SnapshotData:
    """The rows of a snapshot.

    Attributes
    ----------
    table : Table
        Features, ids and row numbers.
    label : bool array, shape (n,)
        True: positive.
    months : datetime64[M] array, shape (n,), or None
        Calendar months; None where the campaign has no calendar.
    """

    table: Table
    label: BoolArray
    months: MonthArray | None
    manifest: Manifest


def refuse_excluded(campaign: Campaign, columns: Iterable[str]) -> None:
    """Do nothing where no column is excluded by the campaign. Raises DataError naming each that is, with the declared reason.

    Call it on any data that is handed to training by another way than a snapshot, which never holds an excluded column.
    """
    excluded = {name.strip().casefold(): (name, reason) for name, reason in campaign.excluded}
    found = [excluded[key] for key in dict.fromkeys(str(column).strip().casefold() for column in columns) if key in excluded]
    if found:
        named = "; ".join(f"column {name!r} ({reason})" for name, reason in found)
        raise DataError(f"campaign {campaign.name!r} must not be trained on: {named}. Remove it from the data")


def write_snapshot(store: ObjectStore, table: Table, label: BoolArray, months: MonthArray | None, source: Mapping[str, object]) -> Manifest:
    """Write the snapshot of these rows, or find it where the same content was written before; return its manifest.

    Raises DataError where lengths differ or the stored manifest is damaged, StoreError where the store does not answer.
    """
    return find_or_write(store, table, label, months, source)[0]


def find_or_write(
    store: ObjectStore, table: Table, label: BoolArray, months: MonthArray | None, source: Mapping[str, object]
) -> tuple[Manifest, bool]:
    """`write_snapshot`, and whether the snapshot is new. Nothing is written where it is not."""
    refuse_excluded(table.campaign, table.columns)
    content = content_of(table, label, months)
    manifest = _manifest(table.campaign, content, source)
    if store.exists(manifest.manifest_key):
        return read_manifest(store, table.campaign, manifest.snapshot_id), False
    store.put(manifest.data_key, to_parquet(content))
    store.put(manifest.manifest_key, manifest.to_json())
    return manifest, True


def read_manifest(store: ObjectStore, campaign: Campaign, snapshot_id: str) -> Manifest:
    """The manifest of one snapshot. Raises NotFound, or DataError where it is damaged or not that snapshot's."""
    try:
        manifest = Manifest.from_json(store.get(f"{_folder(campaign.name, snapshot_id)}/manifest.json"))
    except NotFound as exc:
        raise NotFound(f"campaign {campaign.name!r} has no snapshot {snapshot_id!r}") from exc
    if (manifest.campaign, manifest.snapshot_id) != (campaign.name, snapshot_id) or manifest.snapshot_id != _id(manifest.content_sha256):
        raise DataError(f"the manifest of snapshot {snapshot_id!r} speaks of another snapshot; ingest the data again")
    return manifest


def read_snapshot(store: ObjectStore, campaign: Campaign, snapshot_id: str) -> SnapshotData:
    """Read a snapshot and verify its content.

    Raises
    ------
    NotFound
        There is no such snapshot.
    DataError
        Its content is not what its manifest says, or the campaign has since been declared in a way it does not fit.
    """
    manifest = read_manifest(store, campaign, snapshot_id)
    try:
        data = store.get(manifest.data_key)
    except NotFound as exc:
        raise DataError(f"snapshot {snapshot_id!r} is damaged: its rows are missing; ingest the data again") from exc
    content = from_parquet(data, manifest.campaign, manifest.schema)
    if content is None or content_sha256(content) != manifest.content_sha256:
        raise DataError(f"snapshot {snapshot_id!r} is damaged: its rows are not those that were written; ingest the data again")
    return SnapshotData(table_of(content, campaign, snapshot_id), content.label, content.months, manifest)


def list_snapshots(store: ObjectStore, campaign: Campaign) -> list[Manifest]:
    """Every snapshot of a campaign, oldest first. One whose manifest was not written yet does not exist."""
    keys = store.keys(f"snapshots/{campaign.name}/")
    ids = [key.split("/")[2] for key in keys if key.endswith("/manifest.json") and key.count("/") == 3]
    return sorted((read_manifest(store, campaign, one) for one in ids), key=lambda m: (m.created_at, m.snapshot_id))


def latest(store: ObjectStore, campaign: Campaign) -> Manifest:
    """The snapshot that was created last. Raises NotFound where there is none."""
    found = list_snapshots(store, campaign)
    if not found:
        raise NotFound(f"campaign {campaign.name!r} has no snapshot yet: ingest data first")
    return found[-1]


def _folder(campaign: str, snapshot_id: str) -> str:
    return f"snapshots/{campaign}/{snapshot_id}"


def _id(content_sha256: str) -> str:
    return f"s-{content_sha256[:16]}"


def _manifest(campaign: Campaign, content: Content, source: Mapping[str, object]) -> Manifest:
    digest = content_sha256(content)
    span = (None, None) if content.months is None or not len(content.months) else (str(content.months.min()), str(content.months.max()))
    return Manifest(
        snapshot_id=_id(digest),
        campaign=campaign.name,
        declaration_digest=campaign.digest(),
        content_sha256=digest,
        rows=len(content.ids),
        positives=int(content.label.sum()),
        first_month=span[0],
        last_month=span[1],
        schema=content.schema,
        source=dict(source),
        created_at=datetime.now(UTC).isoformat(timespec="microseconds"),
    )
