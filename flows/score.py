"""Score: every list in the inbox, once, to a call sheet beside it; every prediction in the log. Lists may be of any size."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.live import counts, live_model
from propensity.adapters.download import verify_digest
from propensity.adapters.platform import Platform, platform
from propensity.adapters.recorded import recorded
from propensity.campaign import Campaign
from propensity.campaigns import campaign
from propensity.errors import DataError, SourceMissing
from propensity.lists.chunks import ListFile
from propensity.lists.files import ENDINGS, open_list
from propensity.lists.results import write_errors, write_excluded
from propensity.lists.run import excluded_path, score_file
from propensity.lists.scorer import LogTo, Watch
from propensity.retry import DELAYS_S, RETRIES, is_store_error

log = logging.getLogger("propensity.flows")
steps = logging.getLogger("propensity.flows.steps")


@flow(name="score")
@recorded("score")
def score(campaign_name: str) -> dict[str, Any]:
    """Score every file below ``inbox/<campaign>/`` that was not scored before; one unreadable file does not stop the others."""
    done = [score_object(campaign_name, key) for key in pending(campaign_name)]
    log.info(f"{campaign_name}: {len(done)} lists scored")
    return {"campaign": campaign_name, "lists": done}


@task(name="pending lists", cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=list(DELAYS_S), retry_condition_fn=is_store_error)
def pending(campaign_name: str) -> list[str]:
    return pending_in(platform(), campaign_name)


@task(name="score list", cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=list(DELAYS_S), retry_condition_fn=is_store_error)
def score_object(campaign_name: str, key: str) -> dict[str, Any]:
    return score_into(platform(), campaign_name, key)


def pending_in(at: Platform, campaign_name: str) -> list[str]:
    """Keys of the lists that wait."""
    keys = [key for key in at.store.keys(f"inbox/{campaign_name}/") if key.endswith(ENDINGS)]
    return [key for key in keys if at.periods.finished("score", campaign_name, f"{key}@{_sha256(at, key)}") is None]


def _sha256(at: Platform, key: str) -> str:
    digest = hashlib.sha256()
    for piece in at.store.pieces(key):
        digest.update(piece)
    return digest.hexdigest()


def score_into(at: Platform, campaign_name: str, key: str, watch: Watch | None = None) -> dict[str, Any]:
    """Score one list of the inbox: log it, then write call sheet, refused and excluded rows below ``lists/<campaign>/<name>/``.

    A call after a crash goes on where the last one was.
    """
    declared = campaign(campaign_name)
    name = PurePosixPath(key).name
    with tempfile.TemporaryDirectory(prefix="propensity-") as folder:
        path = Path(folder) / name
        sha256 = _copy(at, key, path)
        period = f"{key}@{sha256}"
        done = at.periods.finished("score", campaign_name, period)
        if done is not None:
            return done
        model = live_model(at, declared)
        sheet, errors = Path(folder) / "call-sheet.csv", Path(folder) / "errors.csv"
        try:
            with _opened(path, declared) as source:
                log_to = LogTo(at.log, period, f"inbox:{name}", sha256)
                stores: dict[str, Any] = {"home": at.settings.home, "log": log_to, "gate": at.gate}
                scored = score_file(source, model, out=sheet, errors=errors, watch=watch, **stores)
        except DataError as exc:
            result: dict[str, Any] = {"list": key, "refused": str(exc)}
            log.info(f"{name}: refused: {exc}")
            at.periods.finish("score", campaign_name, period, result)
            return result
        if not errors.exists():
            write_errors((), errors)
        excluded = excluded_path(errors)
        if not excluded.exists():
            write_excluded(None, excluded)
        place = f"lists/{campaign_name}/{PurePosixPath(name).stem}-{sha256[:12]}"
        at.store.put_file(f"{place}/errors.csv", errors)
        at.store.put_file(f"{place}/excluded.csv", excluded)
        at.store.put_file(f"{place}/call-sheet.csv", sheet)
    result = {"list": key, **counts(scored), "call_sheet": at.store.uri(f"{place}/call-sheet.csv")}
    at.periods.finish("score", campaign_name, period, result)
    return result


def _copy(at: Platform, key: str, path: Path) -> str:
    """Copy an object to a file; return its SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for piece in at.store.pieces(key):
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


@contextmanager
def _opened(path: Path, declared: Campaign) -> Iterator[ListFile]:
    """A list that is ready to be scored. Raises SourceMissing, ChecksumMismatch and what `open_list` raises."""
    if path.is_dir():
        raise DataError(f"{path.name} is a folder, not a list")
    if not path.is_file():
        raise SourceMissing(f"there is no file {path}")
    steps.info(f"looking through {path.name}")
    with tempfile.TemporaryDirectory(prefix="propensity-") as scratch:
        source = open_list(path, declared, Path(scratch))
        if declared.source is not None and path.name == declared.source.file:
            verify_digest(source.sha256, declared.source.sha256, path.name)
        steps.info(f"scoring {source.rows:,} customers")
        yield source


def score_to_file(
    at: Platform, campaign_name: str, path: Path, out: Path, *, top_reasons: int = 3, watch: Watch | None = None
) -> dict[str, Any]:
    """Score a file from the shell: log it, then write the call sheet to ``out`` and refused rows beside it.

    The same file scored by the same model is logged once. Both files appear whole or not at all. After a crash the same call goes on
    where the last one was.
    """
    declared = campaign(campaign_name)
    model = live_model(at, declared)
    errors = out.with_name(out.name + ".errors.csv")
    with _opened(path, declared) as source:
        log_to = LogTo(at.log, f"{path.name}@{source.sha256}", f"file:{path.name}", source.sha256)
        stores: dict[str, Any] = {"home": at.settings.home, "log": log_to, "gate": at.gate}
        scored = score_file(source, model, out=out, errors=errors, top_reasons=top_reasons, watch=watch, **stores)
    return {**counts(scored), "errors": str(errors), "excluded_file": str(excluded_path(errors))}
