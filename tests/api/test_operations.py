"""Health, description, front page and campaign information."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from api.logs import JsonFormatter
from api.row_schema import example_row, row_schema
from propensity.campaigns import all_campaigns
from propensity.model import Model
from tests.api.conftest import World
from tests.api.models import make_campaign, make_model, make_rows


def test_ready_takes_a_model_and_the_database(make_world: Callable[..., World], deposit: Model) -> None:
    world = make_world()
    assert world.client.get("/readyz").status_code == 503
    world.promote(deposit)
    assert world.client.get("/readyz").status_code == 200
    world.database.down = True
    reply = world.client.get("/readyz")
    assert reply.status_code == 503
    assert reply.json["checks"]["database"]["reason"]
    assert reply.json["checks"]["live_model"]["ok"]
    assert world.client.get("/livez").status_code == 200


def test_started_is_said_once_and_for_all(make_world: Callable[..., World], deposit: Model) -> None:
    world = make_world()
    world.promote(deposit, refresh=False)
    assert world.without_key().get("/startupz").status_code == 503
    world.models.refresh()
    assert world.client.get("/startupz").json == {"status": "started"}
    world.database.down = True
    world.services.draining.set()
    assert world.client.get("/readyz").status_code == 503
    assert world.client.get("/startupz").status_code == 200


def test_where_nothing_was_ever_promoted_a_process_has_started_all_the_same(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.models.refresh()
    assert world.client.get("/readyz").status_code == 503
    assert world.client.get("/startupz").status_code == 200


def test_a_process_that_cannot_load_what_is_live_has_not_started(make_world: Callable[..., World], deposit: Model) -> None:
    world = make_world()
    world.decide(deposit.digest, "promote")
    world.models.refresh()
    assert world.client.get("/startupz").json == {"status": "starting"}
    world.promote(deposit)
    assert world.client.get("/startupz").status_code == 200


def test_a_draining_process_is_not_ready(world: World) -> None:
    world.services.draining.set()
    assert world.client.get("/readyz").status_code == 503
    assert world.client.get("/livez").status_code == 200


def test_campaign_information_answers_without_the_database(world: World, deposit: Model) -> None:
    world.database.down = True
    listed = {c["name"]: c for c in world.client.get("/v1/campaigns").json["campaigns"]}
    assert listed["term-deposit"]["live_model"]["digest"] == deposit.digest
    assert listed["small"]["live_model"] is None
    one = world.client.get("/v1/campaigns/term-deposit").json
    assert [f["name"] for f in one["features"]] == list(deposit.campaign.feature_names)
    assert one["excluded"][0]["column"] == "duration"
    assert one["economics"]["contact_cost"] == "40"
    assert one["live_model"]["promoted_by"] == "tester"
    assert world.client.get("/v1/campaigns/nope").status_code == 404


def test_model_information_holds_no_customers(world: World, deposit: Model) -> None:
    reply = world.client.get("/v1/campaigns/term-deposit/model").json
    assert "canary" not in reply["manifest"]
    assert reply["manifest"]["model_sha256"] == deposit.manifest.model_sha256
    assert world.client.get("/v1/campaigns/small/model").status_code == 503


@pytest.mark.parametrize("campaign", [*all_campaigns().values(), make_campaign()], ids=lambda c: c.name)
def test_the_schema_accepts_what_the_service_accepts(make_world: Callable[..., World], campaign: Any) -> None:
    world = make_world(campaign)
    world.promote(make_model(campaign, trees=2))
    schema = world.client.get(f"/v1/campaigns/{campaign.name}/schema").json
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    good = [example_row(campaign), *make_rows(campaign, 20)]
    assert all(validator.is_valid(row) for row in good)
    assert world.predict(good, campaign.name).json["counts"]["refused"] == 0
    for name in campaign.feature_names:
        for value in ("?", True, 1e12):
            spoilt = {**good[0], name: value}
            assert not validator.is_valid(spoilt)
            assert world.predict(spoilt, campaign.name).status_code == 422


def test_the_schema_says_whether_other_columns_may_come() -> None:
    assert row_schema(make_campaign())["additionalProperties"] is True
    assert row_schema(make_campaign(unexpected_columns="refuse"))["additionalProperties"] is False


def test_the_front_page_is_plain_and_complete(world: World, deposit: Model) -> None:
    reply = world.client.get("/")
    assert reply.status_code == 200
    assert deposit.version in reply.text
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    page = _Page()
    page.feed(reply.text)
    assert {"title", "main", "h1"} <= page.tags
    assert page.language == "en"
    assert "script" not in page.tags
    for address in page.addresses:  # a browser sends no key
        with world.without_key().get(address) as found:
            assert found.status_code == 200, address


class _Page(HTMLParser):
    """Collects what a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: set[str] = set()
        self.language: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        named = dict(attrs)
        self.addresses |= {value for key in ("href", "src") if (value := named.get(key))}
        if tag == "html":
            self.language = named.get("lang")


def test_the_access_log_has_a_line_for_each_request_and_no_customer(
    world: World, rows: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    secret = "canary-customer-4711"
    sent = world.predict([{**rows[0], "id": secret}, {**rows[1], "job": secret, secret: secret}], headers={"Idempotency-Key": secret})
    world.predict(rows, secret)
    world.client.get(f"/v1/predictions/{secret}")
    world.client.post(f"/{secret}", data=secret)
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records if record.name == "propensity.api.access"]
    assert [line["status"] for line in lines] == [200, 404, 404, 404]
    first = lines[0]
    assert (first["request_id"], first["rows"], first["method"]) == (sent.json["request_id"], 1, "POST")
    assert first["route"] == "/v1/campaigns/<campaign>/predictions"
    assert secret not in "".join(JsonFormatter().format(record) for record in caplog.records)


def test_a_traceback_is_logged_without_its_message(world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ValueError("secret-value")

    monkeypatch.setattr(world.database, "ping", fail)
    assert world.client.get("/readyz").status_code == 500
    text = "\n".join(JsonFormatter().format(record) for record in caplog.records)
    assert "ValueError" in text
    assert "operations.py" in text
    assert "secret-value" not in text


def test_two_services_in_one_process_do_not_touch(make_world: Callable[..., World], deposit: Model) -> None:
    one, other = make_world(), make_world()
    one.promote(deposit)
    assert one.client.get("/readyz").status_code == 200
    assert other.client.get("/readyz").status_code == 503
