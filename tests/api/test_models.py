"""The live model is swapped beside the requests, and the last good one stays whatever goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from api.models import LEDGER
from propensity.errors import NoLiveModel
from propensity.model import Model, package_key
from tests.api.conftest import World
from tests.api.models import make_model
from tests.api.processes import wait_for


def test_nothing_is_live_before_a_promotion(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.models.refresh()
    assert world.models.get("term-deposit") is None
    with pytest.raises(NoLiveModel):
        world.models.live("term-deposit")


def test_a_promotion_is_picked_up_and_a_rollback_too(world: World, deposit: Model, rival: Model) -> None:
    assert world.models.live("term-deposit").model.digest == deposit.digest
    world.promote(rival)
    assert world.models.live("term-deposit").model.digest == rival.digest
    world.promote(deposit)
    live = world.models.live("term-deposit")
    assert (live.model.digest, live.promotion.replaces, live.promotion.actor) == (deposit.digest, rival.digest, "tester")


def test_a_bad_package_keeps_the_last_good_model(world: World, deposit: Model, rival: Model) -> None:
    world.promote(rival, refresh=False)
    good = world.store.objects[package_key("term-deposit", rival.digest, "model.json")]
    world.store.objects[package_key("term-deposit", rival.digest, "model.json")] = good[:-1]
    world.models.refresh()
    assert world.models.live("term-deposit").model.digest == deposit.digest
    assert rival.version in world.models.problems["term-deposit"]
    assert world.client.get("/readyz").status_code == 200
    assert rival.version in world.client.get("/readyz").json["models"]["term-deposit"]["problem"]


def test_a_bad_package_is_not_read_again_at_every_look(world: World, rival: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    world.promote(rival, refresh=False)
    world.store.objects[package_key("term-deposit", rival.digest, "model.json")] = b"{}"
    asked: list[str] = []
    get = world.store.get

    def counted(key: str) -> bytes:
        asked.append(key)
        return get(key)

    monkeypatch.setattr(world.store, "get", counted)
    for _ in range(5):
        world.models.refresh()
    assert len(asked) == 2
    assert world.models.problems["term-deposit"]


def test_dead_stores_keep_the_last_good_model_and_are_caught_up_with(world: World, deposit: Model, rival: Model) -> None:
    world.database.down = True
    world.models.refresh()
    assert world.models.live("term-deposit").model.digest == deposit.digest
    assert world.models.problems[LEDGER]
    world.database.down = False
    world.promote(rival, refresh=False)
    world.store.down = True
    world.models.refresh()
    assert world.models.live("term-deposit").model.digest == deposit.digest
    assert set(world.models.problems) == {"term-deposit"}
    # The reason stays while the ledger does not answer, and what it said before is still caught up with.
    world.database.down = True
    world.models.refresh()
    assert set(world.models.problems) == {LEDGER, "term-deposit"}
    world.store.down = False
    world.models.refresh()
    assert world.models.live("term-deposit").model.digest == rival.digest
    assert set(world.models.problems) == {LEDGER}
    world.database.down = False
    world.models.refresh()
    assert not world.models.problems


def test_it_starts_with_everything_down_and_catches_up(make_world: Callable[..., World], deposit: Model) -> None:
    world = make_world()
    world.promote(deposit, refresh=False)
    world.database.down = True
    world.models.start()
    assert world.client.get("/livez").status_code == 200
    assert world.client.get("/readyz").status_code == 503
    world.database.down = False
    wait_for(lambda: world.client.get("/readyz").status_code == 200)
    world.models.stop()


def test_an_unexpected_failure_does_not_end_the_watch(
    make_world: Callable[..., World], deposit: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    world.promote(deposit, refresh=False)
    asked = threading.Event()

    def fail() -> dict[str, str]:
        asked.set()
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, "marks", fail)
        world.models.start()
        assert asked.wait(20)
    wait_for(lambda: world.models.get("term-deposit") is not None)
    world.models.stop()


def test_a_swap_fails_no_request_and_every_reply_names_the_model_that_scored_it(
    world: World, rows: list[dict[str, Any]], deposit: Model, rival: Model
) -> None:
    expected = {model.digest: [p["score"] for p in _scored_by(world, model, rows)] for model in (deposit, rival)}
    assert len({tuple(scores) for scores in expected.values()}) == 2
    world.models.start()
    ended, wrong, seen = threading.Event(), [], set()

    def ask() -> None:
        while not ended.is_set():
            reply = world.predict({"customers": rows[:5], "reasons": 1})
            if reply.status_code != 200 or [p["score"] for p in reply.json["predictions"]] != expected[reply.json["model"]["digest"]]:
                wrong.append(reply.text)
            else:
                seen.add(reply.json["model"]["digest"])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for model in (deposit, rival) * 4:
        world.promote(model, refresh=False)
        wait_for(lambda digest=model.digest: world.models.live("term-deposit").model.digest == digest)  # type: ignore[misc]
    ended.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert seen == {deposit.digest, rival.digest}


def _scored_by(world: World, model: Model, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    world.promote(model)
    found: list[dict[str, Any]] = world.predict({"customers": rows[:5], "reasons": 0}).json["predictions"]
    return found


def test_any_promoted_package_can_be_had_by_digest(world: World, deposit: Model) -> None:
    others = [make_model(deposit.campaign, seed=seed, trees=2) for seed in range(20, 26)]
    for model in others:
        world.promote(model)
    for model in (*others, deposit):
        assert world.models.package(deposit.campaign, model.digest).digest == model.digest
    with pytest.raises(NoLiveModel):
        world.models.package(deposit.campaign, "0" * 64)
