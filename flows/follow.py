"""Follow: each morning, train again where a trigger fires, and set the live model's level by the newest outcomes.

Both make a package of their own and a row in the promotion history. A retrain that does not pass its gates leaves a refusal and changes
nothing else. The morning's work can be repeated: the same outcomes give the same package, which is live already.
"""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.promote import decided, sync_alias
from propensity.adapters.platform import Platform, platform
from propensity.adapters.recorded import recorded
from propensity.campaign import Campaign
from propensity.campaigns import campaign
from propensity.contact_days import ContactDay, known_days, snapshot_days
from propensity.decisions import State
from propensity.errors import NoLiveModel, PromotionConflict
from propensity.following import TYPICAL_TRAFFIC, traffic_seen
from propensity.model import Model, load_package, save_package
from propensity.ports import LabelledRequest, LoggedRequest, TrainingRun
from propensity.relearning import FAMILIES, LEARNED_UNTIL, challenge, evidence, joined, learning, level_from, level_of, package, recalibrate
from propensity.retraining import Trigger, measured_delay, triggers
from propensity.retry import DELAYS_S, RETRIES, is_store_error
from propensity.scoring import table_from_raw
from propensity.snapshot import read_manifest, read_snapshot

FloatArray = npt.NDArray[np.float64]
# Before the first prediction of any installation.
_EVER = datetime(2000, 1, 1, tzinfo=UTC)
MOST_ROWS = 1_000_000
log = logging.getLogger("propensity.flows")


@flow(name="follow")
@recorded("follow")
def follow(campaign_name: str, actor: str = "schedule") -> dict[str, Any]:
    """Retrain where a trigger fires, then recalibrate. A campaign that declares nothing to follow changes nothing."""
    result = follow_outcomes(campaign_name, actor)
    log.info(f"{campaign_name}: {result['decision']}" + "".join(f"\n  {reason}" for reason in result["reasons"]))
    return result


@task(name="follow", cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=list(DELAYS_S), retry_condition_fn=is_store_error)
def follow_outcomes(campaign_name: str, actor: str) -> dict[str, Any]:
    return follow_into(platform(), campaign_name, actor)


@dataclass
class History:
    """The contact days of a campaign, the scores given on each, and how long its outcomes took."""

    days: list[ContactDay] = field(default_factory=list)
    served: list[FloatArray] = field(default_factory=list)
    delays_days: list[float] = field(default_factory=list)
    today: int = 0


@dataclass(frozen=True)
class Morning:
    """What a run knows: ``trained`` and ``known`` count days of the history that the model has learned from, and whose outcomes are there.

    ``delay``: days until nine of ten outcomes are known. ``state`` is the ledger as it was read before all else.
    """

    at: Platform
    declared: Campaign
    state: State
    model: Model
    history: History
    trained: int
    known: int
    delay: float
    actor: str


def follow_into(at: Platform, campaign_name: str, actor: str, now: datetime | None = None) -> dict[str, Any]:
    """The work of the flow, without Prefect. Raises NoLiveModel where nothing is live."""
    declared, now = campaign(campaign_name), now or datetime.now(UTC)
    # What is decided is decided about this: where somebody else decides meanwhile, it is refused.
    state = State.read(at.ledger, campaign_name)
    live = state.live
    if live is None:
        raise NoLiveModel(f"campaign {campaign_name!r} has no live model to follow: run train and promote first")
    if not declared.retraining.follows:
        return _result("unchanged", ["the campaign declares nothing to follow"])
    model = load_package(at.store, declared, live.model_digest)
    history = read_history(at, declared, model, now)
    delay = measured_delay(history.delays_days)
    known = known_days(history.days, now.date(), delay) if math.isfinite(delay) else 0
    trained = sum(day.date <= _learned_until(model) for day in history.days)
    if known <= trained:
        return _result("no_data", ["no outcome is known yet that the live model has not learned from"])
    morning = Morning(at, declared, state, model, history, trained, known, delay, actor)
    retrained = _retrain(morning)
    if retrained is not None and retrained["decision"] == "promote":
        return retrained
    if retrained is not None:
        state = State.read(at.ledger, campaign_name)
        if state.live_digest != model.digest:
            raise PromotionConflict(f"campaign {campaign_name!r}: another model went live meanwhile; the next run follows that one")
        morning = replace(morning, state=state)
    recalibrated = _recalibrate(morning)
    return recalibrated if retrained is None else {**recalibrated, "refused": retrained}


def read_history(at: Platform, declared: Campaign, model: Model, now: datetime) -> History:
    """The months of the snapshot that the live model comes from, then every logged day before today with what is known of it."""
    history = History()
    requests = _days_of(at, declared, now)
    first = requests[0][0] if requests else now.date()
    if model.manifest.snapshot_id.startswith("s-"):
        data = read_snapshot(at.store, declared, model.manifest.snapshot_id)
        history.days = [day for day in snapshot_days(data) if day.date < first]
        history.served = [model.score(day.table) for day in history.days]
    number = np.concatenate([[place] * sum(len(r.scores) for r, _ in of) for place, (_, of) in enumerate(requests)] or [[]]).astype(
        np.int64
    )
    traffic = traffic_seen(number, declared.retraining.traffic_growth)
    for place, (when, of) in enumerate(requests):
        if when >= now.date():
            history.today = int((number == place).sum())
            break
        history.days.append(_day(declared, when, of, traffic[number == place]))
        history.served.append(np.concatenate([logged.scores for logged, _ in of]))
        history.delays_days += [delay for _, labelled in of for delay in _delays(labelled)]
    return history


def _days_of(at: Platform, declared: Campaign, now: datetime) -> list[tuple[date, list[tuple[LoggedRequest, LabelledRequest]]]]:
    """Every request with its outcomes, by day (UTC)."""
    rules, since = declared.label.rules, _since(at, declared, now)
    known = {one.request_id: one for one in at.outcomes.requests(declared.name, since, now, rules=None)}
    mature = rules.mature_until(now)
    if since < mature:
        known |= {one.request_id: one for one in at.outcomes.requests(declared.name, since, mature, rules=rules)}
    logged = ((one, known[one.request_id]) for one in at.log.window(declared.name, since, now) if one.request_id in known)
    return [(when, list(of)) for when, of in groupby(logged, key=lambda pair: pair[1].received_at.astimezone(UTC).date())]


def _since(at: Platform, declared: Campaign, now: datetime) -> datetime:
    """The first of the newest days that hold at most `MOST_ROWS` predictions together, today among them: what is older is forgotten."""
    held = 0
    for cohort in reversed(at.outcomes.cohorts(declared.name, _EVER, now)):
        held += cohort.predicted
        if held > MOST_ROWS:
            return datetime.combine(cohort.day, time.min, UTC) + timedelta(days=1)
    return _EVER


def _day(declared: Campaign, when: date, of: Sequence[tuple[LoggedRequest, LabelledRequest]], traffic: FloatArray) -> ContactDay:
    tables = [table_from_raw(declared, logged.features, logged.customer_ids, logged.rows) for logged, _ in of]
    labels = np.concatenate([labelled.labels for _, labelled in of])
    known = np.concatenate([labelled.known for _, labelled in of])
    return ContactDay(when, joined(declared, tables), labels, known, traffic)


def _delays(labelled: LabelledRequest) -> Iterator[float]:
    """Days from each prediction to its outcome; one that was read from absence took the whole window, and is not measured here."""
    received = np.datetime64(labelled.received_at.astimezone(UTC).replace(tzinfo=None), "us")
    for came in labelled.outcome_at[labelled.told].tolist():
        yield max(0.0, (np.datetime64(came, "us") - received) / np.timedelta64(1, "D"))


def _learned_until(model: Model) -> date:
    """The last day whose outcomes the model has learned from; of a model trained from a snapshot, the end of its last month."""
    manifest = model.manifest
    if LEARNED_UNTIL in manifest.params:
        return date.fromisoformat(manifest.params[LEARNED_UNTIL])
    if manifest.trained_months is None:
        return date.min
    year, month = map(int, manifest.trained_months[1].split("-"))
    return date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)


def _retrain(morning: Morning) -> dict[str, Any] | None:
    """Ask the triggers; where one fires, train and judge. None where none fires."""
    live, steps = morning.state.live, morning.declared.retraining.steps(morning.delay)
    promised = float((live.evidence.get("challenger") or {}).get("roc_auc") or math.nan) if live else math.nan
    seen = evidence(
        morning.declared.retraining, morning.history.days, morning.history.served.__getitem__, trained=morning.trained,
        known=morning.known, promised=promised, drifted_share=_drifted_share(morning.at, morning.declared.name),
    )  # fmt: skip
    fired = [trigger for trigger in triggers(morning.declared.retraining, seen) if trigger.fired]
    if not fired:
        return None
    learned = learning(morning.declared, morning.history.days, steps)
    judged = challenge(
        morning.declared,
        learned,
        morning.history.days,
        morning.history.served.__getitem__,
        trained=morning.trained,
        known=morning.known,
        delay_days=morning.delay,
        steps=steps,
    )
    if judged is None:
        return _result("refuse", [*(t.reason for t in fired), "too few outcomes to judge a retrain: nothing was changed"])
    fresh = package(
        morning.declared,
        morning.history.days,
        morning.known,
        learned.until(morning.known),
        steps,
        morning.model.manifest.snapshot_id,
        _traffic(morning.history),
    )
    found = {"challenger": judged.challenger, "champion": judged.champion, "rows": judged.rows, "triggers": [t.kind for t in fired]}
    found["failed_absolute"] = judged.judgement.failed_absolute
    action, step, reasons = decided(morning.declared, morning.state, judged.judgement)
    reasons = [*(f"trained again: {trigger.reason}" for trigger in fired), *reasons]
    save_package(morning.at.store, fresh)
    _register(morning.at, fresh, judged.challenger, fired)
    morning.at.ledger.append(
        morning.state.next(action, step, fresh.digest, reasons, {**_storable(found), "label_delay_days": morning.delay}, morning.actor)
    )
    sync_alias(morning.at, morning.declared.name)
    return _result(step or action, reasons, fresh.digest, found)


def _recalibrate(morning: Morning) -> dict[str, Any]:
    """The live model with the level of today: the same model as far as decisions go, so that nobody is asked for approval."""
    steps = morning.declared.retraining.steps(morning.delay)
    if morning.model.manifest.families == FAMILIES:
        level = level_of(
            morning.model,
            morning.history.days,
            steps,
            learning(morning.declared, morning.history.days, steps).until(morning.trained),
            morning.trained,
        )
    else:
        level = level_from(morning.model, morning.history.days, steps, morning.trained)
    reached = level.until(morning.known)
    changed = recalibrate(morning.model, morning.history.days, morning.known, reached, _traffic(morning.history))
    if changed.digest == morning.model.digest:
        return _result("unchanged", ["the level is that of the live model"])
    save_package(morning.at.store, changed)
    offset = changed.manifest.offset
    last, before = morning.history.days[morning.known - 1].date, morning.model.manifest.offset
    reason = f"recalibrated by {reached.rows:,} outcomes until {last}: offset {before:.4f} to {offset:.4f}"
    found = {"recalibrates": morning.model.digest, "label_delay_days": morning.delay}
    morning.at.ledger.append(morning.state.next("promote", "", changed.digest, [reason], found, morning.actor))
    return _result("promote", [reason], changed.digest, found)


def _traffic(history: History) -> float:
    """Contacts a day as assumed now: those of the last day, or today's so far where they are more."""
    last = float(len(history.days[-1])) if history.days else TYPICAL_TRAFFIC
    return max(last, float(history.today))


def _drifted_share(at: Platform, name: str) -> float:
    """Of the last drift run; NaN where there is none."""
    values = [m.value for run in at.monitors.runs(name) if run.kind == "drift" for m in run.metrics if m.metric == "drifted_share"]
    return values[-1] if values else math.nan


def _register(at: Platform, model: Model, metrics: dict[str, float], fired: Sequence[Trigger]) -> None:
    with tempfile.TemporaryDirectory(prefix="propensity-") as folder:
        into, manifest = Path(folder), model.manifest
        (into / "manifest.json").write_bytes(manifest.to_bytes())
        (into / "model.json").write_bytes(model.model_json)
        tags = {
            "model_digest": model.digest,
            "snapshot_id": manifest.snapshot_id,
            "split": manifest.split,
            "triggers": ", ".join(t.kind for t in fired),
        }
        source = read_manifest(at.store, model.campaign, manifest.snapshot_id) if manifest.snapshot_id.startswith("s-") else None
        uri = at.store.uri(source.data_key) if source else ""
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        at.registry.log(
            TrainingRun(
                model.campaign.name, dict(manifest.params), finite, tags, into, {}, manifest.snapshot_id, uri, manifest.trained_rows,
                model.campaign.feature_names,
            )
        )  # fmt: skip


def _storable(found: Any) -> Any:
    """The same without numbers that JSON has not."""
    if isinstance(found, dict):
        return {name: _storable(value) for name, value in found.items()}
    return None if isinstance(found, float) and not math.isfinite(found) else found


def _result(decision: str, reasons: list[str], digest: str | None = None, found: Any = None) -> dict[str, Any]:
    return {"decision": decision, "reasons": reasons, "model_digest": digest, "evidence": found or {}}
