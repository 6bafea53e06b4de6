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
from propensity.errors import NoLiveModel
from propensity.metrics import evaluate
from propensity.model import Model, load_package
from propensity.ports import Promotion
from propensity.promotion import judge, previous
from propensity.retry import DELAYS_S, RETRIES, is_store_error
from propensity.snapshot import SnapshotData, read_snapshot
from propensity.training import choose_split

log = logging.getLogger("propensity.flows")


@flow(name="promote")
def promote(campaign_name: str, digest: str | None = None, actor: str = "flow") -> dict[str, Any]:
    """Judge a package (None: the newest trained) against the campaign's gates and the live model, on the same rows.

    Returns the decision (``promote``, ``refuse`` or ``unchanged``), its reasons and the evidence. Judging the same pair again changes
    nothing.
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
    """The work of the flow, without Prefect."""
    declared = campaign(campaign_name)
    digest = digest or at.registry.newest(campaign_name)
    if digest is None:
        raise NoLiveModel(f"campaign {campaign_name!r} has no trained model yet: run train first")
    live = at.ledger.live(campaign_name)
    # Asked first: where MLflow does not answer, nothing is decided and the live model stays.
    version = at.registry.find(campaign_name, digest)
    if version is None:
        raise NoLiveModel(f"campaign {campaign_name!r}: the model {digest[:12]} is not registered: run train first")
    if live is not None and live.model_digest == digest:
        at.registry.set_alias(campaign_name, "champion", version)
        return _result("unchanged", digest, ["it is live already"], live.evidence)
    history = at.ledger.history(campaign_name)
    champion = None if live is None else live.model_digest
    before = [row for row in history if row.action == "refuse" and row.model_digest == digest and row.replaces == champion]
    if before:
        return _result("refuse", digest, list(before[-1].reasons), before[-1].evidence)
    challenger_metrics, champion_metrics, evidence = compare(at, declared, digest, champion)
    judgement = judge(declared, challenger_metrics, champion_metrics)
    row = Promotion(
        campaign=campaign_name,
        sequence=history[-1].sequence + 1 if history else 1,
        action="promote" if judgement.promote else "refuse",
        model_digest=digest,
        model_version=digest[:12],
        replaces=champion,
        reasons=judgement.reasons,
        evidence={**evidence, "mlflow_version": version},
        actor=actor,
    )
    at.ledger.append(row)
    if judgement.promote:
        at.registry.set_alias(campaign_name, "champion", version)
    return _result(row.action, digest, judgement.reasons, dict(row.evidence))


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

    Raises NoLiveModel or ModelError where there is nothing to go back to, ModelDamaged where that package is no longer sound.
    """
    declared = campaign(campaign_name)
    target = previous(at.ledger, campaign_name)
    live = at.ledger.live(campaign_name)
    load_package(at.store, declared, target.model_digest)
    version = at.registry.find(campaign_name, target.model_digest)
    row = Promotion(
        campaign=campaign_name,
        sequence=at.ledger.history(campaign_name)[-1].sequence + 1,
        action="rollback",
        model_digest=target.model_digest,
        model_version=target.model_version,
        replaces=live.model_digest if live else None,
        reasons=[reason],
        evidence={"restores_sequence": target.sequence},
        actor=actor or getpass.getuser(),
    )
    at.ledger.append(row)
    if version is not None:
        at.registry.set_alias(campaign_name, "champion", version)
    return _result("rollback", target.model_digest, [reason], dict(row.evidence))
