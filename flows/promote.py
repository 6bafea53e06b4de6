"""Promote: put a challenger live if it passes its gates, and go back if it was a mistake. Every decision is a row for ever."""

from __future__ import annotations

import getpass
import logging
import math
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from propensity.adapters.platform import Platform, platform
from propensity.campaign import Campaign
from propensity.campaigns import campaign
from propensity.decisions import PENDING, TRIAL, Check, State, no_model, roll_back
from propensity.metrics import evaluate
from propensity.model import Model, load_package
from propensity.promotion import Judgement, judge
from propensity.retry import DELAYS_S, RETRIES, is_store_error
from propensity.snapshot import SnapshotData, read_snapshot
from propensity.training import choose_split

log = logging.getLogger("propensity.flows")


@flow(name="promote")
def promote(campaign_name: str, digest: str | None = None, actor: str = "flow") -> dict[str, Any]:
    """Judge a package (None: the newest trained) against the campaign's gates and the live model, on the same rows.

    Returns the decision (``promote``, ``refuse``, ``pending``, ``trial``, ``rejected`` or ``unchanged``), its reasons and the evidence.
    Judging the same pair again changes nothing.
    """
    result = decide_promotion(campaign_name, digest, actor)
    log.info(f"{campaign_name}: {result['decision']} {result['model_digest'][:12]}")
    for reason in result["reasons"]:
        log.info(f"  {reason}")
    return result


@task(name="decide", cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=list(DELAYS_S), retry_condition_fn=is_store_error)
def decide_promotion(campaign_name: str, digest: str | None, actor: str) -> dict[str, Any]:
    return promote_into(platform(), campaign_name, digest, actor)


def promote_into(at: Platform, campaign_name: str, digest: str | None, actor: str) -> dict[str, Any]:
    """The work of the flow, without Prefect. Raises PromotionConflict where somebody else decided meanwhile; then nothing was done."""
    declared = campaign(campaign_name)
    digest = digest or at.registry.newest(campaign_name)
    if digest is None:
        raise no_model(campaign_name, None)
    # Asked first: where MLflow does not answer, nothing is decided and the live model stays.
    version = at.registry.find(campaign_name, digest)
    if version is None:
        raise no_model(campaign_name, digest)
    state = State.read(at.ledger, campaign_name)
    known = _known(state, digest)
    if known is not None:
        sync_alias(at, campaign_name)
        return known
    challenger_metrics, champion_metrics, evidence = compare(at, declared, digest, state.live_digest)
    judgement = judge(declared, challenger_metrics, champion_metrics)
    evidence |= {"mlflow_version": version, "failed_absolute": judgement.failed_absolute}
    action, step, reasons = decided(declared, state, judgement)
    row = at.ledger.append(state.next(action, step, digest, reasons, evidence, actor))
    sync_alias(at, campaign_name)
    return _result(step or action, digest, reasons, dict(row.evidence))


def _known(state: State, digest: str) -> dict[str, Any] | None:
    """What was decided on the model before, where that still holds: the same pair is judged once."""
    if state.live is not None and digest in state.line:
        return _result("unchanged", digest, ["it is live already"], state.live.evidence)
    taken = state.taken_back(digest)
    if taken is not None:
        why = f"failed: it was taken back in decision {taken.sequence}; a person can put it live: propensity promote --override"
        return _result("refuse", digest, [why], dict(taken.evidence))
    before = [row for row in state.history if row.action == "refuse" and row.model_digest == digest and state.fits(row)]
    if before:
        return _result(before[-1].step or "refuse", digest, list(before[-1].reasons), before[-1].evidence)
    return None


def decided(declared: Campaign, state: State, judgement: Judgement) -> tuple[str, str, list[str]]:
    """Action, step and reasons of a model that was judged by its gates."""
    rules = declared.challenge
    if not judgement.promote:
        return "refuse", "", judgement.reasons
    if rules.proof == "shadow" and state.live is not None:
        return "refuse", TRIAL, [*judgement.reasons, "on trial: scores in shadow until it is proven better on mature outcomes"]
    if rules.approval == "human":
        return "refuse", PENDING, [*judgement.reasons, "waits for approval: propensity approve"]
    return "promote", "", judgement.reasons


def sync_alias(at: Platform, campaign_name: str) -> None:
    """Let MLflow's alias ``champion`` follow the ledger, whatever was decided meanwhile; the ledger alone says what is live."""
    told: str | None = None
    while (live := at.ledger.live(campaign_name)) is not None and live.model_digest != told:
        version = at.registry.find(campaign_name, live.model_digest)
        if version is None:
            return
        at.registry.set_alias(campaign_name, "champion", version)
        told = live.model_digest


def compare(
    at: Platform, declared: Campaign, digest: str, champion: str | None
) -> tuple[dict[str, float], dict[str, float] | None, dict[str, Any]]:
    """Figures of both models on the challenger's test rows, which the challenger never saw, and the evidence to keep."""
    challenger = load_package(at.store, declared, digest)
    data = read_snapshot(at.store, declared, challenger.manifest.snapshot_id)
    split = choose_split(declared, data.label, data.months, int(challenger.manifest.params["seed"]))
    evidence: dict[str, Any] = {
        "snapshot_id": data.manifest.snapshot_id,
        "split": split.description,
        "rows": int(split.test.sum()),
        "label_delay": "none: every outcome of the test rows is known",
    }
    ours = _figures(challenger, data, split.test)
    evidence["challenger"] = _storable(ours)
    if champion is None:
        return ours, None, evidence
    live = load_package(at.store, declared, champion)
    theirs = _figures(live, data, split.test)
    # A champion trained on later data has seen some of these rows, and its figures flatter it.
    evidence |= {
        "champion_digest": champion,
        "champion": _storable(theirs),
        "champion_trained_months": list(live.manifest.trained_months or ()),
    }
    return ours, theirs, evidence


def _figures(model: Model, data: SnapshotData, test: Any) -> dict[str, float]:
    return evaluate(model.score(data.table.take(test)), data.label[test], model.campaign.economics)


def _storable(metrics: dict[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def _result(decision: str, digest: str, reasons: list[str], evidence: Any) -> dict[str, Any]:
    return {"decision": decision, "model_digest": digest, "reasons": reasons, "evidence": evidence}


def rollback_into(at: Platform, campaign_name: str, actor: str | None = None, reason: str = "asked for") -> dict[str, Any]:
    """Put the previous live model back. The scoring service follows within its reload interval.

    Raises NoLiveModel or NothingToDecide where there is nothing to go back to, ModelDamaged where that package is no longer sound,
    PromotionConflict where somebody else decided meanwhile.
    """
    row = roll_back(at.ledger, campaign_name, actor or getpass.getuser(), reason, check=package_check(at, campaign_name))
    sync_alias(at, campaign_name)
    return _result("rollback", row.model_digest, list(row.reasons), dict(row.evidence))


def package_check(at: Platform, campaign_name: str) -> Check:
    """Makes sure that a package is sound before it goes live; raises ModelDamaged, NoLiveModel."""
    declared = campaign(campaign_name)
    return lambda digest: load_package(at.store, declared, digest)
