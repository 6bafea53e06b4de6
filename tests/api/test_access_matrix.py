"""Every route, every method, every kind of caller. What each may do is written down here a second time, on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from propensity.access import NOBODY, Role, access
from propensity.list_state import new_list_id
from propensity.model import Model
from tests.api.conftest import World
from tests.api.some_lists import keep_done
from tests.fakes_alerts import alert_id_of, an_alert

LIST = new_list_id("term-deposit", "somebody else", "key")
MORE = (("<wanted_list>", str(LIST)), ("<token>", "x"))
SIGNED = ("/v1/uploads/", "/v1/downloads/")
WAYS = ("/v1/lists/<wanted_list>/result", "/v1/lists/<wanted_list>/errors")
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
PUBLIC = {"public", *Role}
ALL, SENDERS, OVERSEERS = set(Role), {Role.MARKETING, Role.OPERATOR}, {Role.OPERATOR, Role.AUDITOR}
# A new route fails the first test below until its line stands here.
WHO: dict[tuple[str, str], set[Any]] = {
    ("POST", "/v1/campaigns/<campaign>/predictions"): SENDERS,
    ("POST", "/v1/campaigns/<campaign>/outcomes"): SENDERS,
    ("GET", "/v1/campaigns/<campaign>/outcomes"): ALL,
    ("GET", "/v1/campaigns"): ALL,
    ("GET", "/v1/campaigns/<campaign>"): ALL,
    ("GET", "/v1/campaigns/<campaign>/schema"): ALL,
    ("GET", "/v1/campaigns/<campaign>/model"): ALL,
    ("GET", "/v1/campaigns/<campaign>/models"): ALL,
    ("GET", "/v1/campaigns/<campaign>/promotions"): OVERSEERS,
    ("POST", "/v1/campaigns/<campaign>/promotions"): {Role.OPERATOR},
    ("POST", "/v1/campaigns/<campaign>/rollbacks"): {Role.OPERATOR},
    ("POST", "/v1/campaigns/<campaign>/approvals"): {Role.OPERATOR},
    ("POST", "/v1/campaigns/<campaign>/lists"): SENDERS,
    ("GET", "/v1/lists/<wanted_list>"): ALL,
    ("GET", "/v1/lists/<wanted_list>/result"): ALL,
    ("GET", "/v1/lists/<wanted_list>/errors"): ALL,
    ("POST", "/v1/uploads/<token>"): PUBLIC,
    ("PUT", "/v1/uploads/<token>"): PUBLIC,
    ("GET", "/v1/downloads/<token>"): PUBLIC,
    ("GET", "/v1/predictions/<wanted>"): ALL,
    ("GET", "/v1/campaigns/<campaign>/lift"): ALL,
    ("POST", "/v1/suppressions"): SENDERS,
    ("DELETE", "/v1/suppressions"): {Role.OPERATOR},
    ("GET", "/v1/suppressions"): OVERSEERS,
    ("POST", "/v1/erasures"): {Role.OPERATOR},
    ("GET", "/v1/erasures/<wanted>"): OVERSEERS,
    ("GET", "/v1/caller"): ALL,
    ("GET", "/v1/alerts"): OVERSEERS,
    ("GET", "/v1/alerts/<alert_id>"): OVERSEERS,
    ("POST", "/v1/alerts/<alert_id>/acknowledgements"): {Role.OPERATOR},
    ("GET", "/v1/flows"): OVERSEERS,
    ("GET", "/metrics"): OVERSEERS,
    ("GET", "/"): PUBLIC,
    ("GET", "/livez"): PUBLIC,
    ("GET", "/startupz"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/openapi.json"): PUBLIC,
    ("GET", "/docs"): PUBLIC,
    ("GET", "/monitoring"): OVERSEERS,
    ("GET", "/lists"): ALL,
    ("GET", "/lists/new"): SENDERS,
    ("POST", "/lists/new"): SENDERS,
    ("GET", "/lists/<wanted_list>"): ALL,
    ("POST", "/lists/<wanted_list>"): SENDERS,
    ("GET", "/lists/<wanted_list>/state"): ALL,
    ("GET", "/lists/<wanted_list>/sheet"): ALL,
    ("GET", "/lists/<wanted_list>/refused"): ALL,
    ("GET", "/lists/<wanted_list>/excluded"): ALL,
    ("GET", "/customer"): SENDERS,
    ("POST", "/customer"): SENDERS,
    ("GET", "/predictions/<wanted>"): ALL,
    ("GET", "/campaigns"): ALL,
    ("GET", "/campaigns/<campaign>"): ALL,
    ("GET", "/campaigns/<campaign>/report"): ALL,
    ("GET", "/suppressions"): ALL,
    ("POST", "/suppressions"): SENDERS,
    ("GET", "/models"): OVERSEERS,
    ("POST", "/models"): {Role.OPERATOR},
    ("GET", "/administration"): OVERSEERS,
    ("POST", "/administration"): {Role.OPERATOR},
    ("GET", "/sign-in"): PUBLIC,
    ("POST", "/sign-in"): PUBLIC,
    ("POST", "/sign-out"): PUBLIC,
    ("GET", "/static/<path:filename>"): PUBLIC,
    ("GET", "/favicon.ico"): PUBLIC,
}
ALERT = alert_id_of(an_alert())
ROLES = tuple(str(role) for role in Role)
# Who sends no good key, and is told 401 wherever one is asked for.
STRANGERS = (
    "no key",
    "unknown key",
    "wrong secret",
    "malformed",
    "two keys",
    "other scheme",
    "key in another header",
    "key in the address",
    "revoked",
    "expired",
)


@pytest.fixture
def matrix(make_world: Callable[..., World], deposit: Model, rows: list[dict[str, Any]]) -> Iterator[World]:
    """A service with one logged prediction, which none of the callers asked for."""
    world = make_world()
    world.promote(deposit)
    assert world.predict(rows[:1]).status_code == 200
    world.log.entries[0] = replace(world.log.entries[0], caller="somebody else")
    world.alerts.raise_alert(an_alert())
    keep_done(world.store, LIST, "somebody else")
    yield world
    world.models.stop()


def routes(world: World) -> list[tuple[str, str]]:
    """Every rule with every method it takes."""
    return [(method, rule.rule) for rule in world.app.url_map.iter_rules() for method in sorted(rule.methods or ())]


def path(world: World, rule: str) -> str:
    known = f"{world.log.entries[0].request_id}.1"
    for name, value in (
        ("<campaign>", "term-deposit"),
        ("<wanted>", known),
        ("<path:filename>", "style.css"),
        ("<alert_id>", ALERT),
        *MORE,
    ):
        rule = rule.replace(name, value)
    assert "<" not in rule, "give the new parameter a value"
    return rule


def ask(world: World, who: str, method: str, address: str) -> Any:
    """The reply to a caller of that kind."""
    operator = world.key("operator", "operator")
    if who in ROLES:
        return world.as_role(who).open(address, method=method)
    headers = {
        "no key": {},
        "unknown key": {"Authorization": f"Bearer prop_00000000_{operator[14:]}"},
        "wrong secret": {"Authorization": f"Bearer {operator[:-1]}{'A' if operator[-1] != 'A' else 'B'}"},
        "malformed": {"Authorization": f"Bearer {operator}x"},
        "two keys": {"Authorization": f"Bearer {operator}, Bearer {operator}"},
        "other scheme": {"Authorization": f"Basic {operator}"},
        "key in another header": {"X-Api-Key": operator, "X-User": "operator", "X-Forwarded-User": "operator", "Cookie": f"key={operator}"},
        "key in the address": {},
    }
    if who in headers:
        address += f"?key={operator}&access_token={operator}" if who == "key in the address" else ""
        return world.without_key().open(address, method=method, headers=headers[who])
    text = world.key("operator", who) if (("operator", who) in world.texts) else world.make_key("operator", who, lifetime_days=30)
    world.texts["operator", who] = text
    key_id = text[5:13]
    stored, now = world.api_keys.keys[key_id], world.database.now
    world.api_keys.keys[key_id] = replace(stored, revoked_at=now) if who == "revoked" else replace(stored, expires_at=now)
    world.keys.refresh()
    return world.with_key(text).open(address, method=method)


def test_every_route_is_declared_twice_and_both_say_the_same(matrix: World) -> None:
    for method, rule in routes(matrix):
        if method in ("HEAD", "OPTIONS"):
            assert access(method, rule) != NOBODY, (method, rule)
            continue
        assert (method, rule) in WHO, f"{method} {rule} is new: say here who may use it, and in propensity/access.py"
        granted = access(method, rule)
        assert granted.roles | ({"public"} if granted.public else set()) == WHO[method, rule], (method, rule)


def wanted(method: str, rule: str) -> set[Any]:
    if method == "OPTIONS":  # tells the methods and nothing else
        return PUBLIC if any(who == PUBLIC for (_, known), who in WHO.items() if known == rule) else ALL
    return WHO["GET" if method == "HEAD" else method, rule]


@pytest.mark.parametrize("who", [*STRANGERS, *ROLES])
def test_who_may_do_what(matrix: World, who: str) -> None:
    wrong = []
    for method, rule in routes(matrix):
        reply = ask(matrix, who, method, path(matrix, rule))
        may = wanted(method, rule)
        if "public" not in may and who in STRANGERS:
            expected = {401}
        elif "public" not in may and Role(who) not in may:
            expected = {403}
        elif rule.startswith(SIGNED) and method != "OPTIONS":
            expected = {403}  # no key opens these: the signature in the address is missing
        elif ("<wanted" in rule) and who == Role.MARKETING and method != "OPTIONS":
            expected = {404}  # another caller's
        elif rule == "/v1/campaigns/<campaign>/lists" and method == "POST":
            expected = {201}  # a list needs no description
        elif rule in WAYS and method != "OPTIONS":
            expected = {303}
        else:
            # A POST without a body is refused by the route itself: it was let in. There is no erasure of the id of a prediction.
            expected = {400, 415, 422} if method in ("POST", "DELETE") else {404} if "erasures" in rule and method != "OPTIONS" else {200}
        if reply.status_code not in expected:
            wrong.append((method, rule, reply.status_code, expected))
        if reply.status_code == 401:
            assert reply.headers["WWW-Authenticate"] == "Bearer"
        if reply.status_code in (401, 403) and method != "HEAD":
            assert reply.mimetype == "application/problem+json"
            assert reply.json["code"] == {401: "unauthorized", 403: "forbidden"}[reply.status_code]
        reply.close()
    assert not wrong


@pytest.mark.parametrize("who", ["no key", "marketing", "operator", "auditor"])
def test_what_is_not_there_is_404_or_405_for_everybody(matrix: World, who: str) -> None:
    known = set(routes(matrix))
    assert ask(matrix, who, "GET", "/v2/campaigns").status_code == 404
    for rule in {rule for _, rule in known}:
        for method in METHODS:
            if (method, rule) not in known:
                assert ask(matrix, who, method, path(matrix, rule)).status_code == 405, (method, rule)


def test_a_route_that_nobody_declared_is_closed_to_everybody(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.app.add_url_rule("/v1/new", "new", lambda: "open")
    assert world.without_key().get("/v1/new").status_code == 401
    for role in ROLES:
        assert world.as_role(role).get("/v1/new").status_code == 403
