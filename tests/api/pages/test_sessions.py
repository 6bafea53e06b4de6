"""Signing in with a key: a cookie that opens pages for a while, and nothing else; forms that no other site can send."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.pages.session import COOKIE, FORM_COOKIE, IDLE_S, LONGEST_S, Sessions
from propensity.access import Role
from propensity.errors import SettingsInvalid
from tests.api.conftest import World

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
BASE = "https://localhost"


class Browser:
    """A person's browser: keeps cookies, takes HTML, sends forms from the pages that they stand on."""

    def __init__(self, world: World) -> None:
        self.client: Any = world.app.test_client()

    def get(self, address: str) -> Any:
        return self.client.get(address, headers=HTML, base_url=BASE)

    def send(self, address: str, page: str = "", **fields: str) -> Any:
        token = re.search(r'name="form_token" value="([^"]+)"', page)
        given = {"form_token": token[1], **fields} if token else fields
        return self.client.post(address, data=given, headers=HTML, base_url=BASE)

    def sign_in(self, key: str, **fields: str) -> Any:
        return self.send("/sign-in", self.get("/sign-in").text, key=key, **fields)

    def cookie(self, name: str) -> Any:
        return self.client.get_cookie(name, domain="localhost")


@pytest.fixture
def world(make_world: Callable[..., World]) -> Iterator[World]:
    built = make_world()
    yield built
    built.models.stop()


@pytest.fixture
def browser(world: World) -> Browser:
    return Browser(world)


def test_a_person_signs_in_goes_on_and_signs_out(world: World, browser: Browser) -> None:
    asked = browser.get("/monitoring?section=drift&span=7d")
    assert (asked.status_code, asked.headers["Location"]) == (303, "/sign-in?next=%2Fmonitoring%3Fsection%3Ddrift%26span%3D7d")
    form = browser.get(asked.headers["Location"])
    assert 'name="next" value="/monitoring?section=drift&amp;span=7d"' in form.text
    done = browser.send("/sign-in", form.text, key=f" {world.key('auditor', 'ann')} ", next="/monitoring?section=drift&span=7d")
    assert (done.status_code, done.headers["Location"]) == (303, "/monitoring?section=drift&span=7d")
    page = browser.get("/monitoring?section=drift&span=7d")
    assert page.status_code == 200
    assert "ann" in page.text
    out = browser.send("/sign-out", page.text)
    assert (out.status_code, out.headers["Location"]) == (303, "/sign-in")
    assert browser.get("/monitoring").status_code == 303


def test_the_cookie_is_kept_from_scripts_other_sites_and_plain_connections(world: World, browser: Browser) -> None:
    key = world.key("operator", "operator")
    reply = browser.sign_in(key)
    for sent in [*reply.headers.getlist("Set-Cookie"), *browser.get("/sign-in").headers.getlist("Set-Cookie")]:
        name, _, attributes = sent.partition("=")
        assert name.startswith("__Host-")
        assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in attributes.split(";")}
        assert "Domain" not in attributes
        assert key[14:] not in sent


def test_a_session_opens_pages_and_no_interface(world: World, browser: Browser) -> None:
    browser.sign_in(world.key("operator", "operator"))
    assert browser.get("/monitoring").status_code == 200
    for address in ("/v1/caller", "/v1/campaigns", "/metrics"):
        assert browser.client.get(address, base_url=BASE).status_code == 401
    assert browser.client.post("/v1/campaigns/term-deposit/outcomes", json=[], base_url=BASE).status_code == 401


def test_a_wrong_header_is_not_mended_by_a_session(world: World, browser: Browser) -> None:
    browser.sign_in(world.key("operator", "operator"))
    assert browser.client.get("/monitoring", headers={"Authorization": "Bearer nope"}, base_url=BASE).status_code == 401


def test_a_role_without_the_page_is_told_so(world: World, browser: Browser) -> None:
    assert browser.sign_in(world.key("marketing", "mark")).headers["Location"] == "/lists"
    page = browser.get("/monitoring")
    assert page.status_code == 403
    assert page.mimetype == "text/html"
    assert "operator" in page.text


def test_a_session_ends_with_its_key(world: World, browser: Browser) -> None:
    text = world.make_key("operator", "leaver")
    browser.sign_in(text)
    assert browser.get("/monitoring").status_code == 200
    world.api_keys.revoke(text[5:13], reason="left", by="tester")
    world.keys.refresh()
    assert browser.get("/monitoring").status_code == 303
    world.api_keys.keys.clear()
    world.keys.refresh()
    assert browser.get("/monitoring").status_code == 303


@pytest.mark.parametrize("key", ["", "nope", "prop_00000000_" + "A" * 43, "prop_00000000_" + "é" * 43])
def test_a_wrong_key_shows_the_form_again(browser: Browser, key: str) -> None:
    reply = browser.sign_in(key, next="/monitoring")
    assert reply.status_code == 401
    assert 'role="alert"' in reply.text
    assert 'name="next" value="/monitoring"' in reply.text
    assert browser.cookie(COOKIE) is None
    assert not key or key not in reply.text


@pytest.mark.parametrize(
    "elsewhere",
    ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/monitoring\r\nX: y", "/a?b=//c", "x"],
)
def test_nobody_is_led_elsewhere(world: World, browser: Browser, elsewhere: str) -> None:
    assert browser.sign_in(world.key("operator", "operator"), next=elsewhere).headers["Location"] == "/monitoring"


def test_a_form_of_another_site_is_refused(world: World, browser: Browser) -> None:
    key = world.key("operator", "operator")
    page = browser.get("/sign-in").text
    assert browser.send("/sign-in", "", key=key).status_code == 400
    assert browser.send("/sign-in", "", key=key, form_token="x").status_code == 400
    # The token of another browser.
    assert Browser(world).send("/sign-in", page, key=key).status_code == 400
    token = re.search(r'name="form_token" value="([^"]+)"', page)
    assert token is not None
    fields = {"form_token": token[1], "key": key}
    crossed = browser.client.post("/sign-in", data=fields, headers={"Sec-Fetch-Site": "cross-site"}, base_url=BASE)
    assert (crossed.status_code, crossed.json["code"]) == (400, "malformed")
    assert browser.client.post("/sign-in", data=fields, base_url=BASE).status_code == 303


@pytest.mark.parametrize("spoilt", ["", "x", "{0}x", "0{1}", "swap", "later", "é"])
def test_a_cookie_that_was_made_up_is_none(world: World, browser: Browser, spoilt: str) -> None:
    browser.sign_in(world.key("operator", "operator"))
    value = browser.cookie(COOKIE).value
    other = world.make_key("operator", "other")[5:13]
    parts = value.split(".")
    made = {
        "{0}x": value + "x",
        "0{1}": "0" + value[1:] if value[0] != "0" else "1" + value[1:],
        "swap": ".".join([other, *parts[1:]]),
        "later": ".".join([*parts[:2], str(int(parts[2]) + 60), parts[3]]),
    }.get(spoilt, spoilt)
    browser.client.set_cookie(COOKIE, made, domain="localhost", secure=True)
    assert browser.get("/monitoring").status_code == 303


def test_a_session_lasts_while_it_is_used_and_not_for_ever(world: World) -> None:
    moments = [datetime(2026, 3, 1, tzinfo=UTC)]
    sessions = Sessions("", clock=lambda: moments[-1])
    object.__setattr__(world.services, "sessions", sessions)
    world.app.before_request_funcs[None].clear()
    from functools import partial

    from api.app import _begin
    from api.auth import authorise

    world.app.before_request_funcs[None] += [partial(_begin, world.services), partial(authorise, world.keys, sessions)]
    browser = Browser(world)
    browser.sign_in(world.key("operator", "operator"))
    for _ in range(LONGEST_S // (IDLE_S - 60) - 1):
        moments.append(moments[-1] + timedelta(seconds=IDLE_S - 60))
        assert browser.get("/monitoring").status_code == 200
    moments.append(moments[0] + timedelta(seconds=LONGEST_S + 1))
    assert browser.get("/monitoring").status_code == 303
    browser.sign_in(world.key("operator", "operator"))
    moments.append(moments[-1] + timedelta(seconds=IDLE_S + 1))
    assert browser.get("/monitoring").status_code == 303


def test_two_processes_with_one_secret_know_each_other_s_sessions(make_world: Callable[..., World]) -> None:
    with pytest.raises(SettingsInvalid, match="PROPENSITY_SESSION_SECRET"):
        Sessions("short")
    assert Sessions("s" * 32)._mac("x") == Sessions("s" * 32)._mac("x") != Sessions()._mac("x")


def test_a_page_says_nothing_to_programs_but_json(world: World) -> None:
    anybody = world.without_key()
    refused = anybody.get("/monitoring")
    assert (refused.status_code, refused.json["code"], refused.headers["WWW-Authenticate"]) == (401, "unauthorized", "Bearer")
    assert world.as_role(str(Role.AUDITOR)).get("/monitoring").status_code == 200
    world.database.down = True
    assert world.client.get("/monitoring").json["code"] == "database_unavailable"
    page = world.client.get("/monitoring", headers=HTML)
    assert (page.status_code, page.mimetype) == (503, "text/html")
    assert "Retry-After" in page.headers


def test_the_form_cookie_is_kept(browser: Browser) -> None:
    browser.get("/sign-in")
    first = browser.cookie(FORM_COOKIE).value
    browser.get("/sign-in")
    assert browser.cookie(FORM_COOKIE).value == first
