"""Score uploaded lists: ``python -m flows.list_job LIST_ID``, ``--pending`` for every list that waits or was left half done, ``--watch`` to
go on looking for such.

Started by the Lambda function ``list_uploaded``, as a task on ECS that nobody starts again where it is killed: that is what ``--pending``
is for, on a schedule. A machine without events runs ``--watch``. Either may run any number of times, and at once: what a list's
first job decided (``plan.json``) every other one does, too, the log takes a request once, and the first end stands.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event

from flows.live import counts, live_model
from propensity.adapters.platform import Platform, platform
from propensity.campaign import Campaign
from propensity.campaigns import all_campaigns, campaign
from propensity.errors import ChecksumMismatch, DataError, NotFound, PropensityError, StoreError, TooLarge
from propensity.list_state import (
    CLAIM,
    ERRORS,
    EXCLUDED,
    FINISHED,
    FORMATS,
    MANIFEST,
    PLAN,
    PROGRESS,
    RESULT,
    ROOT,
    TASK,
    UNKNOWN,
    UPLOAD,
    Claim,
    Finished,
    ListId,
    Manifest,
    Plan,
    Task,
    failed,
    first_of,
    parse_key,
    parse_list_id,
    read_json,
)
from propensity.lists.chunks import ListFile
from propensity.lists.files import open_list
from propensity.lists.results import write_errors, write_excluded
from propensity.lists.run import Spread, excluded_path, score_file
from propensity.lists.scorer import LogTo
from propensity.model import Model, load_package
from propensity.retry import DELAYS_S

# A job that began so long ago and has not ended is taken to be dead. Were it alive, both would do the same.
STALE_S = 3600.0
# Between two looks of a watch.
LOOK_S, LOOK_S_AFTER_ERROR = 0.15, 5.0
# Between two words about a list's progress.
TELL_S = 1.0
SWEEP = "pending"
COUNTS = ("received", "scored", "refused_rows", "contact")
GATE_COUNTS = ("excluded_rows", "held_out")

log = logging.getLogger("propensity.flows")
Clock = Callable[[], datetime]
# Of a list whose upload lies in a folder: who helps to score it.
Spreading = Callable[[ListId, Claim, ListFile, Path], Spread | None]


def score_uploaded(at: Platform, list_id: ListId, *, now: Clock, spread: Spreading | None = None) -> Finished:
    """Score one list and return how it ended; where it has ended before, nothing is done. ``spread``: which other machines help.

    Raises
    ------
    NotFound
        There is no such list, or nothing was uploaded to it yet.
    ModelError
        No model can be used; once one can, the same call goes on.
    StoreError
        A store did not answer; the same call goes on from where this one was.
    """
    ended = read_json(at.store, list_id.key(FINISHED), Finished)
    if ended is not None:
        return ended
    manifest = read_json(at.store, list_id.key(MANIFEST), Manifest)
    if manifest is None:
        raise NotFound(UNKNOWN)
    with tempfile.TemporaryDirectory(prefix="propensity-") as folder:
        # Messages name the file: by a name of ours, since the sender's own is not known here and could be a customer's.
        path = Path(folder) / f"upload{FORMATS[manifest.format]}"
        claim = _fetch(at, list_id, path, now)
        try:
            end = _scored(at, list_id, manifest, claim, path, now, spread)
        except DataError as exc:
            end = failed(exc.code, str(exc), now())
    end = first_of(at.store, list_id.key(FINISHED), end)
    log.info(f"list {list_id}: {end.state}" + (f": {end.code}" if end.code else f", {end.counts}"))
    return end


def _fetch(at: Platform, list_id: ListId, path: Path, now: Clock) -> Claim:
    """Copy the version of the upload that is the list; claim the one that is there where nobody did. Raises NotFound without an upload."""
    claim = read_json(at.store, list_id.key(CLAIM), Claim)
    at.store.fetch(list_id.key(UPLOAD), path, claim.version if claim else None)
    if claim is None:
        claim = first_of(at.store, list_id.key(CLAIM), Claim(version=None, size_bytes=path.stat().st_size, noticed_at=now()))
        if claim.version is not None:
            at.store.fetch(list_id.key(UPLOAD), path, claim.version)
    return claim


def _scored(at: Platform, list_id: ListId, manifest: Manifest, claim: Claim, path: Path, now: Clock, spread: Spreading | None) -> Finished:
    if claim.size_bytes > manifest.limit_bytes:
        raise TooLarge(f"the upload has {claim.size_bytes:,} bytes; this list may have up to {manifest.limit_bytes:,}")
    declared = campaign(list_id.campaign)
    source = open_list(path, declared, path.parent)
    plan = _plan(at, list_id, declared, source.sha256, now)
    if plan.declaration_digest != declared.digest():
        return failed("conflict", "the campaign was declared anew while the list was scored; send it as a new list", now())
    if plan.upload_sha256 != source.sha256:
        raise ChecksumMismatch("another file was uploaded while the list was scored; send it as a new list")
    model = load_package(at.store, declared, plan.model_digest)
    log_to = LogTo(at.log, f"{list_id}@{source.sha256}", f"list:{list_id}", source.sha256, manifest.owner)
    helpers = None if spread is None else spread(list_id, claim, source, path.parent)
    counted, request_id = _score(at, list_id, model, source, path.parent, log_to, helpers)
    return Finished(state="done", finished_at=now(), counts=counted, model_digest=model.digest, request_id=request_id)


def _plan(at: Platform, list_id: ListId, declared: Campaign, sha256: str, now: Clock) -> Plan:
    """What the list's first job decided: the model that was live then, which now may be another."""
    known = read_json(at.store, list_id.key(PLAN), Plan)
    if known is not None:
        return known
    live = live_model(at, declared).digest
    mine = Plan(model_digest=live, declaration_digest=declared.digest(), upload_sha256=sha256, planned_at=now())
    return first_of(at.store, list_id.key(PLAN), mine)


def _score(
    at: Platform, list_id: ListId, model: Model, source: ListFile, folder: Path, log_to: LogTo, spread: Spread | None
) -> tuple[dict[str, int], str]:
    """Score, log, and write both files; the counts and the request id. Doing it again does the same again."""
    sheet, errors = folder / RESULT, folder / ERRORS
    told = _Teller(at, list_id)
    scored = score_file(source, model, home=at.settings.home, out=sheet, errors=errors, log=log_to, spread=spread, watch=told, gate=at.gate)
    if not errors.exists():
        write_errors((), errors)
    excluded = excluded_path(errors)
    if not excluded.exists():
        write_excluded(None, excluded)
    at.store.put_file(list_id.key(ERRORS), errors)
    at.store.put_file(list_id.key(EXCLUDED), excluded)
    at.store.put_file(list_id.key(RESULT), sheet)
    counted = counts(scored)
    return {name: int(counted[name]) for name in (*COUNTS, *GATE_COUNTS) if name in COUNTS or counted[name]}, scored.request_id


class _Teller:
    """Tells whoever looks how far a list is, about once a second; a store that does not take that is no reason to stop."""

    def __init__(self, at: Platform, list_id: ListId) -> None:
        self._at = at
        self._key = list_id.key(PROGRESS)
        self._told_at = time.monotonic()

    def __call__(self, step: str, done: int, total: int) -> None:
        if step != "scoring" or time.monotonic() < self._told_at + TELL_S:
            return
        self._told_at = time.monotonic()
        try:
            self._at.store.put(self._key, json.dumps({"done": done, "total": total}).encode())
        except StoreError as exc:
            log.warning(f"the progress is not told: {exc}")


def pending(at: Platform, *, stale_s: float, now: Clock) -> list[ListId]:
    """Lists that were uploaded and have not ended, and that no job has begun within ``stale_s`` seconds."""
    found = []
    for name in all_campaigns():
        objects: dict[ListId, set[str]] = {}
        for key in at.store.keys(f"{ROOT}/{name}/"):
            if (parsed := parse_key(key)) is not None:
                objects.setdefault(parsed[0], set()).add(parsed[1])
        waiting = [list_id for list_id, names in objects.items() if {MANIFEST, UPLOAD} <= names and FINISHED not in names]
        found += [list_id for list_id in waiting if _is_stale(at, list_id, stale_s, now)]
    return found


def _is_stale(at: Platform, list_id: ListId, stale_s: float, now: Clock) -> bool:
    task = read_json(at.store, list_id.key(TASK), Task)
    claim = read_json(at.store, list_id.key(CLAIM), Claim)
    begun = task.started_at if task else claim.noticed_at if claim else None
    return begun is None or (now() - begun).total_seconds() >= stale_s


def score_pending(at: Platform, *, stale_s: float, now: Clock) -> list[Finished | PropensityError]:
    """Score what `pending` finds, and return how each ended. One that cannot be scored now does not stop the others."""
    return [_score_one(at, list_id, now) for list_id in pending(at, stale_s=stale_s, now=now)]


def _score_one(at: Platform, list_id: ListId, now: Clock) -> Finished | PropensityError:
    try:
        # An event that comes later finds this and starts nothing.
        first_of(at.store, list_id.key(TASK), Task(task=SWEEP, started_at=now()))
        return patiently(partial(score_uploaded, at, list_id, now=now))
    except PropensityError as exc:
        log.warning(f"list {list_id}: {exc}")
        return exc


def watch(at: Platform, stopped: Event, *, now: Clock) -> None:
    """Score lists as they come, until asked to stop. Whatever a watch before this one left half done comes first.

    Looking takes at most a tenth of the time, however many lists there are.
    """
    # Where another process is at work on a list after all, its lock on the folder shows, and this one comes back later.
    stale_s = 0.0
    while not stopped.is_set():
        began = time.monotonic()
        try:
            found = pending(at, stale_s=stale_s, now=now)
        except StoreError as exc:
            log.warning(f"{exc}; looking again in {LOOK_S_AFTER_ERROR:g} s")
            stopped.wait(LOOK_S_AFTER_ERROR)
            continue
        took_s, stale_s = time.monotonic() - began, STALE_S
        for list_id in found:
            if stopped.is_set():
                return
            _score_one(at, list_id, now)
        stopped.wait(max(LOOK_S, 9 * took_s))


def patiently(work: Callable[[], Finished], sleep: Callable[[float], None] = time.sleep) -> Finished:
    """Do it, and again after a while where a store did not answer. Raises what it raises the last time."""
    for delay_s in DELAYS_S:
        try:
            return work()
        except StoreError as exc:
            log.warning(f"{exc}; trying again in {delay_s:g} s")
            sleep(delay_s)
    return work()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one job; return the process exit code: 0 also for a list that ended as failed, since its status says so."""
    parser = argparse.ArgumentParser(prog="python -m flows.list_job", description="Score uploaded lists.")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("list_id", nargs="?", metavar="LIST_ID", help="<campaign>.<32 hex digits>")
    which.add_argument("--pending", action="store_true", help="every list that waits or was left half done")
    which.add_argument("--watch", action="store_true", help="the same, again and again, until asked to stop")
    parser.add_argument("--stale-s", type=float, default=STALE_S, help="seconds after which a job that has not ended is taken to be dead")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        if args.watch:
            stopped = Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stopped.set())
            log.info("looking for lists")
            watch(platform(), stopped, now=_now)
            return 0
        if args.pending:
            ends = score_pending(platform(), stale_s=args.stale_s, now=_now)
            return max((end.exit_code for end in ends if isinstance(end, PropensityError)), default=0)
        list_id = parse_list_id(args.list_id)
        patiently(lambda: score_uploaded(platform(), list_id, now=_now))
    except PropensityError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return exc.exit_code
    return 0


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    sys.exit(main())
