"""Who may not be contacted: suppressions, cooling-off, cap, control group, in replies of every format; erasures; fails closed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propensity.campaign import Campaign
from propensity.contact_policy import ContactHours, ContactPolicy
from propensity.holdout import Holdout, held_out
from propensity.model import Model
from tests.api.conftest import World
from tests.api.models import make_campaign, make_model, make_rows
from tests.fake_gate import SECRETS

Rows = list[dict[str, Any]]
EVERYBODY = {"policy": {"kind": "top_share", "value": 1.0}, "reasons": 0}
STRICT = make_campaign(
    name="strict",
    contact_policy=ContactPolicy(cooling_off_days=7, most_contacts=2, within_days=30, hours=ContactHours(time_zone="Europe/Lisbon")),
)
MEASURED = make_campaign(name="measured", holdout=Holdout(share=0.3, key="test"))
FORMATS = ("application/json", "application/x-ndjson", "text/csv", "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet")


@pytest.fixture(scope="module")
def gate_models() -> dict[str, Model]:
    return {declared.name: make_model(declared) for declared in (STRICT, MEASURED, make_campaign())}


@pytest.fixture
def gated(make_world: Callable[..., World], gate_models: dict[str, Model]) -> Iterator[World]:
    """A service with a campaign of each kind."""
    world = make_world(STRICT, MEASURED)
    # One clock for the service and its Postgres, which the tests turn.
    object.__setattr__(world.services, "clock", lambda: world.database.now)
    for model in gate_models.values():
        world.promote(model, refresh=False)
    world.models.refresh()
    yield world
    world.models.stop()


def rows_of(declared: Campaign, n: int = 8) -> Rows:
    return make_rows(declared, n, seed=1)


def suppress(world: World, name: object, reason: str = "objection", **more: Any) -> Any:
    reply = world.as_role("marketing").post("/v1/suppressions", json={"customer_id": name, "reason": reason, **more})
    assert reply.status_code == 200, reply.text
    return reply


def lift(world: World, name: object, **more: Any) -> None:
    assert world.client.delete("/v1/suppressions", json={"customer_id": name, **more}).status_code == 200


def decisions(world: World, rows: Rows, name: str = "small", **more: Any) -> dict[str, dict[str, Any]]:
    reply = world.predict({"customers": rows, **EVERYBODY, **more}, name)
    assert reply.status_code == 200, reply.text
    return {row["customer_id"]: row for row in reply.json["predictions"]}


def test_nothing_is_said_where_nothing_is_declared_and_nobody_is_suppressed(gated: World) -> None:
    reply = gated.predict({"customers": rows_of(make_campaign()), **EVERYBODY}, "small").json
    assert "gate" not in reply
    assert not {"excluded", "arm"} & set(reply["predictions"][0])
    asked = gated.log.suppressions.asked
    gated.predict({"customers": rows_of(make_campaign()), **EVERYBODY}, "small")
    # The last look is the log's own.
    assert gated.log.suppressions.asked == asked + 1


def test_a_suppressed_customer_is_left_alone_with_the_reason_and_uses_up_nothing(gated: World) -> None:
    rows = rows_of(make_campaign())
    best = min(decisions(gated, rows).values(), key=lambda row: row["rank"])["customer_id"]
    suppress(gated, best, "complaint")
    reply = gated.predict({"customers": rows, "policy": {"kind": "top_share", "value": 0.25}, "reasons": 2}, "small").json
    found = {row["customer_id"]: row for row in reply["predictions"]}
    assert (found[best]["decision"], found[best]["excluded"], found[best]["rank"]) == ("leave", "complaint", len(rows))
    # A quarter of the seven who are left is one.
    assert reply["counts"]["contact"] == 1
    assert reply["gate"]["excluded"] == {"complaint": 1}
    entry = gated.log.entries[-1]
    at = list(entry.customer_ids).index(best)
    assert not entry.contact[at]
    assert entry.gate is not None
    assert (entry.gate.excluded, entry.gate.reasons) == ([at + 1], ["complaint"])
    metrics = gated.client.get("/metrics").text
    assert 'propensity_rows_excluded_total{campaign="small",reason="complaint"} 1.0' in metrics
    lift(gated, best)
    assert decisions(gated, rows)[best]["decision"] == "contact"


def test_of_one_campaign_or_of_all(gated: World) -> None:
    rows = rows_of(make_campaign())
    suppress(gated, rows[0]["customer_no"], campaign="small")
    assert decisions(gated, rows)[rows[0]["customer_no"]]["excluded"] == "objection"
    assert decisions(gated, rows, "measured")[rows[0]["customer_no"]]["excluded"] is None
    suppress(gated, rows[0]["customer_no"], "deceased")
    assert decisions(gated, rows, "measured")[rows[0]["customer_no"]]["excluded"] == "deceased"
    lift(gated, rows[0]["customer_no"])
    assert decisions(gated, rows)[rows[0]["customer_no"]]["excluded"] == "objection"


@pytest.mark.parametrize(
    ("listed", "sent"), [("17", 17), (17, "17"), ("K-9", "k-9 "), ("17", 17.0), ("0017", "17"), ("ｋ１", "K1"), ("ß", "SS")]
)
def test_whatever_the_id_is_written_like(gated: World, listed: object, sent: object) -> None:
    suppress(gated, listed)
    rows = rows_of(make_campaign(), 3)
    rows[1]["customer_no"] = sent
    found = list(decisions(gated, rows).values())
    assert [row["excluded"] for row in found] == [None, "objection", None]
    assert [row["decision"] for row in found] == ["contact", "leave", "contact"]


@pytest.mark.parametrize("accept", FORMATS)
def test_in_every_format_of_the_reply(gated: World, accept: str) -> None:
    rows = rows_of(make_campaign(), 4)
    suppress(gated, rows[2]["customer_no"])
    reply = gated.predict({"customers": rows, **EVERYBODY}, "small", headers={"Accept": accept})
    assert reply.status_code == 200
    found = table_of(accept, reply.data)
    assert [row["decision"] for row in found] == ["contact", "contact", "leave", "contact"]
    assert [row["excluded"] or None for row in found] == [None, None, "objection", None]


def table_of(kind: str, body: bytes) -> Rows:
    if kind == FORMATS[0]:
        rows: Rows = json.loads(body)["predictions"]
        return rows
    if kind == FORMATS[1]:
        return [row for line in body.splitlines() if "customer_id" in (row := json.loads(line))]
    if kind == FORMATS[2]:
        return list(csv.DictReader(io.StringIO(body.decode())))
    table = pa.ipc.open_stream(body).read_all() if kind == FORMATS[3] else pq.read_table(io.BytesIO(body))
    found: Rows = table.to_pylist()
    return found


@pytest.mark.parametrize(
    "kind", ["text/csv", "application/x-ndjson", "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"]
)
def test_in_every_format_of_the_list(gated: World, kind: str) -> None:
    rows = rows_of(make_campaign(), 4)
    rows[1]["customer_no"] = "S-1"
    suppress(gated, "s-1")
    table = pa.Table.from_pylist(rows)
    sink = io.BytesIO()
    if kind == "text/csv":
        writer = csv.DictWriter(text := io.StringIO(), list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        sink.write(text.getvalue().encode())
    elif kind == "application/x-ndjson":
        sink.write("\n".join(map(json.dumps, rows)).encode())
    elif kind.endswith("parquet"):
        pq.write_table(table, sink)
    else:
        with pa.ipc.new_stream(sink, table.schema) as writing:
            writing.write_table(table)
    address = "/v1/campaigns/small/predictions?policy=top_share&value=1"
    reply = gated.client.post(address, data=sink.getvalue(), content_type=kind, headers={"Accept": FORMATS[0]})
    assert reply.status_code == 200, reply.text
    found = reply.json.get("predictions") or [dict(zip(reply.json["columns"], row, strict=True)) for row in zip(*reply.json["columns"].values(), strict=True)]  # noqa: E501  # fmt: skip
    assert [row["decision"] for row in found] == ["contact", "leave", "contact", "contact"]


def test_whoever_is_suppressed_between_the_look_and_the_commit_does_not_get_out(gated: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(make_campaign(), 4)
    store, asked = gated.log.suppressions, 0
    version = store.version

    def late() -> int:
        nonlocal asked
        asked += 1
        if asked <= 2:
            store.add([rows[asked]["customer_no"]], campaign=None, action="add", reason="legal", note=None, actor="other process")
        return version()

    decisions(gated, rows)
    monkeypatch.setattr(store, "version", late)
    found = list(decisions(gated, rows).values())
    assert [row["excluded"] for row in found] == [None, "legal", "legal", None]
    assert len(gated.log.entries) == 2


def test_where_suppressions_never_rest_nobody_gets_out(gated: World, monkeypatch: pytest.MonkeyPatch) -> None:
    store = gated.log.suppressions
    monkeypatch.setattr(store, "version", lambda: len(store.rows) + 1)
    reply = gated.predict(rows_of(make_campaign()), "small")
    assert (reply.status_code, reply.json["code"]) == (503, "suppressions_changed")
    assert gated.log.entries == []


def test_where_the_list_cannot_be_read_nobody_is_scored(gated: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gated.database.down = True
    scored: list[object] = []
    monkeypatch.setattr(Model, "score", lambda *given: scored.append(given))
    reply = gated.predict(rows_of(make_campaign()), "small")
    assert (reply.status_code, reply.json["code"], scored) == (503, "database_unavailable", [])


def test_contacts_that_cannot_be_read_stop_a_campaign_that_limits_them(gated: World, monkeypatch: pytest.MonkeyPatch) -> None:
    decisions(gated, rows_of(STRICT), "strict")
    monkeypatch.setattr(gated.log.contacts, "contacted", lambda *_, **__: gated.log.database.ping())
    gated.database.down = True
    assert gated.predict(rows_of(STRICT), "strict").status_code == 503


def test_cooling_off_and_cap(gated: World) -> None:
    rows = rows_of(STRICT, 3)
    names = [row["customer_no"] for row in rows]
    assert {row["excluded"] for row in decisions(gated, rows, "strict").values()} == {None}
    # The same day again is the same contact.
    assert {row["decision"] for row in decisions(gated, rows, "strict").values()} == {"contact"}
    gated.database.now += timedelta(days=7)
    assert {row["excluded"] for row in decisions(gated, rows, "strict").values()} == {"cooling_off"}
    gated.database.now += timedelta(days=1)
    # Other campaigns' contacts count, whether or not they limit any.
    decisions(gated, rows[:1], "small")
    found = decisions(gated, rows, "strict")
    assert [found[name]["excluded"] for name in names] == ["frequency_cap", None, None]
    suppress(gated, names[0], "deceased")
    assert decisions(gated, rows, "strict")[names[0]]["excluded"] == "deceased"
    gated.database.now += timedelta(days=31)
    assert {row["excluded"] for row in decisions(gated, rows[1:], "strict").values()} == {None}


def test_the_reply_says_when_customers_may_be_contacted(gated: World) -> None:
    hours = gated.predict({"customers": rows_of(STRICT), **EVERYBODY}, "strict").json["gate"]["contact_hours"]
    # 2026-03-01 is a Sunday.
    assert hours == {"open": False, "begins": "2026-03-02T09:00:00+00:00", "until": "2026-03-02T20:00:00+00:00"}
    gated.database.now += timedelta(days=1)
    assert gated.predict(rows_of(STRICT), "strict").json["gate"]["contact_hours"]["open"]


def test_arms_are_drawn_by_the_key_and_kept(gated: World) -> None:
    rows = make_rows(MEASURED, 400, seed=2)
    found = decisions(gated, rows, "measured")
    expected = held_out(SECRETS["test"], "measured", [row["customer_no"].casefold() for row in rows], 0.3)
    assert [found[row["customer_no"]]["arm"] for row in rows] == ["holdout" if held else "contact" for held in expected]
    assert [found[row["customer_no"]]["decision"] for row in rows] == ["leave" if held else "contact" for held in expected]
    gate = gated.log.entries[-1].gate
    assert gate is not None
    assert (gate.holdout_key, gate.holdout_share) == ("test", 0.3)
    assert gate.held_out == [at for at, held in enumerate(expected, 1) if held]
    # Alone, in another order, and under another policy the arm is the same.
    alone = decisions(gated, rows[5:6], "measured")
    assert alone[rows[5]["customer_no"]]["arm"] == found[rows[5]["customer_no"]]["arm"]
    few = decisions(gated, rows[::-1], "measured", policy={"kind": "top_share", "value": 0.1})
    chosen = {name: row for name, row in few.items() if row["arm"]}
    assert len(chosen) == 40
    assert all(row["arm"] == found[name]["arm"] for name, row in chosen.items())


def test_a_stored_reply_is_not_given_out_once_somebody_in_it_is_suppressed(gated: World) -> None:
    rows = rows_of(make_campaign(), 4)
    asked = {"headers": {"Idempotency-Key": "k1"}}
    first = gated.predict({"customers": rows, **EVERYBODY}, "small", **asked)
    suppress(gated, "somebody else")
    assert gated.predict({"customers": rows, **EVERYBODY}, "small", **asked).data == first.data
    suppress(gated, rows[1]["customer_no"])
    again = gated.predict({"customers": rows, **EVERYBODY}, "small", **asked)
    assert (again.status_code, again.json["code"]) == (409, "suppressed_since")


def test_the_list_for_administration(gated: World) -> None:
    for name in ("a", "b", "c"):
        suppress(gated, name, note="by letter")
    suppress(gated, "d", campaign="small")
    lift(gated, "b")
    page = gated.client.get("/v1/suppressions?limit=2").json
    assert [row["customer_id"] for row in page["suppressions"]] == ["d", "c"]
    assert page["suppressions"][1] | {"since": ""} == {
        "id": 3,
        "customer_id": "c",
        "campaign": None,
        "reason": "objection",
        "note": "by letter",
        "by": "marketing",
        "since": "",
    }
    rest = gated.client.get(f"/v1/suppressions?limit=2&before={page['before']}").json
    assert ([row["customer_id"] for row in rest["suppressions"]], rest["before"]) == (["a"], None)
    assert len(gated.client.get("/v1/suppressions?campaign=measured").json["suppressions"]) == 2


def test_erasure_leaves_figures_and_the_objection(gated: World) -> None:
    rows = rows_of(make_campaign(), 4)
    name = rows[2]["customer_no"]
    wanted = decisions(gated, rows)[name]["prediction_id"]
    suppress(gated, name)
    reply = gated.client.post("/v1/erasures", json={"customer_id": name, "reason": "asked for by letter"})
    assert reply.status_code == 200, reply.text
    done = reply.json
    assert (done["complete"], done["erased"]["predictions"], done["erased"]["suppressions"]) == (True, 1, 1)
    assert done["left"]
    assert gated.client.get(f"/v1/erasures/{done['erasure_id']}").json == done
    record = gated.client.get(f"/v1/predictions/{wanted}").json
    assert record["customer_id"] == f"erased-{done['erasure_id']}"
    assert (record["features"], record["explanation"]) == (None, None)
    assert "erased" in record["unexplained"]
    assert gated.client.get("/v1/suppressions").json["suppressions"][0]["customer_id"] is None
    # A process that starts now knows him by the hash alone.
    gated.services.gate.gate._suppressed = None
    assert decisions(gated, rows)[name]["excluded"] == "objection"


def test_no_id_is_in_a_log_line(gated: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    rows = rows_of(make_campaign(), 3)
    rows[0]["customer_no"] = "CANARY-77"
    suppress(gated, "CANARY-77")
    decisions(gated, rows)
    gated.client.post("/v1/erasures", json={"customer_id": "CANARY-77", "reason": "asked for"})
    told = [json.dumps(vars(record), default=str) for record in caplog.records]
    assert sum('"excluded": {"objection": 1}' in line for line in told) == 1
    assert not any("CANARY" in line for line in told)
