"""The document says all that the service does, and nothing else. Every other test's replies are held against it as well."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any, NoReturn

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from werkzeug.exceptions import default_exceptions

from api.app import ROUTES, create_app
from api.codes import REMEDIES, ROW_CODES, STATUSES, every_code
from api.openapi import openapi
from api.openapi.roles import ROLES, roles_for
from propensity.campaigns import all_campaigns
from propensity.errors import DataError, PropensityError
from propensity.model import Model
from tests.api.conftest import World
from tests.api.contract import Contract
from tests.api.models import make_campaign, make_model, make_rows
from tests.api.some_lists import DONE, FAILED, LATE, WAITING, keep_all

CAMPAIGNS = {**all_campaigns(), "small": make_campaign(), "strict": make_campaign(name="strict", unexpected_columns="refuse")}
DOCUMENT = openapi(CAMPAIGNS)
OPERATIONS = {(method.upper(), path): said for path, item in DOCUMENT["paths"].items() for method, said in item.items()}


def examples() -> list[Any]:
    """(method, address, format, value) of everything that the document shows as a body."""
    found = []
    for (method, path), said in OPERATIONS.items():
        for kind, content in said.get("requestBody", {}).get("content", {}).items():
            for name, example in content.get("examples", {}).items():
                found.append(pytest.param(method, path, kind, example["value"], id=f"{method} {path} {kind} {name}"))
    return found


@pytest.fixture
def world(world: World) -> World:
    """The service, with a list in each state."""
    keep_all(world.store)
    return world


@pytest.fixture(scope="module")
def full(make_world: Callable[..., World]) -> World:
    """A service in which every campaign has a live model and one before it."""
    world = make_world(*CAMPAIGNS.values())
    for trees in (3, 2):
        for declared in CAMPAIGNS.values():
            world.promote(make_model(declared, trees=trees), refresh=False)
        world.models.refresh()
    return world


def test_it_is_openapi() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []
    json.dumps(DOCUMENT, allow_nan=False)


def test_every_route_is_described_and_every_description_is_a_route() -> None:
    routes = {(method, re.sub(r"<\w+>", "{}", path)) for method, path, _ in ROUTES}
    names = "|".join(CAMPAIGNS)
    described = {(method, re.sub(rf"(?<=/campaigns/)({names})(?=/)|\{{\w+\}}", "{}", path)) for method, path in OPERATIONS}
    assert routes == described


def test_operations_have_names_of_their_own_and_words_for_people() -> None:
    names = [said["operationId"] for said in OPERATIONS.values()]
    assert len(set(names)) == len(names)
    for said in OPERATIONS.values():
        assert said["summary"], said["operationId"]
        assert said["description"], said["operationId"]


def test_no_object_is_left_open_without_saying_so() -> None:
    def bare(part: Any, at: str) -> list[str]:
        if isinstance(part, list):
            return [found for n, inner in enumerate(part) for found in bare(inner, f"{at}/{n}")]
        if not isinstance(part, dict):
            return []
        inside = [found for key, inner in part.items() if key not in {"example", "examples"} for found in bare(inner, f"{at}/{key}")]
        return [*inside, at] if part == {"type": "object"} else inside

    described_elsewhere = ("/RowSchema/", "/Document/", "/Manifest/properties/params", "/lineage/properties/params")
    assert [at for at in bare(DOCUMENT, "") if not any(known in at for known in described_elsewhere)] == []


def test_keys_and_refusals_go_together() -> None:
    for (method, path), said in OPERATIONS.items():
        statuses = set(said["responses"])
        if said["security"]:
            assert {"401", "429", "503"} <= statuses, path
            assert set(said["x-roles"]) <= set(ROLES)
            assert ("403" in statuses) == (set(said["x-roles"]) != set(ROLES)), path
        else:
            # The signature in an address is a key of its own kind.
            signed = path.startswith(("/v1/uploads/", "/v1/downloads/"))
            assert not {"401", "403", "429"} & statuses or path == "/sign-in" or signed, path
            assert method == "GET" or path in ("/sign-in", "/sign-out") or signed
    assert roles_for("GET", "/livez") is None
    assert OPERATIONS["POST", "/v1/campaigns/small/predictions"]["x-roles"] == ["marketing", "operator"]
    assert OPERATIONS["GET", "/metrics"]["x-roles"] == ["operator", "auditor"]


@pytest.mark.parametrize(("method", "address", "kind", "value"), examples())
def test_every_example_is_answered(full: World, method: str, address: str, kind: str, value: Any) -> None:
    body = value if isinstance(value, str) else json.dumps(value)
    reply = full.client.open(address, method=method, data=body, content_type=kind)
    assert reply.status_code == 200, reply.text
    if "/campaigns/" in address:
        assert reply.json["errors_total"] == 0
        assert reply.json["counts"]["refused"] == 0


def test_every_example_is_as_its_schema_says() -> None:
    contract, looked_at = Contract(DOCUMENT), 0
    bodies = [said["requestBody"]["content"] for said in OPERATIONS.values() if "requestBody" in said]
    replies = [contract.resolve(reply)["content"] for said in OPERATIONS.values() for reply in said["responses"].values()]
    for content in [*bodies, *replies]:
        for kind, said in content.items():
            values = [example["value"] for example in said.get("examples", {}).values()] + ([said["example"]] if "example" in said else [])
            for value in values:
                contract.check_value(said["schema"], value, kind)
                looked_at += 1
    assert looked_at > 100


LIST = "/v1/campaigns/term-deposit/predictions"
PROMOTIONS = "/v1/campaigns/term-deposit/promotions"
LISTS = "/v1/campaigns/term-deposit/lists"
OUTCOMES = "/v1/campaigns/term-deposit/outcomes"
ASKED: list[tuple[str, str, dict[str, Any], int]] = [
    ("POST", LIST, {"json": "rows"}, 200),
    ("POST", LIST, {"json": "rows", "query_string": {"policy": "top_share", "value": "0.5", "reasons": "0"}}, 200),
    ("POST", LIST, {"json": "spoilt"}, 200),
    ("POST", LIST, {"data": b"[", "content_type": "application/json"}, 400),
    ("POST", "/v1/campaigns/nope/predictions", {"json": "rows"}, 404),
    ("POST", LIST, {"data": b" " * 11_000_000, "content_type": "text/csv"}, 413),
    ("POST", LIST, {"data": b"x", "content_type": "text/plain"}, 415),
    ("POST", LIST, {"json": [7]}, 422),
    ("POST", LIST, {"json": [{"id": "a"}] * 200}, 422),
    ("POST", "/v1/campaigns/small/predictions", {"json": "rows"}, 503),
    ("POST", OUTCOMES, {"json": [{"customer_id": "c1", "label": "yes"}, {"label": 1}]}, 200),
    ("POST", OUTCOMES, {"data": b"", "content_type": "application/json"}, 400),
    ("POST", OUTCOMES, {"data": b"x", "content_type": "text/plain"}, 415),
    ("POST", OUTCOMES, {"json": []}, 422),
    ("POST", "/v1/campaigns/nope/outcomes", {"json": []}, 404),
    ("GET", OUTCOMES, {}, 200),
    ("GET", OUTCOMES, {"query_string": {"since": "2026-02-30"}}, 400),
    ("GET", "/v1/campaigns/nope/outcomes", {}, 404),
    ("GET", "/v1/campaigns", {}, 200),
    ("GET", "/v1/campaigns/term-deposit", {}, 200),
    ("GET", "/v1/campaigns/small", {}, 200),
    ("GET", "/v1/campaigns/nope", {}, 404),
    ("GET", "/v1/campaigns/small/schema", {}, 200),
    ("GET", "/v1/campaigns/nope/schema", {}, 404),
    ("GET", "/v1/campaigns/term-deposit/model", {}, 200),
    ("GET", "/v1/campaigns/nope/model", {}, 404),
    ("GET", "/v1/campaigns/small/model", {}, 503),
    ("GET", "/v1/campaigns/term-deposit/model", {"query_string": {"model": "champion"}}, 200),
    ("GET", "/v1/campaigns/term-deposit/model", {"query_string": {"model": "?"}}, 400),
    ("GET", "/v1/campaigns/term-deposit/models", {}, 200),
    ("GET", "/v1/campaigns/small/models", {}, 200),
    ("GET", "/v1/campaigns/nope/models", {}, 404),
    ("GET", PROMOTIONS, {}, 200),
    ("GET", PROMOTIONS, {"query_string": {"limit": "1", "before": "9"}}, 200),
    ("GET", PROMOTIONS, {"query_string": {"limit": "0"}}, 400),
    ("GET", "/v1/campaigns/nope/promotions", {}, 404),
    ("POST", PROMOTIONS, {"json": {"model": "champion", "reason": "asked for"}}, 200),
    ("POST", PROMOTIONS, {"json": {"model": "0" * 12, "reason": "asked for"}}, 404),
    ("POST", PROMOTIONS, {"json": {"model": "champion", "reason": " "}}, 422),
    ("POST", PROMOTIONS, {"json": {"model": "champion"}}, 422),
    ("POST", PROMOTIONS, {"data": b"x", "content_type": "text/plain"}, 415),
    ("POST", "/v1/campaigns/term-deposit/rollbacks", {"json": {"reason": "asked for"}}, 409),
    ("POST", "/v1/campaigns/small/rollbacks", {"json": {"reason": "asked for"}}, 503),
    ("POST", "/v1/campaigns/nope/rollbacks", {"json": {"reason": "asked for"}}, 404),
    ("POST", "/v1/campaigns/term-deposit/approvals", {"json": {"approve": True, "reason": "asked for"}}, 409),
    ("POST", "/v1/campaigns/term-deposit/approvals", {"json": {"approve": 1, "reason": "asked for"}}, 400),
    ("POST", "/v1/campaigns/nope/approvals", {"json": {"approve": True, "reason": "asked for"}}, 404),
    ("GET", "/v1/campaigns/term-deposit/lift", {}, 200),
    ("GET", "/v1/campaigns/term-deposit/lift", {"query_string": {"since": "x"}}, 400),
    ("GET", "/v1/campaigns/nope/lift", {}, 404),
    ("POST", "/v1/suppressions", {"json": {"customer_ids": ["c1", 2], "reason": "objection", "campaign": "small"}}, 200),
    ("POST", "/v1/suppressions", {"json": {"customer_id": "c1", "reason": "boredom"}}, 400),
    ("POST", "/v1/suppressions", {"json": {"customer_ids": ["c"] * 10_001, "reason": "objection"}}, 413),
    ("POST", "/v1/suppressions", {"data": b"x", "content_type": "text/csv"}, 415),
    ("POST", "/v1/suppressions", {"json": {"customer_id": "", "reason": "objection"}}, 422),
    ("DELETE", "/v1/suppressions", {"json": {"customer_id": "c1"}}, 200),
    ("DELETE", "/v1/suppressions", {"json": {"customer_id": "c1", "reason": "objection"}}, 400),
    ("GET", "/v1/suppressions", {"query_string": {"limit": "2", "before": "9", "campaign": "small"}}, 200),
    ("GET", "/v1/suppressions", {"query_string": {"limit": "0"}}, 400),
    ("GET", "/v1/suppressions", {"query_string": {"campaign": "nope"}}, 404),
    ("POST", "/v1/erasures", {"json": {"customer_id": "c1", "reason": "asked for"}}, 200),
    ("POST", "/v1/erasures", {"json": {"customer_id": "c1"}}, 400),
    ("POST", "/v1/erasures", {"json": {"customer_id": "erased-x", "reason": "again"}}, 422),
    ("GET", "/v1/erasures/nope", {}, 404),
    ("GET", "/v1/erasures/3f1c2a52-0c3e-4a57-9c5b-6a1f0b7f5d11", {}, 404),
    ("POST", LIST, {"json": "rows", "headers": {"Accept": "image/png"}}, 406),
    ("GET", "/metrics", {}, 200),
    ("GET", "/v1/predictions/nope", {}, 404),
    ("GET", "/v1/caller", {}, 200),
    ("GET", "/v1/alerts", {}, 200),
    ("GET", "/v1/alerts", {"query_string": {"state": "open"}}, 200),
    ("GET", "/v1/alerts", {"query_string": {"state": "?"}}, 400),
    ("GET", "/v1/alerts/nope", {}, 404),
    ("GET", "/v1/alerts/a-000000000000", {}, 404),
    ("POST", "/v1/alerts/a-000000000000/acknowledgements", {"json": {}}, 404),
    ("POST", "/v1/alerts/a-000000000000/acknowledgements", {"json": {"note": 7}}, 400),
    ("POST", "/v1/alerts/a-000000000000/acknowledgements", {"data": b"x", "content_type": "text/plain"}, 415),
    ("POST", "/v1/alerts/a-000000000000/acknowledgements", {"data": b" " * 11_000_000, "content_type": "application/json"}, 413),
    ("GET", "/v1/flows", {}, 200),
    ("GET", "/livez", {}, 200),
    ("GET", "/startupz", {}, 200),
    ("GET", "/readyz", {}, 200),
    ("GET", "/openapi.json", {}, 200),
    ("GET", "/docs", {}, 200),
    ("GET", "/monitoring", {}, 200),
    ("GET", "/monitoring", {"query_string": {"section": "drift", "campaign": "small", "span": "7d"}}, 200),
    ("GET", "/monitoring", {"query_string": {"section": "nope"}}, 400),
    ("GET", "/monitoring", {"query_string": {"span": "2d"}, "headers": {"Accept": "text/html"}}, 400),
    ("POST", LISTS, {"json": {"format": "csv"}}, 201),
    ("POST", LISTS, {"json": {"format": "csv", "parts": True, "size_bytes": 20_000_000}}, 201),
    ("POST", LISTS, {"data": b"["}, 400),
    ("POST", LISTS, {"json": {"size_bytes": 2**52}}, 413),
    ("POST", "/v1/campaigns/nope/lists", {"json": {}}, 404),
    ("GET", f"/v1/lists/{DONE}", {}, 200),
    ("GET", f"/v1/lists/{FAILED}", {}, 200),
    ("GET", "/v1/lists/nope", {}, 404),
    ("GET", f"/v1/lists/{DONE}/result", {"query_string": {"format": "xlsx"}}, 303),
    ("GET", f"/v1/lists/{DONE}/result", {"query_string": {"format": "nope"}}, 400),
    ("GET", f"/v1/lists/{FAILED}/result", {}, 404),
    ("GET", f"/v1/lists/{WAITING}/result", {}, 409),
    ("GET", f"/v1/lists/{LATE}/errors", {}, 410),
    ("GET", f"/v1/lists/{DONE}/errors", {}, 303),
    ("POST", "/v1/uploads/nope", {}, 403),
    ("PUT", "/v1/uploads/nope", {}, 403),
    ("GET", "/v1/downloads/nope", {}, 403),
    ("GET", "/lists", {}, 200),
    ("GET", "/lists/new", {}, 200),
    ("POST", "/lists/new", {"data": {"form_token": "x"}}, 415),
    ("POST", "/lists/new", {"data": {"form_token": "x"}, "content_type": "multipart/form-data"}, 400),
    ("GET", f"/lists/{DONE}", {}, 200),
    ("GET", f"/lists/{FAILED}", {}, 200),
    ("GET", f"/lists/{WAITING}", {}, 200),
    ("GET", f"/lists/{LATE}", {}, 200),
    ("GET", "/lists/nope", {}, 404),
    ("POST", f"/lists/{DONE}", {"data": {"form_token": "x"}}, 400),
    ("GET", f"/lists/{DONE}/state", {}, 200),
    ("GET", f"/lists/{DONE}/sheet", {}, 200),
    ("GET", f"/lists/{DONE}/sheet", {"query_string": {"format": "parquet", "rows": "decided"}}, 200),
    ("GET", f"/lists/{DONE}/sheet", {"query_string": {"rows": "nope"}}, 400),
    ("GET", f"/lists/{WAITING}/sheet", {}, 404),
    ("GET", f"/lists/{DONE}/refused", {}, 200),
    ("GET", "/customer", {}, 200),
    ("GET", "/customer", {"query_string": {"campaign": "nope"}}, 404),
    ("POST", "/customer", {"data": {"form_token": "x"}}, 400),
    ("GET", "/predictions/nope", {"headers": {"Accept": "text/html"}}, 404),
    ("GET", "/campaigns", {}, 200),
    ("GET", "/campaigns/term-deposit", {}, 200),
    ("GET", "/campaigns/small", {}, 200),
    ("GET", "/campaigns/nope", {}, 404),
    ("GET", "/campaigns/term-deposit/report", {}, 200),
    ("GET", f"/lists/{DONE}/excluded", {}, 200),
    ("GET", "/suppressions", {}, 200),
    ("POST", "/suppressions", {"data": {"form_token": "x"}}, 400),
    ("GET", "/models", {}, 200),
    ("GET", "/models", {"query_string": {"campaign": "small"}}, 200),
    ("POST", "/models", {"data": {"form_token": "x"}}, 400),
    ("GET", "/administration", {}, 200),
    ("POST", "/administration", {"data": {"form_token": "x"}}, 400),
    ("GET", "/sign-in", {}, 200),
    ("POST", "/sign-in", {"data": {"key": "nope"}}, 400),
    ("POST", "/sign-in", {"json": {}}, 415),
    ("POST", "/sign-in", {"data": {"key": "x" * 1_000_000}}, 400),
    ("POST", "/sign-out", {"data": {"form_token": "nope"}}, 400),
    ("GET", "/", {}, 200),
    ("GET", "/nope", {}, 404),
    ("DELETE", "/livez", {}, 405),
    ("GET", LIST, {}, 405),
    ("OPTIONS", LIST, {}, 200),
    ("HEAD", "/livez", {}, 200),
    ("HEAD", "/nope", {}, 404),
]


@pytest.mark.parametrize(("method", "address", "asked", "status"), ASKED, ids=lambda value: str(value)[:40])
def test_replies_are_as_described(
    world: World, rows: list[dict[str, Any]], method: str, address: str, asked: dict[str, Any], status: int
) -> None:
    bodies = {"rows": rows, "spoilt": [*rows, 7, {**rows[0], "age": "x", "shoe": 1}]}
    given = {key: bodies.get(value, value) if key == "json" and isinstance(value, str) else value for key, value in asked.items()}
    assert world.client.open(address, method=method, **given).status_code == status  # the client holds it against the document


def test_every_route_was_asked() -> None:
    contract = Contract(DOCUMENT)
    asked = {known[0] for method, address, _, _ in ASKED if (known := contract.operation(method, address)) is not None}
    concrete = {path for _, path in OPERATIONS if "{" in path or not path.startswith("/v1/campaigns/")}
    assert concrete - asked == set()


@pytest.mark.parametrize("down", [False, True])
def test_replies_are_as_described_with_the_database_down(world: World, rows: list[dict[str, Any]], down: bool) -> None:
    wanted = world.predict(rows).json["predictions"][0]["prediction_id"]
    world.database.down = down
    statuses = {
        world.predict(rows).status_code,
        world.client.post(OUTCOMES, json=[{"customer_id": "c1", "label": True}]).status_code,
        world.client.get(f"/v1/predictions/{wanted}").status_code,
        world.client.get("/readyz").status_code,
    }
    assert statuses == {503 if down else 200}


def test_records_without_their_model_are_as_described(world: World, rows: list[dict[str, Any]], rival: Model) -> None:
    wanted = world.predict(rows).json["predictions"][0]["prediction_id"]
    world.promote(rival)
    world.models._packages.clear()
    world.store.objects.clear()
    assert world.client.get(f"/v1/predictions/{wanted}").json["unexplained"]


def test_nullable_values_are_as_described(full: World) -> None:
    rows = make_rows(CAMPAIGNS["small"], 5)
    rows[0].update(income=None, region=None)
    prediction = full.predict({"customers": rows, "reasons": 10}, "small").json["predictions"][0]
    assert full.client.get(f"/v1/predictions/{prediction['prediction_id']}").json["features"]["income"] is None


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a member that is not described": lambda d: d["components"]["schemas"]["Liveness"]["properties"].pop("status"),
    "a member that is missing": lambda d: d["components"]["schemas"]["Liveness"]["required"].append("since"),
    "another type": lambda d: d["components"]["schemas"]["Liveness"]["properties"].update(status={"type": "number"}),
    "another format": lambda d: d["paths"]["/livez"]["get"]["responses"]["200"].update(content={"text/csv": {"schema": {}}}),
    "a status that is not described": lambda d: d["paths"]["/livez"]["get"]["responses"].pop("200"),
    "an operation that is not described": lambda d: d["paths"].pop("/livez"),
    "a header that is missing": lambda d: d["paths"]["/livez"]["get"]["responses"]["200"]["headers"].update(Age={"required": True}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_watch_over_replies_sees(world: World, change: Callable[[dict[str, Any]], object]) -> None:
    document = deepcopy(DOCUMENT)
    change(document)
    reply = world.client.get("/livez")
    Contract(DOCUMENT).check("GET", "/livez", reply)
    with pytest.raises(AssertionError):
        Contract(document).check("GET", "/livez", reply)


def test_every_code_is_listed_with_what_to_do() -> None:
    codes = every_code()
    assert set(codes) == set(REMEDIES)
    assert DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == list(codes)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", code) for code in [*codes, *ROW_CODES])
    waiting: list[type[PropensityError]] = [PropensityError]
    for kind in waiting:
        waiting += kind.__subclasses__()
        assert codes[kind.code].status == kind.status, kind


@pytest.mark.parametrize("status", sorted(default_exceptions))
def test_every_refusal_of_the_web_framework_has_a_stable_code(world: World, status: int) -> None:
    app = create_app(world.services)
    app.view_functions["GET /livez"] = lambda: _raise(default_exceptions[status]())
    reply: Any = app.test_client().get("/livez")
    assert (reply.status_code, reply.content_type) == (status, "application/problem+json")
    expected = STATUSES[status].code if status in STATUSES else f"http_{status}"
    assert reply.json["code"] == expected
    assert ("Retry-After" in reply.headers) == (status in (429, 503))


def test_codes_do_not_depend_on_the_names_that_python_has() -> None:
    assert {400, 401, 403, 404, 405, 406, 408, 409, 411, 413, 414, 415, 422, 429, 431, 500, 501, 503} <= set(STATUSES)
    assert len({said.code for said in STATUSES.values()}) == len(STATUSES)
    assert DataError.code in every_code()


def _raise(error: Exception) -> NoReturn:
    raise error
