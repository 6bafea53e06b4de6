"""Customer ids and values, sent in every way a caller can send them, appear in no log line, no metric and no span."""

from __future__ import annotations

import gzip
import http.client
import json
import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from flask import Flask

from api.app import create_app
from api.logs import LineHandler
from api.server import Server
from api.tracing import start_tracing
from tests.api.collector import collecting
from tests.api.conftest import World

# An id, a text and a number that occur nowhere else. The id comes in capitals and not, and in hexadecimal.
CANARY_ID, CANARY_TEXT, CANARY_NUMBER = "Kunde-Zq7731942", "Müller-Canary-Straße", 7731942.53125
NEEDLES = [
    form.lower().encode()
    for text in (CANARY_ID, "Zq7731942", CANARY_TEXT, "Canary-Stra", "7731942", "SGVsbG8tQ2FuYXJ5")
    for form in (text, text.encode().hex(), repr(text)[1:-1], json.dumps(text)[1:-1])
]
PATH = "/v1/campaigns/term-deposit/predictions"
IN_HEADERS = {
    "X-Request-Id": CANARY_ID,
    "User-Agent": CANARY_ID,
    "Cookie": f"customer={CANARY_ID}",
    "Referer": f"https://crm/{CANARY_ID}",
    "Authorization": f"Bearer {CANARY_ID}",
    "X-Forwarded-For": CANARY_ID,
    "Forwarded": f"for={CANARY_ID}",
    "tracestate": f"crm={CANARY_ID.lower()}",
    "baggage": f"customer={CANARY_ID}",
    "Accept": f"text/{CANARY_ID}",
    "Accept-Encoding": CANARY_ID,
}


def bodies(rows: list[dict[str, Any]]) -> Iterator[tuple[dict[str, str], bytes]]:
    """Header and body of requests that hold the canaries: good ones, wrong ones and broken ones."""
    good = [{**rows[0], "id": CANARY_ID}, {**rows[1], "id": "SGVsbG8tQ2FuYXJ5"}]
    wrong = [{**row, "age": CANARY_NUMBER, "job": CANARY_TEXT, CANARY_TEXT: CANARY_ID, "contact": [CANARY_ID]} for row in good]
    as_json = {"Content-Type": "application/json"}
    for value in (good, wrong, [*good, *wrong], {"customers": good, CANARY_ID: 1}, {"customers": CANARY_ID}, CANARY_ID, [CANARY_ID] * 3):
        yield as_json, json.dumps(value).encode()
    for policy in ({"kind": CANARY_ID}, {"kind": "threshold", "value": CANARY_TEXT}, CANARY_ID):
        yield as_json, json.dumps({"customers": good, "policy": policy, "reasons": CANARY_ID}).encode()
    yield as_json, b'[{"id": "' + CANARY_ID.encode() + b'", ' + CANARY_TEXT.encode("latin-1")
    yield as_json, json.dumps(good).encode("utf-16")
    yield as_json, ('{"id":"' + CANARY_ID + '","id":"' + CANARY_ID + '"}').encode()
    lines = "\n".join(map(json.dumps, [*good, *wrong])).encode()
    yield {"Content-Type": "application/x-ndjson"}, lines + b"\n{" + CANARY_ID.encode()
    cells = f'id,{CANARY_TEXT}\n{CANARY_ID},{CANARY_NUMBER}\n"{CANARY_ID}'.encode()
    yield {"Content-Type": "text/csv"}, cells
    yield {"Content-Type": CANARY_ID}, cells
    packed = gzip.compress(json.dumps([*good, *wrong]).encode())
    yield {**as_json, "Content-Encoding": "gzip"}, packed
    yield {**as_json, "Content-Encoding": "gzip"}, packed[:-9] + CANARY_ID.encode()
    yield {**as_json, "Content-Encoding": CANARY_ID}, packed
    for key in (CANARY_ID, "x" * 300 + CANARY_ID):
        yield {**as_json, "Idempotency-Key": key}, json.dumps(good).encode()
        yield {**as_json, "Idempotency-Key": key}, json.dumps(wrong + good).encode()


@contextmanager
def serving(app: Flask) -> Iterator[int]:
    """The port of a real server, for what only a socket can carry."""
    server = Server(app, "127.0.0.1", 0, 2, threading.Event())
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield int(server.address.rpartition(":")[2])
    finally:
        server.stop()
        thread.join(30)


@contextmanager
def everything_logged(taken: list[bytes]) -> Iterator[None]:
    """Whatever any logger of the process says, as `api.logs` writes it, from the level info on."""
    reading, writing = os.pipe()
    handler = LineHandler(writing)
    root, ours = logging.getLogger(), logging.getLogger("propensity")
    levels = root.level, ours.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    reader = threading.Thread(target=lambda: taken.extend(iter(lambda: os.read(reading, 65536), b"")))
    reader.start()
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(levels[0])
        handler.flush()
        assert handler.dropped == 0
        os.close(writing)
        reader.join(10)
        os.close(reading)


def send(port: int, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def raw(port: int, sent: bytes) -> None:
    """Send bytes that are not a proper request, and hang up on the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(sent)
        connection.recv(10)


def everything_a_caller_can_send(world: World, port: int, rows: list[dict[str, Any]]) -> list[int]:
    key = {"Authorization": f"Bearer {world.key('operator', 'operator')}"}
    accepts = {"Accept": "*/*"}
    # Before anything else is looked at: without a key, and with an Accept that nothing fits.
    body = json.dumps({**rows[0], "id": CANARY_ID}).encode()
    typed = {**IN_HEADERS, "Content-Type": "application/json"}
    statuses = [send(port, "POST", PATH, typed, body), send(port, "POST", PATH, {**typed, **key}, body)]

    def ask(port: int, method: str, path: str, headers: dict[str, str], body: bytes) -> int:
        return send(port, method, path, {**headers, **key, **accepts}, body)

    statuses += [ask(port, "POST", PATH, {**IN_HEADERS, **headers}, body) for headers, body in bodies(rows)]
    paths = (f"/{CANARY_ID}", f"/v1/predictions/{CANARY_ID}", f"/v1/campaigns/{CANARY_ID}", f"/static/{CANARY_ID}", f"/livez?c={CANARY_ID}")
    statuses += [ask(port, method, path, IN_HEADERS, b"") for path in paths for method in ("GET", "POST", CANARY_ID.upper())]
    body = json.dumps({**rows[0], "id": CANARY_ID}).encode()
    for query in (f"policy={CANARY_ID}", f"{CANARY_ID}=1", f"policy=threshold&value={CANARY_ID}", f"reasons={CANARY_ID}"):
        statuses.append(ask(port, "POST", f"{PATH}?{query}", {"Content-Type": "application/json"}, body))
    outcomes = [{"customer_id": CANARY_ID, "label": CANARY_TEXT}, {"customer_id": CANARY_ID, "label": True}, {"prediction_id": CANARY_ID}]
    for posted in (outcomes, outcomes[:1], CANARY_ID):
        statuses.append(ask(port, "POST", f"{PATH[:-11]}outcomes", {"Content-Type": "application/json"}, json.dumps(posted).encode()))
    raw(port, f"{CANARY_ID}\r\n\r\n".encode())
    raw(port, f"GET /{CANARY_ID} HTTP/1.1\r\nContent-Length: {CANARY_ID}\r\n\r\n".encode())
    raw(port, f"GET /{CANARY_ID} HTTP/1.1\r\nX: {CANARY_ID * 30_000}\r\n\r\n".encode())
    return statuses


def test_no_canary_reaches_a_log_a_metric_or_a_span(world: World, rows: list[dict[str, Any]]) -> None:
    said: list[bytes] = []
    with collecting() as collector, everything_logged(said):
        tracing = start_tracing(collector.url)
        app = create_app(replace(world.services, tracing=tracing))
        with serving(app) as port:
            statuses = everything_a_caller_can_send(world, port, rows)
            world.database.down = True
            statuses += everything_a_caller_can_send(world, port, rows)
            world.database.down = False
            world.services.log.append = _broken  # type: ignore[method-assign]
            statuses += everything_a_caller_can_send(world, port, rows)
        assert tracing is not None
        tracing.stop()
    assert {200, 400, 401, 404, 405, 406, 415, 422, 500, 503} <= set(statuses)
    log = b"".join(said)
    assert log.count(b"\n") > len(statuses)
    assert b"ValueError" in log
    assert sum(span.name not in {"read", "check", "gate", "score", "reply", "commit"} for span in collector.spans) == len(statuses)
    found = {
        where: [needle.decode() for needle in NEEDLES if needle in text.lower()]
        for where, text in {
            "log": log,
            "metrics": world.services.metrics.render(),
            "spans": b"".join(collector.bodies),
        }.items()
    }
    assert found == {"log": [], "metrics": [], "spans": []}


def test_the_search_would_find_a_canary(world: World) -> None:
    said: list[bytes] = []
    with everything_logged(said):
        for text in (CANARY_ID, CANARY_TEXT):
            logging.getLogger("propensity.test").warning("scored %s", text)
    log = b"".join(said).lower()
    assert sum(needle in log for needle in NEEDLES) >= 4


def _broken(*_: Any, **__: Any) -> Any:
    raise ValueError(CANARY_ID, CANARY_TEXT, CANARY_NUMBER)
