"""The history over HTTP, and what operators decide."""

from __future__ import annotations

from typing import Any

import pytest

from propensity.model import Model, package_key, save_package
from propensity.ports import Promotion
from tests.api.conftest import World

PATH = "/v1/campaigns/term-deposit"


def history(world: World, **query: str) -> Any:
    reply = world.client.get(f"{PATH}/promotions", query_string=query)
    assert reply.status_code == 200
    return reply.json


def decide(world: World, what: str, **body: Any) -> Any:
    return world.client.post(f"{PATH}/{what}", json={"reason": "agreed with risk", **body})


def wait(world: World, model: Model) -> Promotion:
    """A model that waits for approval."""
    save_package(world.store, model)
    live = world.ledger.live("term-deposit")
    row = world.ledger.append(
        Promotion(
            "term-deposit",
            len(world.ledger.history("term-deposit")) + 1,
            "refuse",
            model.digest,
            model.version,
            None if live is None else live.model_digest,
            ["passed"],
            {},
            "schedule",
            step="pending",
        )
    )
    world.models.refresh()
    return row


def test_the_history_comes_in_pages_newest_first(world: World, deposit: Model, rival: Model) -> None:
    for action in ("refuse", "promote", "refuse"):
        world.decide(rival.digest, action)
    whole = history(world)
    assert [row["sequence"] for row in whole["promotions"]] == [4, 3, 2, 1]
    assert whole["next"] is None
    first = history(world, limit="3")
    assert [row["sequence"] for row in first["promotions"]] == [4, 3, 2]
    rest = world.client.get(first["next"]).json
    assert [row["sequence"] for row in rest["promotions"]] == [1]
    assert rest["promotions"][0]["model"]["digest"] == deposit.digest
    assert rest["next"] is None


@pytest.mark.parametrize("query", [{"limit": "201"}, {"limit": "x"}, {"before": "0"}, {"before": "1" * 11}, {"limit": "+1"}, {"page": "1"}])
def test_a_page_that_cannot_be_is_malformed(world: World, query: dict[str, str]) -> None:
    assert world.client.get(f"{PATH}/promotions", query_string=query).status_code == 400


def test_an_operator_puts_a_known_model_live_and_takes_it_back(world: World, deposit: Model, rival: Model) -> None:
    save_package(world.store, rival)
    world.decide(rival.digest, "refuse")
    world.models.refresh()
    refused = decide(world, "promotions", model="challenger")
    assert (refused.status_code, refused.json["code"]) == (422, "data_invalid")
    reply = decide(world, "promotions", model="challenger", override=True)
    assert (reply.status_code, reply.json["changed"]) == (200, True)
    made = reply.json["decision"]
    assert (made["step"], made["decided_by"], made["reasons"], made["replaces"]) == (
        "operator",
        "operator",
        ["agreed with risk"],
        deposit.digest,
    )
    world.models.refresh()
    assert world.models.live("term-deposit").model.digest == rival.digest
    assert decide(world, "promotions", model=rival.version).json["changed"] is False
    assert decide(world, "rollbacks", live=deposit.version).status_code == 409
    assert decide(world, "rollbacks", live=rival.version).json["decision"]["action"] == "rollback"
    again = decide(world, "rollbacks", live=rival.version)
    assert again.status_code == 409
    world.models.refresh()
    assert world.models.live("term-deposit").model.digest == deposit.digest


def test_an_approval_is_recorded_with_who_and_why(world: World, rival: Model) -> None:
    wait(world, rival)
    (waiting,) = history(world)["waiting"]
    assert (waiting["step"], waiting["fits"], waiting["model"]["digest"]) == ("pending", True, rival.digest)
    world.models.refresh()
    assert world.models.live("term-deposit").model.digest != rival.digest, "what waits is not live"
    anna = world.as_role("operator", "anna")
    reply = anna.post(f"{PATH}/approvals", json={"approve": True, "reason": "agreed with risk"})
    assert reply.status_code == 200
    made = reply.json["decision"]
    assert (made["step"], made["decided_by"], made["evidence"]["approves_sequence"]) == ("approved", "anna", 2)
    world.models.refresh()
    assert world.models.live("term-deposit").model.digest == rival.digest
    assert history(world)["waiting"] == []
    assert decide(world, "approvals", approve=True).json["code"] == "nothing_to_decide"


def test_a_rejection_leaves_the_live_model(world: World, deposit: Model, rival: Model) -> None:
    wait(world, rival)
    assert decide(world, "approvals", approve=False, sequence=9).status_code == 409
    assert decide(world, "approvals", approve=False, sequence=2).json["decision"]["step"] == "rejected"
    world.models.refresh()
    assert world.models.live("term-deposit").model.digest == deposit.digest


def test_what_was_overtaken_is_refused_with_a_sentence(world: World, deposit: Model, rival: Model) -> None:
    wait(world, rival)
    world.decide("f" * 64, "promote")
    world.models.refresh()
    assert history(world)["waiting"][0]["fits"] is False
    reply = decide(world, "approvals", approve=True)
    assert (reply.status_code, reply.json["code"]) == (409, "promotion_conflict")
    assert f"was judged against model {deposit.version} (decision 2)" in reply.json["detail"]
    assert "ffffffffffff is live since decision 3" in reply.json["detail"]


@pytest.mark.parametrize("what", ["promotions", "rollbacks", "approvals"])
def test_nothing_goes_live_from_a_damaged_package(world: World, deposit: Model, rival: Model, what: str) -> None:
    """Not even one that this process still holds in memory, sound: another process could not load it."""
    bodies: dict[str, dict[str, Any]] = {"promotions": {"model": rival.version}, "approvals": {"approve": True}, "rollbacks": {}}
    body = bodies[what]
    if what == "rollbacks":
        world.promote(rival)
    else:
        wait(world, rival)
        world.models.package(world.campaigns["term-deposit"], rival.digest)
    damaged = deposit if what == "rollbacks" else rival
    world.store.put(package_key("term-deposit", damaged.digest, "model.json"), b"{}")
    before = len(world.ledger.rows)
    reply = decide(world, what, **body)
    assert (reply.status_code, reply.json["code"]) == (503, "model_damaged")
    assert len(world.ledger.rows) == before


@pytest.mark.parametrize(
    ("what", "body", "status"),
    [
        ("promotions", {"model": "newest", "reason": "x"}, 400),
        ("promotions", {"model": "champion", "reason": 7}, 400),
        ("promotions", {"model": "champion", "reason": "x", "force": True}, 400),
        ("promotions", {"model": "champion", "reason": "x\ny"}, 422),
        ("promotions", {"reason": "x"}, 422),
        ("promotions", [], 400),
        ("rollbacks", {"reason": "x", "live": "previous"}, 400),
        ("rollbacks", {"reason": "x", "live": ""}, 400),
        ("approvals", {"approve": "yes", "reason": "x"}, 400),
        ("approvals", {"approve": True, "reason": "x", "sequence": 0}, 400),
        ("approvals", {"approve": True, "reason": "x", "sequence": True}, 400),
        ("approvals", {"approve": True, "reason": "x", "sequence": 2**40}, 400),
        ("approvals", {"approve": True}, 422),
    ],
)
def test_bodies_that_cannot_be_used(world: World, what: str, body: Any, status: int) -> None:
    assert world.client.post(f"{PATH}/{what}", json=body).status_code == status
    assert len(world.ledger.rows) == 1


def test_with_the_database_down_nothing_is_decided(world: World, rival: Model) -> None:
    wait(world, rival)
    world.database.down = True
    bodies: dict[str, dict[str, Any]] = {"promotions": {"model": rival.version}, "rollbacks": {}, "approvals": {"approve": True}}
    for what, body in bodies.items():
        assert decide(world, what, **body).status_code == 503
    world.database.down = False
    assert len(world.ledger.rows) == 2
