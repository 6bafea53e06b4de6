"""From a list to its results: what the command line, the flows and every other job call."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from propensity.errors import DataError, StoreError, SuppressionsChanged
from propensity.gate import ContactGate
from propensity.ingest import sort_columns
from propensity.lists.chunks import ListFile
from propensity.lists.export import TRIES, Decided, Export, extra_names
from propensity.lists.results import write_call_sheet, write_errors, write_excluded, write_parquet
from propensity.lists.scorer import LogTo, Outcome, Scorer, Watch, request_id
from propensity.lists.spool import Kept, Spool
from propensity.model import Model
from propensity.scoring import UNKNOWN_COLUMN

_NAMESPACE = uuid.UUID("2b7f2f53-7c0c-5a1e-8f6b-0d6d3c1f9e52")
# What is left of lists that nobody came back to is removed after this time.
KEPT_S = 14 * 24 * 3600.0


class Spread(Protocol):
    """Machines that score chunks of a list, and the place where they keep the answers."""

    @property
    def spool(self) -> Kept: ...
    def score(self, scorer: Scorer) -> None:
        """Have the chunks scored that can be scored elsewhere. Whatever is left the caller does itself. Raises StoreError."""


@dataclass(frozen=True)
class Result:
    """What became of a list.

    Attributes
    ----------
    request_id : str
        The request that holds the first chunk in the log; empty where nothing was logged.
    requests : int
        As many requests hold the list.
    not_used : mapping of column name to reason
    held_out : int
        Customers in the control group.
    excluded : mapping of reason to customers
        Those who are in no result since they may not be contacted.
    """

    request_id: str
    requests: int
    received: int
    scored: int
    refused: int
    contact: int
    not_used: Mapping[str, str]
    held_out: int = 0
    excluded: Mapping[str, int] = field(default_factory=dict)


def score_file(
    source: ListFile,
    model: Model,
    *,
    home: Path,
    out: Path,
    errors: Path,
    log: LogTo | None,
    top_reasons: int = 3,
    watch: Watch | None = None,
    spread: Spread | None = None,
    gate: ContactGate | None = None,
) -> Result:
    """Score a list, log it, and write its results; after a crash the same call goes on where the last one was.

    Parameters
    ----------
    home : Path
        State folder: what is done is kept below ``home/lists`` until the results stand.
    out : Path
        The results: Parquet in the order sent where the name ends in ``.parquet``, else a call sheet, best first, as CSV.
    errors : Path
        Every refused row, as CSV; written where there is any, and removed where there is none. Beside it, under a name of ``excluded``
        (`excluded_path`), everybody who may not be contacted: they are in no result.
    spread : Spread or None
        Other machines that do the chunks. None: this process does.
    gate : ContactGate or None
        Who may not be contacted; None where nobody is contacted by what is decided here.

    Raises
    ------
    DataError
        A column is missing or refused, or the file cannot be read.
    StoreError
        The log did not answer, again and again, or another process is at work on the same list.
    """
    dropped, ignored = sort_columns(model.campaign, source.header, needed=model.campaign.feature_names)
    not_used = {**dropped, **dict.fromkeys(ignored, UNKNOWN_COLUMN)}
    parts = [source.sha256, log.content if log else "", model.digest, model.campaign.digest(), str(top_reasons)]
    folder = home / "lists" / str(uuid.uuid5(_NAMESPACE, "/".join(parts)))
    sweep(folder.parent)
    spool: Kept = Spool(folder) if spread is None else spread.spool
    folder.mkdir(parents=True, exist_ok=True)
    try:
        scorer = Scorer(source, model, model.campaign.policy, spool, log, top_reasons, watch, gate=gate)
        if gate is not None:
            # What a long-lived process knows may be of yesterday.
            gate.newest()
        if spread is not None:
            spread.score(scorer)
        outcome = scorer.run()
        export = _exported(scorer, outcome, out, excluded_path(errors), folder)
        if outcome.refused:
            write_errors(spool.issues(outcome.chunks), errors)
        else:
            errors.unlink(missing_ok=True)
    except DataError:
        # It will be no better the next time.
        spool.remove()
        raise
    finally:
        spool.close()
    spool.remove()
    name = request_id(log.content, model) if log else ""
    counts = (outcome.received, outcome.scored, outcome.refused, export.contact)
    return Result(name, outcome.chunks if log else 0, *counts, not_used, export.held_out, dict(export.excluded))


def excluded_path(errors: Path) -> Path:
    """Where those stand who may not be contacted, given where refused rows stand: ``errors`` becomes ``excluded`` in its name."""
    head, found, tail = errors.name.rpartition("errors")
    return errors.with_name(f"{head}excluded{tail}" if found else f"{errors.name}.excluded.csv")


def _exported(scorer: Scorer, outcome: Outcome, out: Path, excluded: Path, scratch: Path) -> Export:
    """Write the results, anew where somebody was suppressed meanwhile. Raises SuppressionsChanged where that never ends."""
    told = scratch / "excluded.lines"
    for left in reversed(range(TRIES)):
        export = Export(scorer, outcome)
        try:
            with told.open("wb") as lines:
                _write(export, out, scratch, lines)
        except SuppressionsChanged:
            if not left:
                raise
            continue
        if export.excluded:
            write_excluded(told, excluded)
        else:
            excluded.unlink(missing_ok=True)
        return export
    raise AssertionError("the last try returns or raises")


def _write(export: Export, out: Path, scratch: Path, told: BinaryIO) -> None:
    chunks = ahead(export.decided(told))
    if out.suffix.lower() == ".parquet":
        write_parquet(chunks, out, confirm=export.confirm)
    else:
        write_call_sheet(chunks, out, scratch, extras=extra_names(export.scorer), confirm=export.confirm)


def ahead(items: Iterator[Decided]) -> Iterator[Decided]:
    """The same items, each made by another thread while the one before is used."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, items, None)
        while (item := waiting.result()) is not None:
            waiting = pool.submit(next, items, None)
            yield item


def sweep(folder: Path) -> None:
    """Remove what is left of lists that nobody came back to."""
    if not folder.is_dir():
        return
    for old in folder.iterdir():
        if old.is_dir() and old.stat().st_mtime < time.time() - KEPT_S:
            try:
                Spool(old).remove()
            except (StoreError, OSError):
                continue
