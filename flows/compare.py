"""Compare: the daily sequence of champion and challengers. Shadow scores, then the new champion's watch, then who may win."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.promote import package_check, sync_alias
from flows.shadow import shadow_into
from propensity.adapters.platform import Platform, platform
from propensity.adapters.recorded import recorded
from propensity.campaigns import campaign
from propensity.challenge import RollbackBound
from propensity.comparison import BETTER, Comparison, Kind, compare
from propensity.decisions import PENDING, PROVEN, State, may_win, roll_back, shadowed
from propensity.errors import ModelDamaged, NoLiveModel, RegistryUnavailable
from propensity.ports import Promotion
from propensity.retry import DELAYS_S, RETRIES, is_store_error

log = logging.getLogger("propensity.flows")
ACTOR = "compare"


@flow(name="compare")
@recorded("compare")
def compare_models(campaign_name: str) -> dict[str, Any]:
    """Score in shadow what is missing, take the new champion back where it does worse than declared, promote a proven challenger.

    Running it again on the same day changes nothing more. Raises ModelDamaged where a rollback is due and the package before is damaged.
    """
    result = decide_daily(campaign_name)
    for line in sentences(result):
        log.info(f"{campaign_name}: {line}")
    return result


@task(name="compare", cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=list(DELAYS_S), retry_condition_fn=is_store_error)
def decide_daily(campaign_name: str) -> dict[str, Any]:
    return compare_into(platform(), campaign_name)


def compare_into(at: Platform, campaign_name: str, *, now: datetime | None = None, busy_share: float = 0.5) -> dict[str, Any]:
    """The work of the flow, without Prefect. ``now``: as if it were that time (UTC); only whole, mature days are looked at."""
    at.shadow.make_partitions()
    shadows = shadow_into(at, campaign_name, busy_share=busy_share)
    result: dict[str, Any] = {
        "campaign": campaign_name,
        "shadow": shadows["models"],
        "watch": None,
        "challenges": [],
        "decision": None,
        "live": None,
    }
    state = State.read(at.ledger, campaign_name)
    if state.live is None:
        return result
    result["live"] = state.live.model_version
    until = campaign(campaign_name).label.rules.mature_until(now or at.shadow.now())
    watched = watch(at, state, until)
    result["watch"] = watched
    result["decision"] = None if watched is None else watched.pop("decision")
    if result["decision"] is None:
        looks = challenges(at, state, until)
        result["challenges"] = [{"why_not": why_not, **look.as_json()} for look, why_not in looks]
        result["decision"] = promote_proven(at, state, looks)
    result["alias"] = _synced(at, campaign_name)
    return result


def look(at: Platform, state: State, challenger: str, since: datetime, until: datetime, kind: Kind) -> Comparison:
    """Compare the live model with another on mature outcomes of [since, until); the day's first look stands."""
    live, begun = state.live, state.begun
    assert live is not None
    assert begun is not None
    champion, line = live.model_digest, state.line
    declared = campaign(state.campaign)
    paired = at.shadow.paired(state.campaign, champion, challenger, since, until, line, declared.label.rules) if since < until else iter(())
    found = compare(
        declared,
        paired,
        champion=champion,
        challenger=challenger,
        since=since,
        until=until,
        ledger_sequence=begun.sequence,
        kind=kind,
        line=line,
    )
    return at.comparisons.record(found)


def watch(at: Platform, state: State, until: datetime) -> dict[str, Any] | None:
    """Hold a new champion against the one before it; take it back where it is worse by the declared bound, surely and repeatedly.

    Only what a promotion put live is watched: a model that a rollback brought back stays until the next promotion. None where there is
    nothing to watch.
    """
    bound, begun = campaign(state.campaign).challenge.rollback, state.begun
    if bound is None or begun is None or begun.action != "promote" or begun.replaces is None or begun.replaces in state.line:
        return None
    assert begun.created_at is not None
    look(at, state, begun.replaces, begun.created_at, until, "watch")
    looks = watches(at.comparisons.last(state.campaign, 10 * bound.confirmations, "watch"), begun)
    result: dict[str, Any] = {"look": looks[0].as_json(), "worse_looks_in_a_row": worse_in_a_row(looks, bound), "decision": None}
    if result["worse_looks_in_a_row"] >= bound.confirmations:
        result["decision"] = _take_back(at, state, looks[: bound.confirmations], bound)
    return result


def watches(looks: Sequence[Comparison], begun: Promotion) -> list[Comparison]:
    """Looks at what one promotion put live, newest first, one a day."""
    return list({one.until: one for one in looks if one.ledger_sequence == begun.sequence}.values())


def worse_in_a_row(looks: Sequence[Comparison], bound: RollbackBound) -> int:
    """How many of the newest looks found the model before better by the bound, the whole interval above zero."""
    count = 0
    for one in looks:
        gain = one.gains[bound.measure]
        if not (one.verdict == BETTER and gain.always_low > 0 and gain.gain >= bound.worse_by):
            break
        count += 1
    return count


def _take_back(at: Platform, state: State, looks: Sequence[Comparison], bound: RollbackBound) -> dict[str, Any]:
    live, newest = state.live, looks[0]
    assert live is not None
    gain = newest.gains[bound.measure]
    reason = (
        f"{bound.measure} of {live.model_version} is worse than that of {newest.challenger[:12]} by {gain.gain:.5f} on "
        f"{newest.labelled:,} mature outcomes; at most {bound.worse_by:g} is allowed"
    )
    evidence = {"looks": [one.as_json() for one in looks]}
    check = package_check(at, state.campaign)
    try:
        row = roll_back(
            at.ledger, state.campaign, ACTOR, reason, check=check, expected=live.model_digest, evidence=evidence, automatic=True
        )
    except (ModelDamaged, NoLiveModel) as exc:
        # Visible as a failed run, on every day until somebody mends the package or promotes another model.
        raise ModelDamaged(f"campaign {state.campaign!r}: {reason}, but it was not taken back: {exc}") from exc
    return {
        "action": "rollback",
        "step": row.step,
        "sequence": row.sequence,
        "model_digest": row.model_digest,
        "reasons": list(row.reasons),
    }


def challenges(at: Platform, state: State, until: datetime) -> list[tuple[Comparison, str | None]]:
    """A look at every model in shadow, and why it could not go live by it, whatever it says; None where it could."""
    live = state.live
    assert live is not None
    begun = next(row.created_at for row in state.history if row.model_digest in state.line)
    found = []
    for one in shadowed(campaign(state.campaign), state.history):
        if begun is not None:
            # Either may have been trained on outcomes of what was logged before the first decision on it.
            compared = look(at, state, one.digest, max(one.since, begun), until, "challenge")
            found.append((compared, may_win(state, one.digest)))
    return found


def promote_proven(at: Platform, state: State, looks: Sequence[tuple[Comparison, str | None]]) -> dict[str, Any] | None:
    """Put the best of those proven better live, or let it wait for a person. Raises PromotionConflict, ModelDamaged."""
    winners = [one for one, why_not in looks if why_not is None and one.verdict == BETTER]
    if not winners:
        return None
    best = max(winners, key=lambda one: one.gain.always_low)
    package_check(at, state.campaign)(best.challenger)
    action, step = ("refuse", PENDING) if campaign(state.campaign).challenge.approval == "human" else ("promote", PROVEN)
    reasons = [f"passed: better than the live model on {best.labelled:,} mature outcomes: {best.reason}", best.caveat]
    evidence = {"comparison": best.as_json(), "champion_digest": best.champion}
    row = at.ledger.append(state.next(action, step, best.challenger, reasons, evidence, ACTOR))
    return {"action": action, "step": step, "sequence": row.sequence, "model_digest": best.challenger, "reasons": reasons}


def _synced(at: Platform, campaign_name: str) -> str:
    try:
        sync_alias(at, campaign_name)
    except RegistryUnavailable as exc:
        # The ledger says what is live; the alias in MLflow follows with the next run.
        log.warning(f"{campaign_name}: {exc}; its alias follows later")
        return "not set: MLflow did not answer"
    return "set"


def sentences(result: dict[str, Any]) -> list[str]:
    """What a run found, in lines for people."""
    lines = [
        f"{digest[:12]} in shadow ({done['why']}): " + (done["problem"] or f"{done['predictions']:,} new predictions")
        for digest, done in result["shadow"].items()
    ]
    if result["watch"] is not None:
        lines.append("watch: " + _told(result["watch"]["look"]))
    lines += ["challenge: " + _told(found) for found in result["challenges"]]
    if result["live"] is not None and not result["challenges"] and result["watch"] is None:
        lines.append("nothing to compare: no model but the live one was decided on")
    decision = result["decision"]
    if result["live"] is None:
        return [*lines, "no model is live"]
    if decision is None:
        return [*lines, f"the live model {result['live']} stays"]
    verb = {"rollback": "is live again", "promote": "is live now", "refuse": "waits for approval"}[decision["action"]]
    return [*lines, f"model {decision['model_digest'][:12]} {verb}", *(f"  {reason}" for reason in decision["reasons"])]


def _told(found: dict[str, Any]) -> str:
    more = "" if found["rows_needed"] is None else f"; about {found['rows_needed']:,} mature outcomes would do"
    words = found["verdict"].replace("_", " ")
    return f"{found['challenger'][:12]} against the live {found['champion'][:12]}: {words} ({found['reason']}{more})"
