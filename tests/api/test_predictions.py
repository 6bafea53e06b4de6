"""POST predictions: same score whatever the company, nothing answered that is not logged."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propensity.model import Model
from propensity.outcomes import counted
from propensity.scoring import table_from_raw
from tests.api.conftest import World
from tests.api.models import as_table, make_campaign, make_model, make_rows
from tests.fakes import NOW

URL = "/v1/campaigns/term-deposit/predictions"
Rows = list[dict[str, Any]]


def scores(reply: Any) -> list[float]:
    assert reply.status_code == 200, reply.text
    return [p["score"] for p in reply.json["predictions"]]


def test_a_list_is_scored_in_the_order_sent_and_logged(world: World, rows: Rows, deposit: Model) -> None:
    reply = world.predict(rows)
    expected = deposit.score(as_table(deposit.campaign, rows))
    assert scores(reply) == expected.tolist()
    assert [p["customer_id"] for p in reply.json["predictions"]] == [row["id"] for row in rows]
    (entry,) = world.log.entries
    assert entry.request_id == reply.json["request_id"] == reply.headers["X-Request-Id"]
    assert entry.model_digest == reply.json["model"]["digest"] == deposit.digest
    assert np.array_equal(entry.scores, expected)
    assert entry.declaration_digest == deposit.campaign.digest()
    logged = table_from_raw(deposit.campaign, entry.features, entry.customer_ids, entry.rows)
    assert [logged.row(at) for at in range(len(rows))] == [{k: row[k] for k in deposit.campaign.feature_names} for row in rows]


def test_one_row_has_one_score_alone_in_a_list_and_in_any_order(world: World, rows: Rows) -> None:
    together = dict(zip((row["id"] for row in rows), scores(world.predict(rows)), strict=True))
    alone = {row["id"]: scores(world.predict(row))[0] for row in rows[:10]}
    keys_turned = scores(world.predict([dict(reversed(row.items())) for row in rows]))
    rows_turned = world.predict(list(reversed(rows))).json["predictions"]
    assert alone == {name: together[name] for name in alone}
    assert keys_turned == list(together.values())
    assert {p["customer_id"]: p["score"] for p in rows_turned} == together


def test_every_format_gives_the_same_scores(world: World, rows: Rows) -> None:
    header = list(rows[0])
    lines = [
        ",".join(header),
        *(",".join(json.dumps(row[k]) if isinstance(row[k], float) else str(row[k]) for k in header) for row in rows),
    ]
    csv = world.client.post(URL, data="\ufeff" + "\r\n".join(lines), content_type="text/csv; charset=utf-8")
    lines_of_json = "\n".join(json.dumps(row) for row in rows)
    ndjson = world.client.post(URL, data=lines_of_json, content_type="application/x-ndjson")
    assert scores(csv) == scores(ndjson) == scores(world.predict(rows))


def test_counts_decisions_ranks_and_money_fit_together(world: World, rows: Rows) -> None:
    reply = world.predict({"customers": rows, "policy": {"kind": "top_share", "value": 0.3}, "reasons": 0}).json
    best = [p for p in reply["predictions"] if p["decision"] == "contact"]
    assert reply["counts"] == {"received": 50, "scored": 50, "refused": 0, "contact": 15}
    assert sorted(p["rank"] for p in best) == list(range(1, 16))
    assert float(reply["expected_profit"]["amount"]) == pytest.approx(sum(p["expected_profit"] for p in best), abs=0.005)
    assert reply["expected_profit"]["currency"] == "EUR"
    assert reply["policy"] == {"kind": "top_share", "value": 0.3} == world.log.entries[0].policy
    assert not any("reasons" in p for p in reply["predictions"])


def test_options_may_stand_in_the_address(world: World, rows: Rows) -> None:
    reply = world.client.post(URL + "?policy=top_share&value=0.5&reasons=1", json=rows[:4]).json
    assert reply["counts"]["contact"] == 2
    assert all(len(p["reasons"]) <= 1 for p in reply["predictions"])


@pytest.mark.parametrize("query", ["?reasons=11", "?reasons=x", "?policy=all", "?value=1", "?policy=threshold&value=nan", "?model=x"])
def test_unsound_options_are_refused(world: World, rows: Rows, query: str) -> None:
    assert world.client.post(URL + query, json=rows).status_code == 400
    assert not world.log.entries


def test_reasons_are_the_strongest_contributions(world: World, rows: Rows, deposit: Model) -> None:
    reply = world.predict({"customers": rows[:5], "reasons": 2}).json
    effects = deposit.contributions(as_table(deposit.campaign, rows[:5]))[:, :-1]
    for at, prediction in enumerate(reply["predictions"]):
        strongest = np.argsort(-np.abs(effects[at]), kind="stable")[:2]
        assert [r["feature"] for r in prediction["reasons"]] == [deposit.campaign.feature_names[i] for i in strongest]
        assert all(r["value"] == rows[at][r["feature"]] for r in prediction["reasons"])
        assert all((r["effect"] > 0) == (r["direction"] == "raises") for r in prediction["reasons"])


def test_one_bad_row_does_not_sink_the_list(world: World, rows: Rows) -> None:
    whole = dict(zip((row["id"] for row in rows), scores(world.predict(rows)), strict=True))
    spoilt: list[Any] = [dict(row) for row in rows[:8]]
    spoilt[1]["age"] = True
    spoilt[2]["age"] = "41"
    spoilt[3]["job"] = "astronaut"
    spoilt[4] = 17
    del spoilt[5]["id"]
    del spoilt[6]["euribor3m"]
    reply = world.predict(spoilt).json
    assert [(e["row"], e["column"], e["code"]) for e in reply["errors"]] == [
        (2, "age", "not_a_number"),
        (3, "age", "not_a_number"),
        (4, "job", "unknown_category"),
        (5, None, "not_an_object"),
        (6, None, "bad_id"),
        (7, "euribor3m", "missing"),
    ]
    assert [p["row"] for p in reply["predictions"]] == [1, 8]
    assert all(p["score"] == whole[p["customer_id"]] for p in reply["predictions"])
    assert reply["counts"]["refused"] == reply["errors_total"] == 6
    assert "astronaut" not in json.dumps(reply)


def test_where_no_row_can_be_used_nothing_is_logged(world: World, rows: Rows) -> None:
    reply = world.predict([{**row, "age": 300} for row in rows])
    assert (reply.status_code, reply.json["code"], reply.json["errors_total"]) == (422, "rows_invalid", 50)
    assert reply.content_type == "application/problem+json"
    assert not world.log.entries


def test_the_errors_of_a_hopeless_list_are_capped(world: World) -> None:
    reply = world.predict([{"id": "a"}] * 200)
    assert len(reply.json["errors"]) == 1_000 < reply.json["errors_total"]


def test_the_same_customer_twice_gets_two_predictions(world: World, rows: Rows) -> None:
    first, second = world.predict([rows[0], rows[0]]).json["predictions"]
    assert first["prediction_id"] != second["prediction_id"]
    assert first["score"] == second["score"]


@pytest.mark.parametrize(("sent", "kept"), [(4711, "4711"), ("0042", "0042"), (2**70, str(2**70)), ("Zoë", "Zoë")])
def test_ids_are_kept_as_they_were_sent(world: World, rows: Rows, sent: object, kept: str) -> None:
    assert world.predict({**rows[0], "id": sent}).json["predictions"][0]["customer_id"] == kept


@pytest.mark.parametrize("sent", [None, True, "", [], {}, "a\x00b", "a\nb", "x" * 129, 10**200])
def test_ids_that_cannot_be_ids_are_refused(world: World, rows: Rows, sent: object) -> None:
    reply = world.predict([{**rows[0], "id": sent}])
    assert (reply.status_code, reply.json["errors"][0]["code"]) == (422, "bad_id")


def test_columns_that_are_not_used_are_named(world: World, rows: Rows) -> None:
    sent = [{**rows[0], "duration": 200, "y": "yes"}, {**rows[1], "shoe size": 44, "z" * 300: 1}]
    reply = world.predict(sent).json
    assert [c["column"] for c in reply["ignored_columns"]] == ["duration", "y", "shoe size", "z" * 100]
    assert "leaks" in reply["ignored_columns"][0]["reason"]
    assert [p["score"] for p in reply["predictions"]] == scores(world.predict(rows[:2]))
    many = world.predict({**rows[0], **{f"column {at}": at for at in range(200)}}).json
    assert len(many["ignored_columns"]) == 50


def test_a_campaign_may_refuse_rows_with_other_columns(make_world: Callable[..., World]) -> None:
    strict = make_campaign(name="strict", unexpected_columns="refuse")
    world = make_world(strict)
    world.promote(make_model(strict))
    rows = make_rows(strict, 3)
    rows[1]["result"] = "x"
    reply = world.predict(rows, "strict").json
    assert [(e["row"], e["column"], e["code"]) for e in reply["errors"]] == [(2, "result", "unexpected_column")]
    assert [p["row"] for p in reply["predictions"]] == [1, 3]
    assert reply["ignored_columns"] == []


def test_null_and_absent_mean_missing_where_that_is_allowed(make_world: Callable[..., World]) -> None:
    world = make_world()
    small = world.campaigns["small"]
    world.promote(make_model(small))
    row = make_rows(small, 1)[0]
    absent = {k: v for k, v in row.items() if k not in ("income", "region")}
    replies = [world.predict({**row, "income": None, "region": None}, "small"), world.predict(absent, "small")]
    text = ",".join(row) + "\n" + ",".join("" if k in ("income", "region") else str(v) for k, v in row.items())
    replies.append(world.client.post("/v1/campaigns/small/predictions", data=text, content_type="text/csv"))
    assert len({tuple(scores(reply)) for reply in replies}) == 1


def test_too_many_rows_are_refused_with_the_way_out(world: World, rows: Rows) -> None:
    reply = world.client.post(URL, data=b"[" + b",".join([b'{"id":1}'] * 10_001) + b"]", content_type="application/json")
    assert (reply.status_code, reply.json["code"]) == (413, "too_large")
    assert "propensity score" in reply.json["detail"]
    assert world.client.post(URL, data=b"[" + b" " * 11_000_000 + b"]", content_type="application/json").status_code == 413


@pytest.mark.parametrize(
    ("body", "mimetype"), [("[]", "application/json"), ('{"customers":[]}', "application/json"), ("", "text/csv"), ("age,id\n", "text/csv")]
)
def test_an_empty_list_is_refused(world: World, body: str, mimetype: str) -> None:
    assert world.client.post(URL, data=body, content_type=mimetype).status_code == 422


@pytest.mark.parametrize("mimetype", [None, "text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_other_formats_are_refused_by_naming_those_on_offer(world: World, mimetype: str | None) -> None:
    reply = world.client.post(URL, data=b"[]", content_type=mimetype)
    assert reply.status_code == 415
    assert "application/json" in reply.json["detail"]


@pytest.mark.parametrize(
    "text",
    ["id,age,age\n1,2,3", 'id,age\n"1,2', b"id,age\n\xff,1", b"\xff\xfei\x00d"],
)
def test_a_csv_that_cannot_be_read_is_refused(world: World, text: str | bytes) -> None:
    assert world.client.post(URL, data=text, content_type="text/csv").status_code == 400


def test_lines_that_cannot_be_read_are_named(world: World, rows: Rows) -> None:
    lines = [json.dumps(rows[0]), "{", "", '{"id":1,"id":2}', "[]", json.dumps(rows[1])]
    reply = world.client.post(URL, data="\n".join(lines), content_type="application/x-ndjson").json
    assert [(e["row"], e["code"]) for e in reply["errors"]] == [(2, "malformed"), (3, "malformed"), (4, "malformed")]
    header = ",".join(rows[0])
    cells = ",".join(str(v) for v in rows[0].values())
    reply = world.client.post(URL, data=f"{header}\n{cells}\n{cells},1\n", content_type="text/csv").json
    assert [(e["row"], e["code"]) for e in reply["errors"]] == [(2, "wrong_cell_count")]


def test_unknown_campaigns_and_campaigns_without_model(world: World, rows: Rows) -> None:
    unknown = world.predict(rows, "nope")
    assert unknown.status_code == 404
    assert "term-deposit" in unknown.json["detail"]
    none = world.predict(rows, "small")
    assert (none.status_code, none.json["code"]) == (503, "no_live_model")


def test_with_the_log_down_nothing_scored_is_returned(world: World, rows: Rows) -> None:
    world.database.down = True
    reply = world.predict(rows)
    assert reply.status_code == 503
    assert int(reply.headers["Retry-After"]) > 0
    assert reply.content_type == "application/problem+json"
    assert "predictions" not in reply.json
    world.database.down = False
    assert world.predict(rows).status_code == 200


def test_a_key_gives_the_same_bytes_and_one_log_entry(world: World, rows: Rows) -> None:
    first = world.predict(rows, headers={"Idempotency-Key": "k1"})
    again = world.predict(rows, headers={"Idempotency-Key": "k1"})
    assert first.data == again.data
    assert (first.headers.get("Idempotent-Replay"), again.headers["Idempotent-Replay"]) == (None, "true")
    assert again.headers["X-Request-Id"] == first.headers["X-Request-Id"]
    assert len(world.log.entries) == 1
    other = world.predict(rows[:1], headers={"Idempotency-Key": "k1"})
    assert (other.status_code, other.json["code"]) == (422, "idempotency_mismatch")


def test_a_key_taken_between_the_look_and_the_commit_replays(world: World, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    first = world.predict(rows, headers={"Idempotency-Key": "k"})
    monkeypatch.setattr(world.log, "stored_reply", lambda *_: None)
    again = world.predict(rows, headers={"Idempotency-Key": "k"})
    assert again.data == first.data
    assert again.headers["Idempotent-Replay"] == "true"


@pytest.mark.parametrize("key", ["x" * 201, "ä", "a\tb"])
def test_keys_that_cannot_be_keys_are_refused(world: World, rows: Rows, key: str) -> None:
    assert world.predict(rows, headers={"Idempotency-Key": key}).status_code == 400


def test_the_record_explains_and_reproduces(world: World, rows: Rows, deposit: Model) -> None:
    sent = world.predict(rows).json["predictions"][3]
    record = world.client.get(f"/v1/predictions/{sent['prediction_id']}").json
    told = record["explanation"]
    assert record["features"] == {k: rows[3][k] for k in deposit.campaign.feature_names}
    assert (record["score"], record["decision"], record["row"]) == (sent["score"], sent["decision"], 4)
    assert told["reproduced"] is True
    assert sum(c["effect"] for c in told["contributions"]) + told["base"] == pytest.approx(told["log_odds"], abs=1e-5)
    assert np.log(record["score"] / (1 - record["score"])) == pytest.approx(told["log_odds"], abs=1e-9)
    assert record["lineage"]["snapshot_id"] == deposit.manifest.snapshot_id
    assert record["lineage"]["code_version"] == deposit.manifest.code_version


def test_a_record_outlives_its_model(world: World, rows: Rows, rival: Model) -> None:
    wanted = world.predict(rows[0]).json["predictions"][0]["prediction_id"]
    world.promote(rival)
    assert world.client.get(f"/v1/predictions/{wanted}").json["explanation"]["reproduced"] is True
    world.models._packages.clear()
    world.store.objects.clear()
    record = world.client.get(f"/v1/predictions/{wanted}")
    assert record.status_code == 200
    assert record.json["explanation"] is None
    assert record.json["unexplained"]


@pytest.mark.parametrize("wanted", ["x", "00000000-0000-4000-8000-000000000000.1", "00000000-0000-4000-8000-000000000000.0", "a.b"])
def test_unknown_predictions(world: World, wanted: str) -> None:
    assert world.client.get(f"/v1/predictions/{wanted}").status_code == 404


def test_a_position_beyond_the_request_is_not_found(world: World, rows: Rows) -> None:
    request_id = world.predict(rows[:2]).json["request_id"]
    assert world.client.get(f"/v1/predictions/{request_id}.3").status_code == 404


def test_outcomes_are_recorded_row_by_row(world: World, rows: Rows) -> None:
    predictions = world.predict(rows[:3]).json["predictions"]
    later = (NOW + timedelta(hours=1)).isoformat()
    sent: list[Any] = [
        {"prediction_id": predictions[0]["prediction_id"], "label": True, "observed_at": later},
        {"customer_id": "c2", "label": "no"},
        {"prediction_id": predictions[0]["prediction_id"], "label": "yes"},
        {"prediction_id": predictions[0]["prediction_id"], "label": False},
        {"customer_id": "nobody", "label": True},
        {"customer_id": "c3", "label": "maybe"},
        {"customer_id": "c3", "prediction_id": "x", "label": True},
        {"prediction_id": "x", "label": True},
        {"customer_id": "c3"},
        {"customer_id": "c3", "label": True, "observed_at": "yesterday"},
        {"customer_id": "c3", "label": True, "observed_at": "2026-01-01T00:00:00"},
        {"customer_id": "c3", "label": True, "observed_at": "2126-01-01T00:00:00Z"},
        {"customer_id": "c3", "label": True, "observed_at": "0001-01-01T00:00:00+23:59"},
        {"customer_id": "c3", "label": True, "shoe": 1},
        5,
    ]
    reply = world.client.post("/v1/campaigns/term-deposit/outcomes", json={"outcomes": sent})
    assert reply.status_code == 200
    some = {"recorded": 2, "duplicate": 1, "contradicting": 1, "unmatched": 1}
    assert reply.json["counts"] == {"received": 15, "refused": 10} | counted(()) | some
    assert [e["row"] for e in reply.json["errors"]] == list(range(6, 16))
    statuses = ["recorded", "recorded", "duplicate", "contradicting", "unmatched", *["refused"] * 10]
    assert reply.json["results"] == [{"row": row, "status": status} for row, status in enumerate(statuses, start=1)]
    exported = world.services.metrics.render().decode()
    assert 'propensity_outcomes_total{campaign="term-deposit",status="refused"} 10.0' in exported
    assert 'propensity_outcomes_total{campaign="term-deposit",status="contradicting"} 1.0' in exported
    assert "maybe" not in reply.text


def test_outcomes_by_csv_and_by_list(world: World, rows: Rows) -> None:
    world.predict(rows[:3])
    url = "/v1/campaigns/term-deposit/outcomes"
    text = "customer_id,label,observed_at\nc1,yes,\nc2,no,2026-03-01T13:00:00+01:00\n"
    assert world.client.post(url, data=text, content_type="text/csv").json["counts"]["recorded"] == 2
    assert world.client.post(url, json=[{"customer_id": "c3", "label": False}]).json["counts"]["recorded"] == 1


def test_outcomes_as_the_campaigns_own_data_write_them(world: World, rows: Rows) -> None:
    world.predict(rows[:2])
    url = "/v1/campaigns/term-deposit/outcomes"
    text = 'y;"id";observed_at;branch\r\nyes;c1;2026-03-01;x\r\nno;c2;2026-03-01;x\r\n'
    assert world.client.post(url, data=text.encode("utf-16"), content_type="text/csv").json["counts"]["recorded"] == 2
    lines = '{"id":"c1","y":"no","correction":true}\n{"customer_id":"c2","correction":"true"}\n{"id":"c1","customer_id":"c1","y":"no"}\n'
    reply = world.client.post(url, data=lines, content_type="application/x-ndjson").json
    assert [result["status"] for result in reply["results"]] == ["corrected", "withdrawn", "refused"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("correction", 1),
        ("correction", "yes"),
        ("contacted_at", "2026-03-01T12:00:00"),
        ("contacted_at", "2026-03-02"),
        ("contacted_at", "2026-02-30"),
        ("label", None),
        ("observed_at", "2026-02-27"),
    ],
)
def test_a_field_of_an_outcome_that_cannot_be_read(world: World, field: str, value: object) -> None:
    sent = {"customer_id": "c1", "label": True, "contacted_at": "2026-02-28", "observed_at": "2026-03-01", field: value}
    reply = world.client.post("/v1/campaigns/term-deposit/outcomes", json=[sent])
    assert reply.status_code == 422
    assert [error["column"] for error in reply.json["errors"]] == [field]


def test_what_is_known_is_told_by_cohort(world: World, rows: Rows) -> None:
    world.predict(rows[:3])
    url = "/v1/campaigns/term-deposit/outcomes"
    world.client.post(url, json=[{"customer_id": "c1", "label": True}, {"customer_id": "nobody", "label": True}])
    found = world.as_role("auditor").get(url).json
    assert found["rules"] == {"window_days": 30, "absent_means": "unknown", "contradictions": "first"}
    assert (found["since"], found["until"], found["mature_before"]) == ("2025-12-02", "2026-03-01", "2026-01-30")
    assert found["counts"] == counted(["recorded", "unmatched"])
    assert found["mature"] == {"predicted": 0, "labelled": 0, "coverage": None}
    assert found["not_yet_mature"] == {"predicted": 3, "labelled": 1}
    assert [(c["day"], c["mature"], c["predicted"], c["labelled"]) for c in found["cohorts"]] == [("2026-03-01", False, 3, 1)]


@pytest.mark.parametrize(
    "asked", ["since=2026-03-02", "until=9999-12-31", "since=2020-01-01", "since=x", "day=2026-01-01", "until=1&until=2"]
)
def test_a_span_that_cannot_be_told(world: World, asked: str) -> None:
    assert world.client.get(f"/v1/campaigns/term-deposit/outcomes?{asked}").status_code == 400


@pytest.mark.parametrize("body", ["[]", '[{"label":true}]', '{"outcomes":[]}', '{"outcomes":[1],"x":1}', "null", "7"])
def test_outcomes_of_which_none_can_be_used(world: World, body: str) -> None:
    reply = world.client.post("/v1/campaigns/term-deposit/outcomes", data=body, content_type="application/json")
    assert reply.status_code in (400, 422)
    assert not world.outcomes.posted


def test_gzip_goes_both_ways(world: World, rows: Rows) -> None:
    body = gzip.compress(json.dumps({"customers": rows, "reasons": 0}).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip", "Accept-Encoding": "br;q=0.5, gzip;q=0.2"}
    reply = world.client.post(URL, data=body, headers={**headers, "Idempotency-Key": "g"})
    assert (reply.status_code, reply.headers["Content-Encoding"], reply.headers["Vary"]) == (200, "gzip", "Accept-Encoding")
    found = json.loads(gzip.decompress(reply.data))
    assert [p["score"] for p in found["predictions"]] == scores(world.predict(rows))
    again = world.client.post(URL, data=body, headers={**headers, "Idempotency-Key": "g", "Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in again.headers
    assert again.json == found


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (gzip.compress(b"[" + b" " * 11_000_000 + b"]"), "gzip", 413),
        (gzip.compress(b"[]")[:-3], "gzip", 400),
        (gzip.compress(b"[]") + b"more", "gzip", 400),
        (b"[]", "gzip", 400),
        (b"[]", "br", 415),
        (b"[]", "gzip, gzip", 415),
        (b"[]", "identity", 422),
    ],
)
def test_bodies_that_are_not_packed_as_they_say_are_refused(world: World, body: bytes, encoding: str, status: int) -> None:
    reply = world.client.post(URL, data=body, headers={"Content-Type": "application/json", "Content-Encoding": encoding})
    assert reply.status_code == status


@pytest.mark.parametrize("reasons", [0, 2])
def test_the_reply_comes_in_the_format_asked_for(world: World, rows: Rows, reasons: int) -> None:
    spoilt = [*rows[:20], {**rows[20], "age": 300}]
    sent = {"customers": spoilt, "reasons": reasons}
    plain = world.predict(sent).json
    expected = [p["score"] for p in plain["predictions"]]

    def asked(accept: str) -> Any:
        reply = world.predict(sent, headers={"Accept": accept})
        assert (reply.status_code, reply.mimetype) == (200, accept)
        return reply

    lines = [json.loads(line) for line in asked("application/x-ndjson").data.splitlines()]
    assert [line["score"] for line in lines[:20]] == expected
    assert (lines[20]["error"]["row"], lines[21]["summary"]["counts"]["refused"]) == (21, 1)
    cells = list(csv.DictReader(io.StringIO(asked("text/csv").text)))
    assert [float(cell["score"]) for cell in cells[:20]] == expected
    assert (cells[20]["row"], cells[20]["error"].partition(":")[0]) == ("21", "age")
    assert ("reasons" in cells[0]) == (reasons > 0)
    table = pa.ipc.open_stream(asked("application/vnd.apache.arrow.stream").data).read_all()
    parquet = pq.read_table(io.BytesIO(asked("application/vnd.apache.parquet").data))
    for found in (table, parquet):
        assert found["score"].to_pylist() == expected
        assert json.loads(found.schema.metadata[b"propensity"])["errors"] == plain["errors"]
    assert world.predict(sent, headers={"Accept": "image/png"}).status_code == 406


def test_arrow_and_parquet_are_read_like_rows(world: World, rows: Rows) -> None:
    table = pa.Table.from_pylist([{**row, "duration": 3} for row in rows])
    stream, file, parquet = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    with pa.ipc.new_file(file, table.schema) as other:
        other.write_table(table)
    pq.write_table(table, parquet)
    kinds = {"arrow.stream": stream, "arrow.file": file, "parquet": parquet}
    for kind, made in kinds.items():
        reply = world.client.post(URL + "?reasons=0", data=made.getvalue(), content_type=f"application/vnd.apache.{kind}")
        assert scores(reply) == scores(world.predict(rows))
        assert [c["column"] for c in reply.json["ignored_columns"]] == ["duration"]


def test_columns_are_answered_by_column(world: World, rows: Rows) -> None:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    reply = world.predict({"columns": columns, "reasons": 1}).json
    assert "predictions" not in reply
    assert reply["columns"]["score"] == scores(world.predict(rows))
    assert reply["columns"]["customer_id"] == columns["id"]
    assert all(len(why) <= 1 for why in reply["columns"]["reasons"])
    columns["age"][3] = "old"
    assert world.predict({"columns": columns}).json["errors"][0]["row"] == 4
    assert world.predict({"columns": {**columns, "age": [1]}}).status_code == 400


def test_a_request_chooses_its_model(world: World, rows: Rows, deposit: Model, rival: Model) -> None:
    world.promote(rival)
    live = scores(world.predict(rows))
    before = scores(world.predict({"customers": rows, "model": "previous"}))
    assert live != before
    for wanted, expected in ((rival.version, live), (deposit.digest, before), ("champion", live)):
        reply = world.client.post(f"{URL}?model={wanted}", json=rows)
        assert scores(reply) == expected
    assert world.predict({"customers": rows, "model": "0" * 12}).status_code == 404
    assert world.predict({"customers": rows, "model": 7}).status_code == 400
