"""The REST API: keys, limits, routes, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from infra.config import environment_named

Synthesise = Callable[..., Any]


def test_every_method_asks_for_a_key(synthesise: Synthesise, name: str) -> None:
    methods = synthesise(name)["Front"].of_type("AWS::ApiGateway::Method")
    assert len(methods) == 8
    assert all(method["Properties"]["ApiKeyRequired"] is True for method in methods.values())


def test_callers_have_keys_limits_and_quotas(synthesise: Synthesise, name: str) -> None:
    callers = environment_named(name).callers
    front = synthesise(name)["Front"]
    plans = [plan["Properties"] for plan in front.of_type("AWS::ApiGateway::UsagePlan").values()]
    assert len(front.of_type("AWS::ApiGateway::ApiKey")) == len(front.of_type("AWS::ApiGateway::UsagePlanKey")) == len(callers)
    told = {(p["Throttle"]["RateLimit"], p["Throttle"]["BurstLimit"], p["Quota"]["Limit"], p["Quota"]["Period"]) for p in plans}
    assert told == {(c.rate_per_s, c.burst, c.per_day, "DAY") for c in callers}
    # A key that the template named would be written down in it.
    assert all("Value" not in key["Properties"] for key in front.of_type("AWS::ApiGateway::ApiKey").values())


def test_bytes_arrive_as_they_were_sent(synthesise: Synthesise, name: str) -> None:
    (api,) = synthesise(name)["Front"].of_type("AWS::ApiGateway::RestApi").values()
    assert api["Properties"]["BinaryMediaTypes"] == ["*/*"]


def test_the_stage_is_limited_logged_and_behind_the_firewall(synthesise: Synthesise, name: str) -> None:
    front = synthesise(name)["Front"]
    (stage_name,) = front.of_type("AWS::ApiGateway::Stage")
    stage = front.resources[stage_name]["Properties"]
    assert stage["AccessLogSetting"]["DestinationArn"]
    for setting in stage["MethodSettings"]:
        assert setting["ThrottlingRateLimit"] > 0
        assert setting["DataTraceEnabled"] is False
    (association,) = front.of_type("AWS::WAFv2::WebACLAssociation").values()
    assert stage_name in json.dumps(association["Properties"]["ResourceArn"])


def test_the_access_log_holds_no_address_with_ids(synthesise: Synthesise, name: str) -> None:
    (stage,) = synthesise(name)["Front"].of_type("AWS::ApiGateway::Stage").values()
    logged = stage["Properties"]["AccessLogSetting"]["Format"]
    assert "$context.resourcePath" in logged
    for told in ("$context.path", "header", "body", "querystring"):
        assert f'"{told}"' not in logged


def test_every_refusal_is_a_problem_with_a_code_of_the_platform(synthesise: Synthesise, name: str) -> None:
    from tests.infra.conftest import PROJECT

    known = (PROJECT / "docs" / "errors.md").read_text(encoding="utf-8")
    responses = synthesise(name)["Front"].of_type("AWS::ApiGateway::GatewayResponse").values()
    kinds = {response["Properties"]["ResponseType"] for response in responses}
    assert {"INVALID_API_KEY", "THROTTLED", "QUOTA_EXCEEDED", "WAF_FILTERED", "DEFAULT_4XX", "DEFAULT_5XX"} <= kinds
    for response in responses:
        told = response["Properties"]
        assert told["ResponseParameters"]["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
        body = json.loads(told["ResponseTemplates"]["application/json"])
        assert set(body) == {"type", "title", "status", "code", "detail", "request_id"}
        assert str(body["status"]) == told["StatusCode"]
        assert f"`{body['code']}` | {body['status']}" in known
        if body["status"] in (429, 503):
            assert "gatewayresponse.header.Retry-After" in told["ResponseParameters"]
