"""A list opened from a local path, whatever its format."""

from __future__ import annotations

from pathlib import Path

from propensity.campaign import Campaign
from propensity.errors import DataError, StoreError, UnsupportedMedia
from propensity.lists.chunks import ListFile

ENDINGS = (".csv", ".parquet")


def open_list(path: Path, campaign: Campaign, scratch: Path, *, name: str | None = None) -> ListFile:
    """Open a list by the ending of its name: ``.csv`` or ``.parquet``. A pass over the file finds its digest, and what makes it unreadable.

    Parameters
    ----------
    scratch : Path
        Folder for a copy in UTF-8, where it takes one.
    name : str or None
        What messages call the file; its own name where None.

    Raises
    ------
    UnsupportedMedia
        Another ending.
    Malformed, TooLarge
        Not readable as that format.
    DataError
        No rows.
    StoreError
        The disk refuses.
    """
    name = name or path.name
    kind = Path(name).suffix.lower()
    if kind not in ENDINGS:
        raise UnsupportedMedia(f"{name} is not read: the name of a data file ends in .csv or .parquet")
    try:
        if not path.stat().st_size:
            raise DataError(f"{name} is empty")
        found = _parquet(path, campaign, name) if kind == ".parquet" else _csv(path, campaign, name, scratch)
    except OSError as exc:
        raise StoreError(f"{name} cannot be read: {exc.strerror or type(exc).__name__}") from exc
    if not found.rows:
        raise DataError(f"{name} holds column names but no rows")
    return found


def _csv(path: Path, campaign: Campaign, name: str, scratch: Path) -> ListFile:
    from propensity.lists.csv_file import CsvList

    return CsvList(campaign, path, name, scratch / "list.utf-8.csv")


def _parquet(path: Path, campaign: Campaign, name: str) -> ListFile:
    from propensity.lists.parquet_file import ParquetList

    return ParquetList(campaign, path, name)
