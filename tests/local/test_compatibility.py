"""Deliberately broken documents: each must be seen, and what breaks nobody must pass."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from api.openapi import openapi
from local.compatibility import breaking, major, undeclared
from propensity.campaigns import all_campaigns

Json = dict[str, Any]
Change = Callable[[Json], object]
LIST = "/v1/campaigns/term-deposit/predictions"


def schema(document: Json, name: str) -> Json:
    found: Json = document["components"]["schemas"][name]
    return found


def member(document: Json, name: str, *path: str) -> Json:
    """A member's schema, by names."""
    found = schema(document, name)
    for step in path:
        found = found["properties"][step]
    return found


def post(document: Json) -> Json:
    found: Json = document["paths"][LIST]["post"]
    return found


def body(document: Json, kind: str = "application/json") -> Json:
    found: Json = post(document)["requestBody"]["content"][kind]
    return found


BREAKING: dict[str, tuple[Change, str]] = {
    "a path removed": (lambda d: d["paths"].pop("/readyz"), "/readyz: the path was removed"),
    "a campaign removed": (lambda d: d["paths"].pop(LIST), f"{LIST}: the path was removed"),
    "an operation removed": (lambda d: d["paths"]["/livez"].pop("get"), "GET /livez: the operation was removed"),
    "an operation renamed": (lambda d: post(d).update(operationId="score"), "the operationId changed"),
    "a key needed": (lambda d: d["paths"]["/livez"]["get"].update(security=[{"key": []}]), "GET /livez: a key is now needed"),
    "a role shut out": (lambda d: post(d)["x-roles"].remove("marketing"), "the role marketing may no longer call it"),
    "a status removed": (lambda d: post(d)["responses"].pop("409"), f"POST {LIST}: the status 409 was removed"),
    "a reply format removed": (lambda d: post(d)["responses"]["200"]["content"].pop("text/csv"), "a reply in text/csv was removed"),
    "a body format removed": (
        lambda d: post(d)["requestBody"]["content"].pop("application/x-ndjson"),
        "a body of application/x-ndjson is no longer taken",
    ),
    "a header removed": (lambda d: post(d)["responses"]["200"]["headers"].pop("Idempotent-Replay"), "the header Idempotent-Replay"),
    "a header no longer sure": (lambda d: d["components"]["headers"]["Retry-After"].pop("required"), "the header Retry-After"),
    "a parameter removed": (lambda d: post(d)["parameters"].pop(), "the query parameter model was removed"),
    "a parameter required": (lambda d: post(d)["parameters"][2].update(required=True), "the query parameter policy is now required"),
    "a new parameter required": (
        lambda d: post(d)["parameters"].append({"in": "query", "name": "x", "required": True, "schema": {}}),
        "the query parameter x is new and required",
    ),
    "a parameter narrowed": (
        lambda d: d["components"]["parameters"]["IdempotencyKey"]["schema"].update(maxLength=10),
        "the header parameter Idempotency-Key: maxLength is lower or new",
    ),
    "an option of the address narrowed": (
        lambda d: post(d)["parameters"][2]["schema"]["enum"].remove("budget"),
        "the value 'budget' is no longer taken",
    ),
    "a body required": (
        lambda d: d["paths"]["/livez"]["get"].update(requestBody={"required": True, "content": {}}),
        "GET /livez: a body is now required",
    ),
    "a column required": (lambda d: schema(d, "Row-term-deposit")["required"].append("shoe"), "shoe is now required"),
    "a column's range narrowed below": (lambda d: member(d, "Row-term-deposit", "age").update(minimum=18), "minimum is higher or new"),
    "a column's range narrowed above": (lambda d: member(d, "Row-term-deposit", "age").update(maximum=97), "maximum is lower or new"),
    "a category removed": (
        lambda d: member(d, "Row-term-deposit", "job")["enum"].remove("admin."),
        "the value 'admin.' is no longer taken",
    ),
    "whole numbers only": (lambda d: member(d, "Row-term-deposit", "euribor3m").update(type="integer"), "may no longer be number"),
    "null no longer taken": (lambda d: member(d, "Outcome-term-deposit", "observed_at").update(type="string"), "may no longer be null"),
    "an option removed": (lambda d: schema(d, "Customers-term-deposit")["properties"].pop("model"), "model was removed"),
    "an option required": (lambda d: schema(d, "Customers-term-deposit")["required"].append("model"), "model is now required"),
    "a list shortened": (
        lambda d: member(d, "Customers-term-deposit", "customers").update(maxItems=100),
        "customers: maxItems is lower or new",
    ),
    "other columns refused": (lambda d: schema(d, "Row-term-deposit").update(additionalProperties=False), "nothing"),
    "a shape of the body removed": (lambda d: body(d)["schema"]["anyOf"].pop(1), "application/json#1"),
    "a kind of policy removed": (lambda d: schema(d, "Policy")["anyOf"].pop(2), "the value 'budget' is no longer taken"),
    "a pattern changed": (lambda d: member(d, "Customers-term-deposit", "model").update(pattern="^champion$"), "pattern changed"),
    "a member of a reply removed": (lambda d: schema(d, "Prediction")["properties"].pop("band"), "band was removed"),
    "a member no longer promised": (lambda d: schema(d, "Prediction")["required"].remove("score"), "score is no longer promised"),
    "a member may be null": (lambda d: member(d, "Prediction", "score").update(type=["number", "null"]), "may now be null"),
    "a member has another type": (lambda d: member(d, "Prediction", "row").update(type="string"), "may now be string"),
    "any text for certain ones": (lambda d: member(d, "Prediction", "decision").pop("enum"), "decision: any value"),
    "a new word": (lambda d: member(d, "Prediction", "band")["enum"].append("none"), "the value 'none' may now come"),
    "a word removed": (lambda d: member(d, "Prediction", "band")["enum"].remove("low"), "the value 'low' was removed"),
    "a code removed": (lambda d: member(d, "Problem", "code")["enum"].remove("not_found"), "the value 'not_found' was removed"),
    "a score above one": (lambda d: member(d, "Prediction", "score").update(maximum=100), "maximum is higher or gone"),
    "a new shape of the reply": (
        lambda d: post(d)["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"].append({"type": "array"}),
        "may now be array",
    ),
    "deep in a reply": (
        lambda d: member(d, "PredictionRecord", "explanation", "contributions")["items"]["properties"].pop("effect"),
        "explanation.contributions[]: effect was removed",
    ),
}
HARMLESS: dict[str, Change] = {
    "nothing": lambda d: d,
    "a new path": lambda d: d["paths"].update({"/new": d["paths"]["/livez"]}),
    "a new operation": lambda d: d["paths"]["/livez"].update(post=d["paths"]["/livez"]["get"]),
    "other words": lambda d: post(d).update(summary="x", description="y", tags=["z"]),
    "another example": lambda d: body(d)["examples"].pop("model"),
    "a key no longer needed": lambda d: post(d).update(security=[]),
    "a role let in": lambda d: post(d)["x-roles"].append("auditor"),
    "a new status": lambda d: post(d)["responses"].update({"410": post(d)["responses"]["404"]}),
    "a new reply format": lambda d: post(d)["responses"]["200"]["content"].update({"text/tab-separated-values": {"schema": {}}}),
    "a new body format": lambda d: post(d)["requestBody"]["content"].update({"text/tab-separated-values": {"schema": {}}}),
    "a new header": lambda d: post(d)["responses"]["200"]["headers"].update(Age={"schema": {}}),
    "a new parameter": lambda d: post(d)["parameters"].append({"in": "query", "name": "x", "schema": {}}),
    "a column no longer needed": lambda d: schema(d, "Row-term-deposit")["required"].remove("age"),
    "a column's range widened": lambda d: member(d, "Row-term-deposit", "age").update(minimum=0, maximum=200),
    "a new category": lambda d: member(d, "Row-term-deposit", "job")["enum"].append("astronaut"),
    "a column may be missing": lambda d: member(d, "Row-term-deposit", "age").update(type=["integer", "null"]),
    "any number": lambda d: member(d, "Row-term-deposit", "age").update(type="number"),
    "a new column": lambda d: schema(d, "Row-term-deposit")["properties"].update(shoe={"type": "number"}),
    "a new option": lambda d: schema(d, "Customers-term-deposit")["properties"].update(shoe={"type": "number"}),
    "a longer list": lambda d: member(d, "Customers-term-deposit", "customers").update(maxItems=20_000),
    "a new shape of the body": lambda d: body(d)["schema"]["anyOf"].append({"type": "string"}),
    "a new kind of policy asked for": lambda d: post(d)["parameters"][2]["schema"]["enum"].append("luck"),
    "a new member of a reply": lambda d: schema(d, "Prediction")["properties"].update(shoe={"type": "number"}),
    "a member now promised": lambda d: schema(d, "Prediction")["required"].append("reasons"),
    "a new code": lambda d: member(d, "Problem", "code")["enum"].append("luck"),
    "whole numbers where any were possible": lambda d: member(d, "Reason", "effect").update(type="integer"),
    "a schema under another name": lambda d: (
        d["components"]["schemas"].update(Health=schema(d, "Liveness")),
        d["paths"]["/livez"]["get"]["responses"]["200"]["content"]["application/json"].update(
            schema={"$ref": "#/components/schemas/Health"}
        ),
    ),
}


@pytest.fixture(scope="module")
def document() -> Json:
    """The document as it is."""
    return openapi(all_campaigns())


@pytest.mark.parametrize(("change", "expected"), BREAKING.values(), ids=BREAKING)
def test_what_breaks_is_seen(document: Json, change: Change, expected: str) -> None:
    changed = deepcopy(document)
    change(changed)
    found = breaking(document, changed)
    assert any(expected in told for told in found), found


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_what_breaks_nobody_passes(document: Json, change: Change) -> None:
    changed = deepcopy(document)
    change(changed)
    assert breaking(document, changed) == []


def test_a_new_major_number_declares_a_break(document: Json) -> None:
    changed = deepcopy(document)
    del changed["paths"]["/livez"]
    assert undeclared(document, changed) == ["/livez: the path was removed"]
    now = major(document)
    changed["info"]["version"] = f"{now}.9.0"
    assert undeclared(document, changed)
    changed["info"]["version"] = f"{now + 1}.0.0"
    assert (major(changed), undeclared(document, changed)) == (now + 1, [])
