from __future__ import annotations

import hashlib
import re

import pytest

from propensity.access import ANYBODY, EVERY_ROLE, NOBODY, OVERSEERS, SENDERS, Role, TokenBucket, access, new_key, parse_key, whole_seconds
from propensity.errors import DataError


def test_a_key_has_an_id_and_a_secret_of_256_bits_and_only_its_hash_is_kept() -> None:
    text, new = new_key("crm", Role.MARKETING, by="ana", rate_per_s=5, lifetime_days=90)
    assert re.fullmatch(r"prop_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", text)
    assert parse_key(text) == (new.key_id, text[14:])
    assert new.secret_sha256 == hashlib.sha256(text[14:].encode()).digest()
    assert (new.name, new.role, new.created_by, new.rate_per_s, new.lifetime_s) == ("crm", Role.MARKETING, "ana", 5, 90 * 86_400)
    assert text[14:] not in repr(new)
    assert repr(new.secret_sha256) not in repr(new)


def test_no_two_keys_are_alike() -> None:
    made = [new_key("crm", Role.MARKETING, by="ana") for _ in range(1000)]
    assert len({text[14:] for text, _ in made}) == 1000


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\nb", " crm", "crm ", "a\x00"])
def test_an_unsound_name_is_refused(name: str) -> None:
    with pytest.raises(DataError):
        new_key(name, Role.MARKETING, by="ana")


@pytest.mark.parametrize("number", [0, -1, float("nan"), float("inf"), 1e7])
def test_an_unsound_rate_or_lifetime_is_refused(number: float) -> None:
    with pytest.raises(DataError, match="rate"):
        new_key("crm", Role.MARKETING, by="ana", rate_per_s=number)
    with pytest.raises(DataError, match="lifetime"):
        new_key("crm", Role.MARKETING, by="ana", lifetime_days=number)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "prop",
        "prop_0000000g_" + "a" * 43,
        "prop_00000000_" + "a" * 42,
        "prop_00000000_" + "a" * 44,
        "PROP_00000000_" + "a" * 43,
        "prop_00000000_" + "a" * 42 + "é",
        "prop_00000000_" + "a" * 43 + "\n",
        "prop_0000000٠_" + "a" * 43,
    ],
)
def test_what_is_no_key_is_told_without_looking_it_up(text: str) -> None:
    assert parse_key(text) is None


def test_one_table_says_who_may_do_what() -> None:
    assert access("POST", "/v1/campaigns/{campaign}/predictions") == access("POST", "/v1/campaigns/<x>/predictions") == SENDERS
    assert access("GET", "/v1/predictions/{id}") == access("HEAD", "/v1/predictions/<wanted>") == EVERY_ROLE
    assert access("GET", "/metrics") == OVERSEERS
    assert access("GET", "/static/<path:filename>") == access("OPTIONS", "/livez") == ANYBODY
    assert access("OPTIONS", "/v1/campaigns/{campaign}/predictions") == EVERY_ROLE
    for method, path in (("DELETE", "/v1/campaigns"), ("GET", "/v1/new"), ("OPTIONS", "/v1/new"), ("POST", "/v1/campaigns/predictions")):
        assert access(method, path) == NOBODY


def test_an_auditor_changes_nothing_and_the_operator_may_do_everything() -> None:
    from propensity.access import ROUTES

    for (method, _), granted in ROUTES.items():
        assert Role.OPERATOR in granted.roles
        if granted.public:
            # Signing in and out changes nothing but who is asking.
            continue
        if method != "GET":
            assert Role.AUDITOR not in granted.roles
        elif not granted.page:
            # Of the pages some are forms alone.
            assert Role.AUDITOR in granted.roles


def test_whoever_waits_as_long_as_told_is_let_in() -> None:
    for rate in (0.1, 0.3, 1 / 3, 7.0, 1000.0):
        bucket, now = TokenBucket(rate, 0.1), 0.1
        while not bucket.take(now):
            pass
        for _ in range(200):
            wait_s = bucket.take(now)
            assert 0 < wait_s <= 1 / rate + 1e-9
            now += wait_s
            assert bucket.take(now) == 0.0


def test_a_clock_that_stands_still_or_steps_back_gives_nothing() -> None:
    bucket = TokenBucket(1.0, 100.0)
    assert [bucket.take(100.0), bucket.take(50.0)] == [0.0, 0.0]
    assert bucket.take(50.0) > 0
    assert bucket.take(100.0) == pytest.approx(1.0)


@pytest.mark.parametrize(("wait_s", "told"), [(1e-9, 1), (0.5, 1), (1.0, 1), (1.01, 2), (3600.0, 3600)])
def test_waits_are_told_in_whole_seconds_never_too_short(wait_s: float, told: int) -> None:
    assert whole_seconds(wait_s) == told
