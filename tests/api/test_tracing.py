"""Spans reach a collector, join the caller's trace, and are nobody's problem where the collector is down."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from api.app import create_app
from api.tracing import Tracing, stage, start_tracing
from propensity.errors import SettingsInvalid
from tests.api.collector import Collector, attributes, collecting
from tests.api.conftest import World
from tests.api.processes import ROOT

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@contextmanager
def traced(world: World, url: str) -> Iterator[tuple[Any, Tracing]]:
    """A client of the same service with spans to ``url``."""
    tracing = start_tracing(url)
    assert tracing is not None
    client = create_app(replace(world.services, tracing=tracing)).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {world.key('operator', 'operator')}"
    yield client, tracing
    tracing.stop()


def ask(world: World, method: str, path: str, **kwargs: Any) -> tuple[Any, list[Any], Collector]:
    """One traced request: its reply and the spans of it."""
    with collecting() as collector:
        with traced(world, collector.url) as (client, _):
            reply = client.open(path, method=method, **kwargs)
        return reply, collector.spans, collector


def test_a_request_is_a_span_with_what_is_no_customers(world: World, rows: list[dict[str, Any]]) -> None:
    reply, spans, collector = ask(world, "POST", "/v1/campaigns/term-deposit/predictions", json=rows)
    *stages, span = sorted(spans, key=lambda one: one.parent_span_id == b"")
    assert {one.name for one in stages} == {"read", "check", "gate", "score", "reply", "commit"}
    assert not any(attributes(one) for one in stages)
    assert collector.paths == ["/v1/traces"]
    assert span.name == "POST /v1/campaigns/<campaign>/predictions"
    assert attributes(span) == {
        "http.request.method": "POST",
        "http.route": "/v1/campaigns/<campaign>/predictions",
        "http.response.status_code": 200,
        "propensity.request_id": reply.json["request_id"],
        "propensity.campaign": "term-deposit",
        "propensity.model_version": reply.json["model"]["version"],
        "propensity.rows": len(rows),
    }
    assert 0 < span.end_time_unix_nano - span.start_time_unix_nano < 60e9
    assert span.status.code == 0


def test_stages_lie_below_the_request_and_tell_an_exception_by_its_type(world: World, rows: list[dict[str, Any]]) -> None:
    path = "/v1/campaigns/term-deposit/predictions"
    _, spans, _ = ask(world, "POST", path, json=rows)
    (commit,) = (span for span in spans if span.name == "commit")
    (request,) = (span for span in spans if span.parent_span_id == b"")
    assert commit.parent_span_id == request.span_id
    assert commit.trace_id == request.trace_id
    world.database.down = True
    reply, spans, _ = ask(world, "POST", path, json=rows)
    assert reply.status_code == 503
    (commit,) = (span for span in spans if span.name == "commit")
    (request,) = (span for span in spans if span.parent_span_id == b"")
    assert attributes(commit) == {"error.type": "DatabaseUnavailable"}
    assert not commit.events
    assert attributes(request)["propensity.problem_code"] == "database_unavailable"
    assert request.status.code == 2


def test_the_callers_trace_is_joined_and_its_choice_not_to_sample_is_kept(world: World) -> None:
    _, (span,), _ = ask(world, "GET", "/livez", headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "a=4711"})
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state) == (TRACE, PARENT, "")
    _, spans, _ = ask(world, "GET", "/livez", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    assert spans == []


@pytest.mark.parametrize("sent", ["", "4711", f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}", "x" * 5000])
def test_a_broken_traceparent_begins_a_trace_of_its_own(world: World, sent: str) -> None:
    _, (span,), _ = ask(world, "GET", "/livez", headers={"traceparent": sent})
    assert span.trace_id.hex() != TRACE
    assert span.parent_span_id == b""


def test_an_address_or_method_of_the_callers_is_not_exported(world: World) -> None:
    _, (span,), collector = ask(world, "GET", "/v1/campaigns/canary4711/model?canary4711=1")
    assert span.name == "GET /v1/campaigns/<campaign>/model"
    assert "propensity.campaign" not in attributes(span)
    _, (other,), more = ask(world, "CANARY4711", "/canary4711")
    assert other.name == "_OTHER"
    assert b"canary4711" not in b"".join(collector.bodies + more.bodies).lower()


def test_one_request_leaves_nothing_behind_for_the_next(world: World) -> None:
    with collecting() as collector, traced(world, collector.url) as (client, _):
        client.get("/livez")
        with stage("alone"):
            pass
        world.client.get("/livez")
        assert client.get("/readyz").status_code == 200
    assert [span.name for span in collector.spans] == ["GET /livez", "GET /readyz"]


def test_a_collector_that_is_down_or_hangs_costs_no_request(world: World, rows: list[dict[str, Any]]) -> None:
    with socket.socket() as taken, collecting() as hung:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        hung.hold.clear()
        for url in (f"http://127.0.0.1:{taken.getsockname()[1]}", hung.url):
            with traced(world, url) as (client, _):
                for _ in range(3000):  # more than the queue of spans holds
                    assert client.get("/livez").status_code == 200
                assert client.post("/v1/campaigns/term-deposit/predictions", json=rows).status_code == 200
                started = time.monotonic()
            assert time.monotonic() - started < 10  # and the end of the process does not wait for it


def test_without_the_setting_nothing_is_imported() -> None:
    assert start_tracing("") is None
    code = (
        "import sys\nfrom api.app import create_app\nfrom api import compose, __main__\nfrom api.tracing import stage, start_tracing\n"
        "assert start_tracing('') is None\nwith stage('read'):\n    pass\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'google.protobuf'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("address", ["collector:4317", "grpc://127.0.0.1:4317", "127.0.0.1"])
def test_an_address_that_cannot_be_a_collector_is_refused(address: str) -> None:
    with pytest.raises(SettingsInvalid, match="PROPENSITY_OTLP_ENDPOINT"):
        start_tracing(address)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(SettingsInvalid, match=r"propensity\[tracing\]"):
        start_tracing("http://127.0.0.1:4318")
