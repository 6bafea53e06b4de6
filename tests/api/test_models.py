"""The live model is swapped beside the requests, and the last good one stays whatever goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from api.models import LEDGER
from propensity.errors import Malformed, ModelDamaged, NoLiveModel, NotFound
from propensity.model import Model, SealedPackage, package_key, save_package
from tests.api.conftest import World
from tests.api.models import as_table, make_campaign, make_model
from tests.api.processes import wait_for
from tests.fakes import NOW


def _calls(of: object, name: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows with what the method is called with from now on."""
    asked: list[str] = []
    method = getattr(of, name)

    def counted(given: str) -> Any:
        asked.append(given)
        return method(given)

    monkeypatch.setattr(of, name, counted)
    return asked


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
    asked = _calls(world.store, "get", monkeypatch)
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


def test_the_live_model_costs_a_request_no_look_at_any_store(world: World, deposit: Model) -> None:
    world.database.down = world.store.down = True
    for wanted in (None, "champion", deposit.version, deposit.digest):
        assert world.models.choose("term-deposit", wanted) is world.models.live("term-deposit")


def test_aliases_versions_and_digests_name_models_of_the_ledger(world: World, deposit: Model, rival: Model) -> None:
    refused = make_model(deposit.campaign, seed=12, trees=2)
    world.promote(rival)
    save_package(world.store, refused)
    world.decide(refused.digest, "refuse")
    world.models.refresh()
    chosen = {wanted: world.models.choose("term-deposit", wanted) for wanted in ("champion", "previous", "challenger")}
    assert {wanted: found.model.digest for wanted, found in chosen.items()} == {
        "champion": rival.digest,
        "previous": deposit.digest,
        "challenger": refused.digest,
    }
    assert [found.promotion.action for found in chosen.values()] == ["promote", "promote", "refuse"]
    for model in (deposit, rival, refused):
        for wanted in (model.version, model.digest):
            assert world.models.choose("term-deposit", wanted).model.digest == model.digest


def test_only_what_stands_in_the_campaigns_own_ledger_can_be_chosen(world: World, deposit: Model, rival: Model) -> None:
    save_package(world.store, rival)  # trained and stored, but nobody decided on it
    for wanted in (rival.version, rival.digest, "0" * 12, "previous", "challenger"):
        with pytest.raises(NotFound, match=deposit.version):
            world.models.choose("term-deposit", wanted)
    with pytest.raises(NotFound):
        world.models.choose("small", deposit.digest)
    with pytest.raises(NoLiveModel):
        world.models.choose("small", "champion")


@pytest.mark.parametrize(
    "wanted", ["", "Champion", "latest", "0" * 11, "0" * 13, "g" * 12, "A" * 12, "../x", 1, True, [], {}, "champion\n"]
)
def test_what_names_no_model_is_malformed(world: World, wanted: object) -> None:
    with pytest.raises(Malformed, match="champion, previous, challenger"):
        world.models.choose("term-deposit", wanted)


def test_nothing_but_the_live_model_is_known_before_the_first_look(make_world: Callable[..., World]) -> None:
    world = make_world()
    for ask in (lambda: world.models.choose("term-deposit", "previous"), lambda: world.models.choices("term-deposit")):
        with pytest.raises(NoLiveModel, match="not read yet"):
            ask()


def test_a_model_that_cannot_be_used_is_refused_to_who_chose_it_and_to_nobody_else(world: World, deposit: Model, rival: Model) -> None:
    world.promote(rival)
    key = package_key("term-deposit", deposit.digest, "model.json")
    world.models._packages.clear()
    world.store.objects[key] = world.store.objects[key][:-1]
    with pytest.raises(ModelDamaged):
        world.models.choose("term-deposit", "previous")
    assert world.models.choose("term-deposit").model.digest == rival.digest
    assert not world.models.problems


def test_a_cold_model_is_loaded_once_for_many_requests(world: World, deposit: Model, rival: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    world.promote(rival)
    world.models._packages.clear()
    asked = _calls(world.store, "get", monkeypatch)
    with ThreadPoolExecutor(10) as threads:
        found = list(threads.map(lambda _: world.models.choose("term-deposit", "previous").model, range(10)))
    assert {model.digest for model in found} == {deposit.digest}
    assert len(asked) == 2


def test_a_model_promoted_once_more_has_the_date_of_the_last_time(world: World, deposit: Model) -> None:
    before = world.models.live("term-deposit")
    world.decide(deposit.digest, "rollback")
    world.models.refresh()
    after = world.models.live("term-deposit")
    assert after.model is before.model
    assert (after.promotion.action, after.promotion.sequence) == ("rollback", 2)


def test_the_history_is_read_only_where_something_was_decided(world: World, rival: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _calls(world.ledger, "history", monkeypatch)
    for _ in range(3):
        world.models.refresh()
    assert not asked
    world.promote(rival)
    assert asked.count("term-deposit") >= 1
    assert "small" not in asked


def test_how_old_the_knowledge_is_can_be_seen(make_world: Callable[..., World], deposit: Model) -> None:
    world = make_world()
    assert world.models.looked_at is None
    assert world.client.get("/readyz").json["promotions"]["seconds_since_read"] is None
    world.promote(deposit)
    looked_at = world.models.looked_at
    assert looked_at is not None
    world.database.down = True
    world.models.refresh()
    assert world.models.looked_at == looked_at
    told = world.client.get("/readyz").json
    assert told["promotions"]["seconds_since_read"] >= 0
    assert told["models"]["term-deposit"]["since"] == NOW.isoformat()


def test_a_promotion_that_was_not_taken_is_named(world: World, rival: Model) -> None:
    assert world.models.awaited("term-deposit") is None
    world.promote(rival, refresh=False)
    world.store.objects[package_key("term-deposit", rival.digest, "model.json")] = b"{}"
    world.models.refresh()
    awaited = world.models.awaited("term-deposit")
    assert awaited is not None
    assert awaited.model_digest == rival.digest
    assert world.client.get("/readyz").json["models"]["term-deposit"]["awaited"] == rival.version


def test_a_package_that_was_mended_and_promoted_once_more_is_taken_at_once(world: World, rival: Model) -> None:
    key = package_key("term-deposit", rival.digest, "model.json")
    world.promote(rival, refresh=False)
    world.store.objects[key] = b"{}"
    world.models.refresh()
    world.store.objects[key] = rival.model_json
    world.models.refresh()
    assert world.models.problems["term-deposit"]
    world.decide(rival.digest, "promote")
    world.models.refresh()
    assert world.models.live("term-deposit").model.digest == rival.digest
    assert not world.models.problems


def test_campaigns_are_loaded_beside_each_other(make_world: Callable[..., World], deposit: Model) -> None:
    """One whose package hangs keeps no other from its promotion."""
    world = make_world()
    small = make_model(make_campaign(), trees=2)
    hanging = threading.Event()
    first_parse = world.models._packages._first_parse

    def hang(package: SealedPackage) -> None:
        if package.campaign.name == "term-deposit":
            assert hanging.wait(30)
        first_parse(package)

    world.models._packages._first_parse = hang
    world.promote(deposit, refresh=False)
    world.promote(small, refresh=False)
    world.models.start()
    wait_for(lambda: world.models.get("small") is not None)
    wait_for(lambda: "being loaded" in world.models.problems.get("term-deposit", ""))
    assert world.models.get("term-deposit") is None
    hanging.set()
    wait_for(lambda: world.models.get("term-deposit") is not None)
    wait_for(lambda: not world.models.problems)
    world.models.stop()


def test_the_models_that_can_be_chosen_are_listed_and_shown(world: World, deposit: Model, rival: Model) -> None:
    world.promote(rival)
    url = "/v1/campaigns/term-deposit/model"
    listed = world.client.get(url + "s").json["models"]
    assert [(m["version"], m["digest"], m["aliases"]) for m in listed] == [
        (rival.version, rival.digest, ["champion"]),
        (deposit.version, deposit.digest, ["previous", "challenger"]),
    ]
    assert {m["since"] for m in listed} == {NOW.isoformat()}
    for model in listed:
        for wanted in (model["version"], model["digest"], *model["aliases"]):
            reply = world.client.get(f"{url}?model={wanted}").json
            assert reply["model"]["digest"] == model["digest"]
            assert reply["live"]["digest"] == rival.digest
            assert "canary" not in reply["manifest"]
    assert world.client.get(url).json["model"]["digest"] == rival.digest
    refusals = {"?model=": 400, "?model=latest": 400, "?version=1": 400, f"?model={'0' * 64}": 404}
    assert {query: world.client.get(url + query).status_code for query in refusals} == refusals
    assert world.client.get("/v1/campaigns/small/models").json["models"] == []
    assert world.client.get("/v1/campaigns/nope/models").status_code == 404


@pytest.mark.slow
def test_the_same_bits_come_from_many_threads_while_models_are_swapped_and_chosen(
    world: World, rows: list[dict[str, Any]], deposit: Model, rival: Model
) -> None:
    table = as_table(deposit.campaign, rows)
    expected = {model.digest: model.score(table).tobytes() for model in (deposit, rival)}
    world.promote(rival)
    world.models.start()
    ended, wrong = threading.Event(), []

    def ask(wanted: str) -> None:
        while not ended.is_set():
            model = world.models.choose("term-deposit", wanted).model
            if model.score(table).tobytes() != expected[model.digest]:
                wrong.append(model.digest)

    threads = [threading.Thread(target=ask, args=(wanted,)) for wanted in ("champion", "previous", deposit.version, rival.digest)]
    for thread in threads:
        thread.start()
    for model in (deposit, rival) * 5:
        world.promote(model, refresh=False)
        wait_for(lambda digest=model.digest: world.models.live("term-deposit").model.digest == digest)  # type: ignore[misc]
    ended.set()
    for thread in threads:
        thread.join()
    assert not wrong
