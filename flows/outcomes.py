"""Outcomes: files of what happened later, from object storage or the shell, each taken once."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from propensity.adapters.platform import Platform, platform
from propensity.adapters.recorded import recorded
from propensity.callsheet import error_sheet
from propensity.campaign import Campaign
from propensity.campaigns import campaign
from propensity.errors import DataError, RowIssue, RowsInvalid, SourceMissing
from propensity.lists.files import ENDINGS
from propensity.outcome_files import OutcomeFile, open_outcomes
from propensity.outcome_rules import WINDOWS_BACK
from propensity.outcomes import STATUSES, counted, form
from propensity.ports import OutcomeBatch
from propensity.retry import DELAYS_S, RETRIES, is_store_error

FLOW = "outcomes"
INBOX = "outcomes"
ERRORS, SET_ASIDE = "outcome-errors", "outcomes-set-aside"
# So many wrong rows are listed; how many there are in all is always told.
MOST_ISSUES = 10_000

log = logging.getLogger("propensity.flows")
steps = logging.getLogger("propensity.flows.steps")
Watch = Callable[[int, int], None]


@flow(name="outcomes")
@recorded("outcomes")
def outcomes(campaign_name: str) -> dict[str, Any]:
    """Take every file below ``outcomes/<campaign>/`` that was not taken before, then look again for what waits for its prediction.

    A file that cannot be read is set aside with a sentence and does not stop the others.
    """
    done = [take_object(campaign_name, key) for key in waiting_files(campaign_name)]
    found = look_again(campaign_name)
    log.info(f"{campaign_name}: {len(done)} files of outcomes, {sum(found.values()):,} outcomes found their prediction later")
    return {"campaign": campaign_name, "files": done, "matched_later": found}


@task(name="waiting files", cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=list(DELAYS_S), retry_condition_fn=is_store_error)
def waiting_files(campaign_name: str) -> list[str]:
    return waiting_in(platform(), campaign_name)


@task(name="take outcomes", cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=list(DELAYS_S), retry_condition_fn=is_store_error)
def take_object(campaign_name: str, key: str) -> dict[str, Any]:
    return take_into(platform(), campaign_name, key)


@task(name="look again", cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=list(DELAYS_S), retry_condition_fn=is_store_error)
def look_again(campaign_name: str) -> dict[str, int]:
    """Outcomes that wait are looked at for as long as a prediction may be found for them."""
    rules = campaign(campaign_name).label.rules
    return dict(platform().outcomes.rematch(campaign_name, rules=rules, since=datetime.now(UTC) - WINDOWS_BACK * rules.window))


def waiting_in(at: Platform, campaign_name: str) -> list[str]:
    """Keys of the files that were not taken yet. An object that was replaced is another file."""
    keys = [key for key in at.store.keys(f"{INBOX}/{campaign_name}/") if key.lower().endswith(ENDINGS)]
    return [key for key in keys if at.periods.finished(FLOW, campaign_name, f"{key}@{_sha256(at, key)}") is None]


def _sha256(at: Platform, key: str) -> str:
    digest = hashlib.sha256()
    for piece in at.store.pieces(key):
        digest.update(piece)
    return digest.hexdigest()


def take_into(at: Platform, campaign_name: str, key: str) -> dict[str, Any]:
    """Take one file of object storage. A call after a crash goes on where the last one was."""
    name, sha256 = PurePosixPath(key).name, _sha256(at, key)
    done = at.periods.finished(FLOW, campaign_name, f"{key}@{sha256}")
    if done is not None:
        return done
    with tempfile.TemporaryDirectory(prefix="propensity-") as folder:
        path = Path(folder) / name
        at.store.fetch(key, path)
        place = f"{campaign_name}/{sha256[:12]}-{name}"
        try:
            result = {"file": key, **take_file(at, campaign_name, path, f"drop:{name}")}
            issues = result.pop("issues")
            if issues:
                at.store.put(f"{ERRORS}/{place}.csv", error_sheet(issues))
                result["errors"] = at.store.uri(f"{ERRORS}/{place}.csv")
        except DataError as exc:
            at.store.put_file(f"{SET_ASIDE}/{place}", path)
            at.store.put(f"{SET_ASIDE}/{place}.reason.txt", f"{exc}\n".encode())
            result = {"file": key, "refused": str(exc), "set_aside": at.store.uri(f"{SET_ASIDE}/{place}")}
            log.info(f"{name}: set aside: {exc}")
    at.periods.finish(FLOW, campaign_name, f"{key}@{sha256}", result)
    return result


def take_file(at: Platform, campaign_name: str, path: Path, source: str, watch: Watch | None = None) -> dict[str, Any]:
    """Take a local file in parts, each in one transaction with the note that it was taken.

    A file that was taken before is not taken again, under whatever name it comes: what of it waits for its prediction is looked at again.

    Returns
    -------
    dict
        Counts by status, those of rows that were ``refused``, and ``issues``, the first `MOST_ISSUES` of them.

    Raises
    ------
    DataError
        The file cannot be read, or no row of it can be used.
    StoreError
        A store did not answer; the same call goes on from where this one was.
    """
    declared = campaign(campaign_name)
    if path.is_dir():
        raise DataError(f"{path.name} is a folder, not a file of outcomes")
    if not path.is_file():
        raise SourceMissing(f"there is no file {path}")
    how = form(declared, datetime.now(UTC))
    steps.info(f"looking through {path.name}")
    with tempfile.TemporaryDirectory(prefix="propensity-") as scratch, open_outcomes(path, declared, how, Path(scratch)) as file:
        done = at.periods.finished(FLOW, campaign_name, file.sha256)
        if done is not None:
            found = at.outcomes.rematch(campaign_name, rules=declared.label.rules)
            return {**done, "taken_before": True, "matched_later": dict(found), "issues": []}
        steps.info(f"taking {file.rows:,} outcomes")
        return _take(at, declared, file, path.name, source, watch)


def _take(at: Platform, declared: Campaign, file: OutcomeFile, name: str, source: str, watch: Watch | None) -> dict[str, Any]:
    counts, issues, refused = counted(()), list[RowIssue](), 0
    for part in file.parts(form(declared, datetime.now(UTC))):
        batch = OutcomeBatch(file.sha256, part.number)
        found = at.outcomes.record(declared.name, part.outcomes, source, rules=declared.label.rules, batch=batch)
        counts = {status: counts[status] + found[status] for status in STATUSES}
        issues += part.issues[: MOST_ISSUES - len(issues)]
        refused += len(part.issues)
        if watch is not None:
            watch(sum(counts.values()) + refused, file.rows)
    if refused == file.rows:
        raise RowsInvalid(f"none of the {refused:,} rows of {name} can be used", issues)
    result = {"name": name, "received": file.rows, "refused": refused, **counts}
    at.periods.finish(FLOW, declared.name, file.sha256, result)
    return {**result, "taken_before": False, "issues": issues}
