"""Score: every list in the inbox, once, to a call sheet beside it; every prediction in the log."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import uuid
from pathlib import Path, PurePosixPath
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from propensity.adapters.object_store import FolderStore
from propensity.adapters.platform import Platform, platform
from propensity.adapters.sources import read_source
from propensity.callsheet import call_sheet, error_sheet
from propensity.campaign import Campaign
from propensity.campaigns import campaign
from propensity.errors import DataError, NoLiveModel
from propensity.ingest import read_rows
from propensity.model import Model, load_package
from propensity.retry import DELAYS_S, RETRIES, is_store_error
from propensity.scoring import UNKNOWN_COLUMN, ScoredList, score_list

# Names the ids of batch requests: the same list, decided by the same model under the same declaration, has the same request id.
_NAMESPACE = uuid.UUID("6c5a3d1c-0f0e-5d0e-9d6f-6a0f6f0b7a11")

log = logging.getLogger("propensity.flows")
steps = logging.getLogger("propensity.flows.steps")


@flow(name="score")
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
    keys = [key for key in at.store.keys(f"inbox/{campaign_name}/") if key.endswith((".csv", ".parquet"))]
    return [key for key in keys if at.periods.finished("score", campaign_name, _period(key, at.store.get(key))) is None]


def _period(key: str, data: bytes) -> str:
    return f"{key}@{hashlib.sha256(data).hexdigest()}"


def live_model(at: Platform, declared: Campaign) -> Model:
    """The campaign's live model. Raises NoLiveModel where nothing was promoted."""
    live = at.ledger.live(declared.name)
    if live is None:
        raise NoLiveModel(f"campaign {declared.name!r} has no live model: run ingest, train and promote first")
    return load_package(at.store, declared, live.model_digest)


def score_into(at: Platform, campaign_name: str, key: str) -> dict[str, Any]:
    """Score one list of the inbox: log it, then write ``lists/<campaign>/<name>/call-sheet.csv`` and ``errors.csv``."""
    declared = campaign(campaign_name)
    data = at.store.get(key)
    period = _period(key, data)
    done = at.periods.finished("score", campaign_name, period)
    if done is not None:
        return done
    model = live_model(at, declared)
    name = PurePosixPath(key).name
    with tempfile.TemporaryDirectory(prefix="propensity-") as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            scored, not_used = score_file(at, declared, model, path)
        except DataError as exc:
            result: dict[str, Any] = {"list": key, "refused": str(exc)}
            log.info(f"{name}: refused: {exc}")
            at.periods.finish("score", campaign_name, period, result)
            return result
    place = f"lists/{campaign_name}/{PurePosixPath(name).stem}-{period[-64:][:12]}"
    request_id = batch_id(period, model)
    log_list(at, scored, request_id, source=f"inbox:{name}", body_sha256=period[-64:])
    at.store.put(f"{place}/errors.csv", error_sheet(scored.issues))
    at.store.put(f"{place}/call-sheet.csv", call_sheet(scored, request_id))
    result = {"list": key, **counts(scored, request_id, not_used), "call_sheet": at.store.uri(f"{place}/call-sheet.csv")}
    at.periods.finish("score", campaign_name, period, result)
    return result


def score_file(at: Platform, declared: Campaign, model: Model, path: Path) -> tuple[ScoredList, dict[str, str]]:
    """Read, check and score a file of customers; return the list, and each column that was not used with the reason.

    Raises DataError where it cannot be read.
    """
    raw = read_source(str(path), declared, home=at.settings.home)
    rows = read_rows(declared, raw)
    steps.info(f"scoring and explaining {len(rows.table):,} customers")
    not_used = {**rows.dropped, **dict.fromkeys(rows.ignored, UNKNOWN_COLUMN)}
    return score_list(model, rows, declared.policy), not_used


def batch_id(content: str, model: Model) -> str:
    """Request id of a batch. Another policy is another decision, and so another request, even for the same rows and model."""
    return str(uuid.uuid5(_NAMESPACE, f"{content}/{model.digest}/{model.campaign.digest()}"))


def counts(scored: ScoredList, request_id: str, not_used: dict[str, str]) -> dict[str, Any]:
    """What became of a list, for people and for the record."""
    return {
        "request_id": request_id,
        "received": scored.received,
        "scored": len(scored.table),
        "refused_rows": scored.refused,
        "not_used": not_used,
        "contact": int(scored.decision.contact.sum()),
    }


def log_list(at: Platform, scored: ScoredList, request_id: str, *, source: str, body_sha256: str) -> None:
    """Commit a scored list to the prediction log; the request id is its idempotency key, so that it is logged once."""
    entry = scored.logged(request_id, scored.model.campaign.digest(), source=source)
    at.log.append(entry, idempotency_key=request_id, body_sha256=body_sha256, reply=b"")


def score_to_file(at: Platform, campaign_name: str, path: Path, out: Path) -> dict[str, Any]:
    """Score a file from the shell: log it, then write the call sheet to ``out`` and refused rows beside it.

    The same file scored by the same model is logged once. Both files appear whole or not at all.
    """
    declared = campaign(campaign_name)
    model = live_model(at, declared)
    scored, not_used = score_file(at, declared, model, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    request_id = batch_id(f"{path.name}@{sha256}", model)
    log_list(at, scored, request_id, source=f"file:{path.name}", body_sha256=sha256)
    folder = FolderStore(out.parent)
    errors = out.with_name(out.name + ".errors.csv")
    if scored.issues:
        folder.put(errors.name, error_sheet(scored.issues))
    folder.put(out.name, call_sheet(scored, request_id))
    return {**counts(scored, request_id, not_used), "errors": str(errors)}
