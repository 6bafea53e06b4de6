"""Shadow: challengers score what the champion answered, from the log, so that no caller waits for them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from propensity.adapters.platform import Platform, platform
from propensity.adapters.recorded import recorded
from propensity.campaigns import all_campaigns, campaign
from propensity.decisions import Shadowed, State, shadowed
from propensity.errors import ModelError, StoreError
from propensity.model import Manifest, load_package, package_key
from propensity.promotion import choose
from propensity.retry import DELAYS_S, RETRIES, is_store_error
from propensity.shadow import Followed, catch_up_from, follow

# What is younger may still be committing; a later pass takes it.
SETTLE = timedelta(seconds=5)
EVERY_S = 10.0
NICENESS = 15

log = logging.getLogger("propensity.flows")


@flow(name="shadow")
@recorded("shadow")
def shadow(campaign_name: str, sweep: bool = False) -> dict[str, Any]:
    """Score the requests that came since, with every model in shadow. ``sweep`` looks for missing ones from the beginning."""
    result = catch_up(campaign_name, sweep)
    for digest, done in result["models"].items():
        log.info(f"{campaign_name}: {digest[:12]} scored {done['predictions']:,} predictions in shadow")
    return result


@task(name="follow", cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=list(DELAYS_S), retry_condition_fn=is_store_error)
def catch_up(campaign_name: str, sweep: bool) -> dict[str, Any]:
    return shadow_into(platform(), campaign_name, sweep=sweep)


def shadow_into(
    at: Platform,
    campaign_name: str,
    *,
    sweep: bool = False,
    models: Sequence[str] | None = None,
    until: datetime | None = None,
    busy_share: float = 0.5,
) -> dict[str, Any]:
    """One pass over what the campaign's models in shadow have not scored.

    A package that cannot be used stops its own model alone; ``problem`` says why. ``models``: versions or digests in place of those that
    the campaign's rules name; only such as stand in the ledger.
    """
    declared = campaign(campaign_name)
    until = until or at.shadow.now() - SETTLE
    found: dict[str, Any] = {}
    for one in _chosen(at, campaign_name, models):
        try:
            model = load_package(at.store, declared, one.digest)
            since = one.since if sweep else catch_up_from(at.shadow, campaign_name, one)
            done = follow(at.shadow, declared, model, since, until, partial(read_manifest_of, at, campaign_name), busy_share=busy_share)
        except ModelError as exc:
            log.error(f"{campaign_name}: {one.digest[:12]} cannot score in shadow: {exc}")
            done = Followed(problem=str(exc))
        found[one.digest] = {"why": one.why, **done.as_json()}
    return {"campaign": campaign_name, "until": until.isoformat(), "models": found}


def read_manifest_of(at: Platform, campaign_name: str, digest: str) -> Manifest:
    """What a logged model said of its features. Raises NotFound, ModelDamaged."""
    return Manifest.from_bytes(at.store.get(package_key(campaign_name, digest, "manifest.json")))


def _chosen(at: Platform, campaign_name: str, models: Sequence[str] | None) -> list[Shadowed]:
    state = State.read(at.ledger, campaign_name)
    if models is None:
        return shadowed(campaign(campaign_name), state.history)
    rows = [choose(state.history, state.live_digest, wanted) for wanted in models]
    first = {row.model_digest: row.created_at for row in reversed(state.history)}
    return [Shadowed(row.model_digest, since, "asked for") for row in rows if (since := first[row.model_digest]) is not None]


def follow_for_ever(
    at: Platform,
    names: Sequence[str],
    models: Sequence[str] | None = None,
    *,
    every_s: float = EVERY_S,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Follow the log of these campaigns until stopped; whatever a store does, the next pass goes on where this one ended."""
    os.nice(NICENESS)
    while not stop():
        for name in names:
            try:
                result = shadow_into(at, name, models=models)
            except StoreError as exc:
                log.warning(f"{name}: {exc}; shadow scoring goes on when the store is back")
                continue
            total = sum(done["predictions"] for done in result["models"].values())
            if total:
                log.info(f"{name}: {total:,} predictions scored in shadow")
        time.sleep(every_s)


def main() -> int:
    """``python -m flows.shadow``: follow every campaign, until the process is ended. It may be killed at any moment, and run twice."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    at = platform()
    at.shadow.make_partitions()
    follow_for_ever(at, list(all_campaigns()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
