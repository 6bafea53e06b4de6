"""S33: nothing that a customer is, and no id of one, gets into any log."""

from __future__ import annotations

import gzip
import json
import secrets
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from faults.access import headers
from faults.client import HOST, Client
from faults.processes import wait_until
from faults.promise import Result, Scale
from faults.samples import Row
from faults.world import CAMPAIGN, PREDICTIONS, Service, World, frozen_postgres

_JSON = {"Content-Type": "application/json"}


class Canaries:
    """Values that are like no other: each made once, each to be found nowhere."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def text(self) -> str:
        """A customer id, a category, anything."""
        self.made.append(f"canary{secrets.token_hex(6)}")
        return self.made[-1]

    def number(self) -> float:
        """A rate with digits that nobody else has."""
        digits = "".join(str(secrets.randbelow(9) + 1) for _ in range(11))
        self.made.append(digits)
        return float(f"4.{digits}")


def _bodies(rows: list[Row], canaries: Canaries) -> Iterator[tuple[bytes, dict[str, str]]]:
    """Sound and broken bodies of every format, each with canaries of its own."""
    text, number = canaries.text, canaries.number

    def spoiled(**changes: object) -> bytes:
        return json.dumps({"customers": [{**rows[0], **changes}, rows[1]]}).encode()

    yield spoiled(id=text(), euribor3m=number()), _JSON
    yield spoiled(id=text(), job=text()), _JSON
    yield spoiled(id=text(), age=text()), _JSON
    yield spoiled(id=text() * 20), _JSON
    yield spoiled(id=f"{text()}\0"), _JSON
    yield spoiled(**{text(): text()}), _JSON
    yield json.dumps([{**rows[0], "age": text(), "id": text()}]).encode(), _JSON
    yield json.dumps({"customers": [rows[0]], "policy": {"kind": text()}}).encode(), _JSON
    yield json.dumps({"customers": [rows[0]], "model": text()}).encode(), _JSON
    yield json.dumps({"customers": [rows[0]], text(): 1}).encode(), _JSON
    yield f'[{{"id": "{text()}", "age": 4'.encode(), _JSON
    yield f'[{{"id": "{text()}", "id": "{text()}"}}]'.encode(), _JSON
    yield f'[{{"id": "{text()}\\ud800"}}]'.encode(), _JSON
    yield f'[{{"id": {text()}}}]'.encode(), _JSON
    yield f"{text()} \xff".encode("latin-1"), _JSON
    yield json.dumps({**rows[0], "id": text()}).encode() + b"\n{" + text().encode(), {"Content-Type": "application/x-ndjson"}
    yield f"id,age,{text()}\n{text()},{text()}\n".encode(), {"Content-Type": "text/csv"}
    yield f'id,age\n"{text()},4\n'.encode(), {"Content-Type": "text/csv"}
    yield f"id,age\n{text()}\xe9,4\n".encode("utf-16"), {"Content-Type": "text/csv"}
    yield gzip.compress(spoiled(id=text(), job=text())), {**_JSON, "Content-Encoding": "gzip"}
    yield text().encode(), {**_JSON, "Content-Encoding": "gzip"}
    yield text().encode(), {"Content-Type": "application/vnd.apache.arrow.stream"}
    yield text().encode(), {"Content-Type": "application/vnd.apache.parquet"}
    yield text().encode(), {"Content-Type": f"application/{text()}"}


def _requests(rows: list[Row], canaries: Canaries) -> Iterator[tuple[str, str, bytes | None, Mapping[str, str]]]:
    """Method, address, body, headers."""
    text = canaries.text
    for body, sent in _bodies(rows, canaries):
        yield "POST", PREDICTIONS, body, sent
        yield "POST", PREDICTIONS, body, {**sent, "Idempotency-Key": text()}
        yield "POST", f"{PREDICTIONS}?reasons=0&policy={text()}", body, sent
    sound = json.dumps([rows[0]]).encode()
    for name in ("User-Agent", "Referer", "Cookie", "X-Request-Id", "X-Forwarded-For", "Accept", "traceparent", "Idempotency-Key", "X-Any"):
        yield "POST", PREDICTIONS, sound, {**_JSON, name: text()}
    yield "POST", PREDICTIONS, sound, {**_JSON, "Authorization": f"Bearer {text()}"}
    yield "POST", PREDICTIONS, sound, {**_JSON, "Authorization": f"Bearer prop_0a0a0a0a_{text():A<43}"}
    yield "POST", f"{PREDICTIONS}?{text()}={text()}", sound, _JSON
    yield "GET", f"/v1/campaigns/{text()}", None, {}
    yield "POST", f"/v1/campaigns/{text()}/predictions", sound, _JSON
    yield "GET", f"/v1/predictions/{text()}", None, {}
    yield "GET", f"/{text()}?{text()}", None, {}
    yield text().upper(), PREDICTIONS, sound, _JSON
    for outcome in ({"customer_id": text(), "outcome": text()}, {"prediction_id": text(), "outcome": "yes"}, {text(): text()}):
        yield "POST", f"/v1/campaigns/{CAMPAIGN}/outcomes", json.dumps([outcome]).encode(), _JSON


def _raw(service: Service, canaries: Canaries) -> None:
    """Requests that are not HTTP as it should be."""
    key = headers(service.keys["operator"])["Authorization"]
    for sent in (
        f"POST /{canaries.text()} HTTP/9\r\n\r\n",
        f"{canaries.text()}\r\n\r\n",
        f"GET /{canaries.text()} HTTP/1.1\r\nHost {canaries.text()}\r\n\r\n",
        f"POST {PREDICTIONS} HTTP/1.1\r\nHost: x\r\nContent-Length: {canaries.text()}\r\n\r\n",
        f"POST {PREDICTIONS} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nTransfer-Encoding: chunked\r\n\r\n{canaries.text()}\r\n",
        f"GET /livez HTTP/1.1\r\nHost: x\r\n{canaries.text()}: {'a' * 300_000}\r\n\r\n",
        f"POST {PREDICTIONS} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Length: 99\r\n\r\n{canaries.text()}",
    ):
        with socket.create_connection((HOST, service.port), timeout=20) as connection:
            connection.sendall(sent.encode())
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass


def _send_all(client: Client, rows: list[Row], canaries: Canaries) -> int:
    sent = 0
    for method, path, body, extra in _requests(rows, canaries):
        client.call(method, path, body, extra)
        sent += 1
    return sent


def s33(world: World, scale: Scale) -> Result:
    """Canary values in every place of a request, while all is well, while Postgres is frozen, and while it is down."""
    canaries = Canaries()
    with world.service() as service:
        client = service.client()
        sent = 0
        for _ in range(scale.of(full=20, short=1)):
            sent += _send_all(client, world.rows[:2], canaries)
            _raw(service, canaries)
        with frozen_postgres(service.postgres):
            for body, extra in list(_bodies(world.rows[:2], canaries))[: scale.of(full=8, short=1)]:
                client.call("POST", PREDICTIONS, body, {**extra, "Idempotency-Key": canaries.text()})
        postgres_logs = _texts(service.postgres.log_file().parent, "log*")
        service.postgres.stop()
        sent += _send_all(client, world.rows[:2], canaries)
        service.postgres.start()
        wait_until(lambda: service.status("/readyz") == 200, "being ready again")
        metrics = service.once("GET", "/metrics").body.decode()
        client.close()
        service.terminate()
        texts = {
            "the service's log": service.log_path.read_text(encoding="utf-8", errors="replace"),
            "/metrics": metrics,
            **postgres_logs,
            **_texts(service.postgres.log_file().parent, "log*"),
        }
    hits = [
        (where, line)
        for where, text in texts.items()
        for line in text.splitlines()
        if any(canary.lower() in line.lower() for canary in canaries.made)
    ]
    lines = texts["the service's log"].count("\n")
    shown = "".join(f"; {where}: {line[:300]}" for where, line in hits[:3])
    return Result(
        not hits and lines >= sent,
        f"{len(hits)} hits of {len(canaries.made):,} canaries in {lines:,} lines of the service's log, /metrics "
        f"and {len(texts) - 2} logs of Postgres{shown}",
        f"{sent:,} requests with ids and values made once, in bodies of every format, sound and broken, in headers, addresses, methods and "
        "keys, in what is no HTTP; with Postgres well, frozen and down",
    )


def _texts(folder: Path, pattern: str) -> dict[str, str]:
    return {
        f"Postgres {path.name} {path.stat().st_ino}": path.read_text(encoding="utf-8", errors="replace") for path in folder.glob(pattern)
    }
