"""Lists of any size on one machine, as a program sends them: addresses that are signed, every row once, three formats."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq
import pytest

from api.signed import LocalSigner
from propensity.campaigns import campaign
from propensity.errors import Forbidden
from propensity.list_state import CLAIM, TASK, Claim, Task, parse_list_id
from propensity.synthetic import generate
from tests.pages.stand import NAME, Stand

URL = f"/v1/campaigns/{NAME}/lists"
WAIT_S = 30.0


def customers(n: int, seed: int = 5, delimiter: str = ",") -> bytes:
    """A file of drawn customers, ``C-1`` onwards."""
    declared = campaign(NAME)
    raw = generate(declared, n, seed)
    text = io.StringIO()
    lines = csv.writer(text, delimiter=delimiter)
    lines.writerow(["id", *declared.feature_names])
    columns = [raw.columns[name] for name in declared.feature_names]
    lines.writerows([f"C-{at}", *row] for at, row in enumerate(zip(*columns, strict=True), start=1))
    return text.getvalue().encode()


def as_role(platform: Stand, role: str) -> Any:
    client = platform.app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {platform.keys[role]}"
    return client


def done(client: Any, list_id: str) -> Any:
    until = time.monotonic() + WAIT_S
    while (told := client.get(f"/v1/lists/{list_id}").json)["state"] not in ("done", "failed"):
        assert time.monotonic() < until, told
        time.sleep(0.05)
    return told


def logged(platform: Stand, list_id: str) -> list[str]:
    with platform.platform.database.statement() as cursor:
        rows = cursor.execute("select request_id::text from prediction_request where source = %s", (f"list:{list_id}",)).fetchall()
    return [name for (row,) in rows for name in platform.services.log.request(row).customer_ids]


def test_a_list_goes_in_by_form_and_comes_out_in_three_formats(platform: Stand) -> None:
    client = as_role(platform, "marketing")
    made = client.post(URL, json={}, headers={"Idempotency-Key": "by form"})
    assert made.status_code == 201
    again = client.post(URL, json={}, headers={"Idempotency-Key": "by form"})
    assert (again.json["list_id"], again.headers["Idempotent-Replay"]) == (made.json["list_id"], "true")
    assert client.get(f"/v1/lists/{made.json['list_id']}/result").status_code == 409
    data = customers(300).replace(b"C-7,", b"C-7,x", 1)
    sent = platform.app.test_client().post(made.json["upload"]["url"], data={"file": (io.BytesIO(data), "x.csv")})
    assert (sent.status_code, sent.json) == (200, {"size_bytes": len(data)})
    told = done(client, made.json["list_id"])
    assert told["counts"] | {"contact": 0} == {"received": 300, "scored": 299, "refused_rows": 1, "contact": 0}
    files = {kind: fetched(platform, client, f"/v1/lists/{told['list_id']}/result?format={kind}") for kind in ("csv", "xlsx", "parquet")}
    rows = list(csv.DictReader(io.StringIO(files["csv"].decode())))
    assert sorted(row["customer_id"] for row in rows) == sorted(f"C-{at}" for at in range(1, 301) if at != 7)
    assert [row["rank"] for row in rows] == [str(at) for at in range(1, 300)]
    table = pq.read_table(io.BytesIO(files["parquet"])).to_pylist()
    assert [row["customer_id"] for row in table] == [row["customer_id"] for row in rows]
    assert [row["score"] for row in table] == [float(row["score"]) for row in rows]
    assert files["xlsx"].startswith(b"PK")
    refused = list(csv.DictReader(io.StringIO(fetched(platform, client, f"/v1/lists/{told['list_id']}/errors").decode())))
    assert [(row["row"], row["column"]) for row in refused] == [("7", "age")]
    assert sorted(logged(platform, told["list_id"])) == sorted(row["customer_id"] for row in rows)
    one = client.get(f"/v1/predictions/{rows[0]['prediction_id']}").json
    assert (one["customer_id"], one["score"]) == (rows[0]["customer_id"], float(rows[0]["score"]))


def fetched(platform: Stand, client: Any, path: str) -> bytes:
    """Without a key: the address is enough, and it is the one that the redirect names."""
    way = client.get(path)
    assert (way.status_code, way.headers["Location"]) == (303, way.json["url"])
    found = platform.app.test_client().get(way.json["url"])
    assert found.status_code == 200
    return bytes(found.data)


def test_a_large_list_comes_in_parts_in_any_order(platform: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = platform.services.lists
    assert desk is not None
    small = replace(desk, limits=replace(desk.limits, smallest_part_bytes=10_000))
    monkeypatch.setitem(vars(platform.services), "lists", small)
    client, data = as_role(platform, "operator"), customers(400, seed=6)
    made = client.post(URL, json={"size_bytes": len(data), "parts": True}).json
    parts = made["upload"]["parts"]
    assert len(parts) == -(-len(data) // 10_000) > 2
    anybody, at = platform.app.test_client(), 0
    sent = {}
    for part in parts:
        sent[part["url"]] = data[at : at + part["size_bytes"]]
        at += part["size_bytes"]
    last = made["upload"]["complete"]
    assert anybody.put(parts[0]["url"], data=b"too short").status_code == 422
    for url in reversed(list(sent)[1:]):
        assert anybody.put(url, data=sent[url]).status_code == 200
    missing = anybody.post(last["url"], headers=last["headers"])
    assert (missing.status_code, missing.json["code"]) == (422, "data_invalid")
    assert anybody.put(parts[0]["url"], data=sent[parts[0]["url"]]).status_code == 200
    assert anybody.post(last["url"]).json == {"size_bytes": len(data)}
    assert anybody.post(last["url"]).json == {"size_bytes": len(data)}
    assert done(client, made["list_id"])["counts"]["scored"] == 400
    assert len(logged(platform, made["list_id"])) == 400


def test_what_a_dead_watch_left_is_gone_on_with_once(platform: Stand) -> None:
    """As the watch of another process left it: claimed and begun, an hour ago."""
    client, desk = as_role(platform, "operator"), platform.services.lists
    assert desk is not None
    made = client.post(URL, json={}).json
    list_id = parse_list_id(made["list_id"])
    then = platform.services.clock().replace(year=2020)
    desk.store.create(list_id.key(TASK), Task(task="another", started_at=then).to_bytes())
    data = customers(50, seed=8)
    desk.store.create(list_id.key(CLAIM), Claim(version=None, size_bytes=len(data), noticed_at=then).to_bytes())
    assert client.get(f"/v1/lists/{list_id}").json["state"] == "scoring"
    assert platform.app.test_client().post(made["upload"]["url"], data={"file": (io.BytesIO(data), "x.csv")}).status_code == 200
    assert done(client, made["list_id"])["counts"]["scored"] == 50
    assert len(logged(platform, made["list_id"])) == 50


def test_an_upload_stands_and_an_address_is_for_one_thing(platform: Stand) -> None:
    client, anybody = as_role(platform, "operator"), platform.app.test_client()
    made = client.post(URL, json={"size_bytes": 5}).json
    url = made["upload"]["url"]
    assert anybody.post(url, data={"file": (io.BytesIO(b"123456"), "x.csv")}).status_code == 413
    assert anybody.post(url, data={"file": (io.BytesIO(b"123"), "x.csv")}).status_code == 422
    assert anybody.post(url, data={"other": "x"}).status_code == 400
    assert anybody.put(url, data=b"12345").status_code == 403
    assert anybody.get(url.replace("uploads", "downloads")).status_code == 403
    assert anybody.post(url[:-1] + ("A" if url[-1] != "A" else "B"), data={"file": (io.BytesIO(b"12345"), "x.csv")}).status_code == 403
    assert anybody.post(url, data={"file": (io.BytesIO(b"a,b\r\n"), "x.csv")}).status_code == 200
    assert anybody.post(url, data={"file": (io.BytesIO(b"c,d\r\n"), "x.csv")}).status_code == 422
    told = done(client, made["list_id"])
    assert told["state"] == "failed"
    assert "must name the columns" in told["failure"]["detail"]
    assert client.get(f"/v1/lists/{made['list_id']}/result").status_code == 404


def test_another_s_list_is_not_there_for_marketing(platform: Stand) -> None:
    made = as_role(platform, "operator").post(URL, json={}).json
    for path in ("", "/result", "/errors"):
        assert as_role(platform, "marketing").get(f"/v1/lists/{made['list_id']}{path}").status_code == 404
    assert as_role(platform, "auditor").get(f"/v1/lists/{made['list_id']}").status_code == 200
    assert as_role(platform, "auditor").post(URL, json={}).status_code == 403


def test_an_address_ends_and_cannot_be_made_up() -> None:
    now = [1_000.0]
    signer = LocalSigner("a secret", lambda: now[-1])
    token = signer.download("lists/x", name="call-sheet.csv", media_type="text/csv", expires_s=10).rpartition("/")[2]
    assert signer.read(token, "download").key == "lists/x"
    with pytest.raises(Forbidden, match="something else"):
        signer.read(token, "form", "part")
    for other in (LocalSigner("another", lambda: 1_000.0), LocalSigner("", lambda: 1_000.0)):
        with pytest.raises(Forbidden, match="not made by this service"):
            other.read(token, "download")
    body, mac = token.split(".")
    for forged in (f"{body}x.{mac}", f"{body}.{mac}x", f"{mac}.{body}", ".", "", "é.é", "x" * 5_000):
        with pytest.raises(Forbidden):
            signer.read(forged, "download")
    now.append(1_010.0)
    with pytest.raises(Forbidden, match="expired"):
        signer.read(token, "download")
