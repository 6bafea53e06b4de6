"""Keys: their lives, their limits, and that nobody ever reads one in a log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from api.auth import ApiKeys
from api.logs import JsonFormatter
from propensity.access import Role, new_key
from propensity.errors import RateLimited, StoreError, Unauthorized
from propensity.model import Model
from tests.api.conftest import Clock, World
from tests.api.processes import wait_for
from tests.fakes import FakeApiKeyStore

URL = "/v1/campaigns"


def status(world: World, text: str) -> int:
    code: int = world.with_key(text).get(URL).status_code
    return code


def test_a_rotated_key_lives_on_for_its_overlap_and_its_successor_lives(world: World) -> None:
    old = world.make_key("marketing", "crm")
    text, new = new_key("crm", Role.MARKETING, by="tester")
    world.api_keys.rotate(old[5:13], new, overlap_s=3600.0)
    world.keys.refresh()
    assert (status(world, old), status(world, text)) == (200, 200)
    world.clock.now += 3599.0
    assert status(world, old) == 200
    world.clock.now += 1.0
    assert (status(world, old), status(world, text)) == (401, 200)
    assert "revoked" in world.with_key(old).get(URL).json["detail"]


def test_an_overlap_of_nothing_ends_the_old_key_at_once(world: World) -> None:
    old = world.make_key("marketing", "crm")
    _, new = new_key("crm", Role.MARKETING, by="tester")
    world.api_keys.rotate(old[5:13], new, overlap_s=0.0)
    world.keys.refresh()
    assert status(world, old) == 401


def test_an_expired_key_says_so_to_whoever_has_it_and_to_nobody_else(world: World) -> None:
    text = world.make_key("auditor", "audit", lifetime_days=1)
    world.clock.now += 86_399
    assert status(world, text) == 200
    world.clock.now += 1
    assert "expired" in world.with_key(text).get(URL).json["detail"]
    guessed = world.with_key(text[:14] + "A" * 43).get(URL)
    unknown = world.with_key("prop_00000000_" + "A" * 43).get(URL)
    assert (guessed.status_code, guessed.json["detail"]) == (401, unknown.json["detail"])


def test_ends_are_by_the_clock_of_postgres_not_by_this_machine(world: World) -> None:
    text = world.make_key("auditor", "audit", lifetime_days=1)
    world.database.now += timedelta(hours=23)  # this process' own clock stood still meanwhile
    world.keys.refresh()
    world.clock.now += 3599
    assert status(world, text) == 200
    world.clock.now += 1
    assert status(world, text) == 401


def test_a_revocation_and_a_new_key_reach_a_running_service(world: World) -> None:
    text, new = new_key("crm", Role.MARKETING, by="tester")
    keys = ApiKeys(world.api_keys, rate_per_s=10.0, reload_s=0.01)
    keys.start()
    try:
        wait_for(lambda: keys.loaded)
        with pytest.raises(Unauthorized):
            keys.caller(f"Bearer {text}")
        world.api_keys.add(new)
        wait_for(lambda: accepted(keys, text))
        world.api_keys.revoke(new.key_id, reason="lost", by="tester")
        wait_for(lambda: not accepted(keys, text))
    finally:
        keys.stop()
    assert not any(thread.name == "api-keys" for thread in threading.enumerate())


def accepted(keys: ApiKeys, text: str) -> bool:
    try:
        keys.caller(f"Bearer {text}")
    except RateLimited:
        return True
    except Unauthorized:
        return False
    return True


def test_keys_outlive_the_database_and_their_ends_too(world: World) -> None:
    lasting, short = world.make_key("marketing", "crm"), world.make_key("marketing", "trial", lifetime_days=1)
    world.database.down = True
    world.keys.refresh()
    assert world.keys.problem is not None
    assert (status(world, lasting), status(world, short)) == (200, 200)
    world.clock.now += 86_400
    world.keys.refresh()
    assert (status(world, lasting), status(world, short)) == (200, 401)
    world.database.down = False
    world.keys.refresh()
    assert world.keys.problem is None


def test_a_service_that_never_read_the_keys_says_503_not_401(world: World) -> None:
    text = world.key("operator", "operator")
    world.database.down = True
    world.services.keys._known = None
    world.keys.refresh()
    reply = world.with_key(text).get(URL)
    assert (reply.status_code, reply.json["code"]) == (503, "store_unavailable")
    assert int(reply.headers["Retry-After"]) >= 1
    assert world.without_key().get(URL).status_code == 401
    assert world.without_key().get("/livez").status_code == 200
    ready = world.without_key().get("/readyz")
    assert (ready.status_code, ready.json["checks"]["api_keys"]["ok"]) == (503, False)
    world.database.down = False
    world.keys.refresh()
    assert status(world, text) == 200
    assert world.without_key().get("/readyz").json["checks"]["api_keys"] == {"ok": True, "reason": None}


def test_an_unexpected_failure_does_not_end_the_thread(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    text = world.key("operator", "operator")
    failing = threading.Event()
    known = world.api_keys.known

    def fail() -> Any:
        if failing.is_set():
            raise ValueError("a bug")
        return known()

    monkeypatch.setattr(world.api_keys, "known", fail)
    failing.set()
    keys = ApiKeys(world.api_keys, rate_per_s=10.0, reload_s=0.01)
    keys.start()
    try:
        wait_for(lambda: "unexpectedly" in (keys.problem or ""))
        with pytest.raises(StoreError):
            keys.caller(f"Bearer {text}")
        failing.clear()
        wait_for(lambda: keys.problem is None)
        assert keys.caller(f"Bearer {text}").role is Role.OPERATOR
    finally:
        keys.stop()


def test_a_key_that_asks_too_often_is_told_when_to_come_back(world: World) -> None:
    text, other = world.make_key("marketing", "crm", rate_per_s=0.25), world.make_key("marketing", "web", rate_per_s=0.25)
    assert [status(world, text) for _ in range(3)] == [200, 429, 429]
    reply = world.with_key(text).get(URL)
    assert (reply.json["code"], reply.headers["Retry-After"]) == ("rate_limited", "4")
    assert "WWW-Authenticate" not in reply.headers
    assert status(world, other) == 200
    world.clock.now += 1.5
    assert world.with_key(text).get(URL).headers["Retry-After"] == "3"
    world.keys.refresh()  # a look at the keys gives nobody a full bucket
    assert status(world, text) == 429
    world.clock.now += 2.5
    assert [status(world, text) for _ in range(2)] == [200, 429]


def test_a_quiet_key_may_send_two_seconds_worth_at_once(world: World) -> None:
    text = world.make_key("marketing", "crm", rate_per_s=3)
    assert [status(world, text) for _ in range(7)] == [200] * 6 + [429]
    world.clock.now += 3600
    assert [status(world, text) for _ in range(7)] == [200] * 6 + [429]


def test_a_key_without_a_rate_has_that_of_the_service() -> None:
    store, clock = FakeApiKeyStore(), Clock()
    text, new = new_key("crm", Role.MARKETING, by="tester")
    store.add(new)
    keys = ApiKeys(store, rate_per_s=5.0, monotonic=clock)
    keys.refresh()
    for _ in range(10):
        keys.caller(f"Bearer {text}")
    with pytest.raises(RateLimited):
        keys.caller(f"Bearer {text}")


def test_threads_together_get_no_more_than_one_alone() -> None:
    store, clock = FakeApiKeyStore(), Clock()
    text, new = new_key("crm", Role.MARKETING, by="tester", rate_per_s=50)
    store.add(new)
    keys = ApiKeys(store, rate_per_s=1.0, monotonic=clock)
    keys.refresh()

    def ask(_: int) -> bool:
        try:
            keys.caller(f"Bearer {text}")
        except RateLimited:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(ask, range(400))) == 100


def test_a_refused_role_uses_up_its_requests_too(world: World) -> None:
    client = world.with_key(world.make_key("auditor", "audit", rate_per_s=0.5))
    assert [client.post(URL + "/term-deposit/outcomes").status_code for _ in range(2)] == [403, 429]


def test_another_callers_prediction_is_not_there(world: World, rows: list[dict[str, Any]]) -> None:
    known = world.predict(rows[:2]).json["predictions"][0]["prediction_id"]
    entry = world.log.entries[0]
    world.log.entries[0] = replace(entry, caller="crm")
    crm, web = world.as_role("marketing", "crm"), world.as_role("marketing", "web")
    assert crm.get(f"/v1/predictions/{known}").status_code == 200
    assert world.with_key(world.make_key("marketing", "crm")).get(f"/v1/predictions/{known}").status_code == 200  # his next key
    unknown = "00000000-0000-4000-8000-000000000000"
    replies = [web.get(f"/v1/predictions/{asked}") for asked in (known, f"{unknown}.1", f"{entry.request_id}.99", f"{unknown}.99")]
    assert [reply.status_code for reply in replies] == [404] * 4
    told = [{k: v for k, v in reply.json.items() if k != "request_id"} for reply in replies]
    assert all(one == told[0] for one in told)
    world.log.entries[0] = replace(entry, caller="")  # from before there were keys, or from a file
    assert crm.get(f"/v1/predictions/{known}").status_code == 404
    for role in ("operator", "auditor"):
        assert world.as_role(role).get(f"/v1/predictions/{known}").json["source"] == "api"


def test_outcomes_keep_who_told_them(world: World, rows: list[dict[str, Any]]) -> None:
    known = world.predict(rows[:1]).json["predictions"][0]["prediction_id"]
    body = [{"prediction_id": known, "label": True}]
    reply = world.as_role("marketing", "core banking").post("/v1/campaigns/term-deposit/outcomes", json=body)
    assert reply.json["counts"]["recorded"] == 1
    assert world.outcomes.sources == {"api:core banking"}


def test_no_key_is_in_any_log_line_or_reply(
    make_world: Callable[..., World], deposit: Model, rows: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world = make_world()
    world.promote(deposit)
    good, revoked = world.key("operator", "operator"), world.make_key("marketing", "crm", rate_per_s=0.5)
    unknown, _ = new_key("nobody", Role.OPERATOR, by="tester")
    said = []
    for header in (
        f"Bearer {good}",
        f"Bearer {unknown}",
        f"Bearer {good}x",
        f"Basic {good}",
        good,
        f"bearer  {good}",
        "Bearer " + good * 50,
    ):
        said.append(world.without_key().post(f"{URL}/term-deposit/predictions", json=rows[:1], headers={"Authorization": header}))
        said.append(world.without_key().get(f"{URL}?key={good}", headers={"Authorization": header}))
    said += [world.with_key(revoked).get(URL) for _ in range(3)]
    world.api_keys.revoke(revoked[5:13], reason="lost", by="tester")
    world.database.down = True
    world.keys.refresh()
    said.append(world.with_key(good).post(f"{URL}/term-deposit/predictions", json=rows[:1]))
    world.database.down = False
    world.keys.refresh()
    said.append(world.with_key(revoked).get(URL))
    assert {reply.status_code for reply in said} == {200, 401, 429, 503}
    lines = "\n".join(JsonFormatter().format(record) for record in caplog.records)
    replies = "\n".join(reply.text + str(reply.headers) for reply in said)
    for text in (good, revoked, unknown):
        secret = text[14:]
        assert secret not in lines + replies + repr(world.keys._known) + repr(world.api_keys.keys)
    assert '"caller":"operator"' in lines
    assert '"key_id":"' + good[5:13] in lines


def test_a_key_is_told_whose_it_is_and_keeps_its_name_when_it_is_rotated(world: World) -> None:
    old = world.make_key("marketing", "crm")
    text, new = new_key("crm", Role.MARKETING, by="tester")
    world.api_keys.rotate(old[5:13], new, overlap_s=60.0)
    world.keys.refresh()
    told = [world.with_key(key).get("/v1/caller", headers={"X-Caller": "somebody"}).json for key in (old, text)]
    assert told == [{"key_id": key[5:13], "name": "crm", "role": "marketing"} for key in (old, text)]
    assert world.with_key("prop_00000000_" + "A" * 43).get("/v1/caller").status_code == 401
