"""The scoring service's image as a Lambda function: a stand-in of Lambda's runtime API gives requests and keeps the answers."""

from __future__ import annotations

import importlib
import json
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from local.postgres_urls import DatabaseUrls
from propensity.access import Role, new_key
from propensity.adapters.api_keys import PostgresApiKeyStore
from propensity.adapters.database import Database
from propensity.adapters.migrate import migrate
from propensity.campaigns import all_campaigns
from propensity.errors import ProgramFailed

container = importlib.import_module("lambda.container")
Json = dict[str, Any]
PROJECT = Path(__file__).resolve().parents[2]


class Lambda:
    """Gives one request after the other and keeps what is answered."""

    def __init__(self) -> None:
        self.requests: queue.Queue[Json] = queue.Queue()
        self.answers: queue.Queue[tuple[str, Json]] = queue.Queue()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = json.dumps(outer.requests.get()).encode()
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", "r-1")
                self.send_header("Lambda-Runtime-Deadline-Ms", "99999999999999")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.answers.put((self.path.rpartition("/")[2], json.loads(body)))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.address = f"127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def runtime() -> Iterator[Lambda]:
    made = Lambda()
    yield made
    made.close()


@pytest.fixture
def service() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def event(resource: str) -> Json:
    return {"resource": resource, "httpMethod": "GET", "path": resource, "requestContext": {"requestId": "r-1"}}


@pytest.mark.parametrize(
    ("resource", "folder"),
    [
        ("/v1/{proxy+}", "front_door"),
        ("/v1/campaigns/{campaign}", "front_door"),
        ("/v1/campaigns/{campaign}/{proxy+}", "front_door"),
        ("/v1/campaigns/{campaign}/lists", "lists"),
        ("/v1/lists/{list}", "lists"),
        ("/v1/lists/{list}/result", "lists"),
    ],
)
def test_lists_are_told_apart_by_the_route(resource: str, folder: str) -> None:
    assert container.handler_of(event(resource)) == folder


def serving(runtime: Lambda, service: subprocess.Popen[bytes], handles: Json) -> threading.Thread:
    def run() -> None:
        with closing(container.Runtime(runtime.address)) as asked, pytest.raises(ProgramFailed):
            container.serve(asked, service, handles)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_requests_are_answered_one_after_the_other_and_a_failure_stops_nothing(runtime: Lambda, service: subprocess.Popen[bytes]) -> None:
    def door(event: Json, context: Any) -> Json:
        assert context.aws_request_id == "r-1"
        assert context.get_remaining_time_in_millis() > 1000
        if event["path"] == "/v1/{proxy+}":
            raise ValueError("the body said 1234567")
        return {"statusCode": 200, "body": event["path"]}

    thread = serving(runtime, service, {"front_door": door, "lists": lambda *_: {"statusCode": 202}})
    for resource in ("/v1/campaigns", "/v1/{proxy+}", "/v1/lists/{list}"):
        runtime.requests.put(event(resource))
    answers = [runtime.answers.get(timeout=10) for _ in range(3)]
    assert answers[0] == ("response", {"statusCode": 200, "body": "/v1/campaigns"})
    assert answers[1] == ("error", {"errorType": "ValueError", "errorMessage": "failed"})
    assert answers[2] == ("response", {"statusCode": 202})
    service.kill()
    service.wait()
    runtime.requests.put(event("/v1/campaigns"))
    kind, told = runtime.answers.get(timeout=10)
    assert (kind, told["errorType"]) == ("error", "ProgramFailed")
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_only_lambda_starts_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("AWS_LAMBDA_RUNTIME_API", raising=False)
    assert container.main() == 3
    assert "AWS_LAMBDA_RUNTIME_API" in capsys.readouterr().err


def test_a_service_that_cannot_start_is_told_to_lambda(runtime: Lambda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", runtime.address)
    # What it sets for its own process, this one gets back.
    monkeypatch.setenv("PROPENSITY_SCORING_URL", "")
    # A port of its own: whoever answers at the usual one would be taken for the service.
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("PROPENSITY_API_PORT", str(taken.getsockname()[1]))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    for name in ("PROPENSITY_DATABASE_URL", "PROPENSITY_PASSWORD_SECRET_ARN"):
        monkeypatch.delenv(name, raising=False)
    # Nothing to connect to: the service says so and ends.
    assert container.main() == ProgramFailed.exit_code
    kind, told = runtime.answers.get(timeout=10)
    assert (kind, told["errorType"]) == ("error", "ProgramFailed")


@pytest.mark.slow
def test_the_real_service_answers_as_it_does_elsewhere(
    runtime: Lambda, database: DatabaseUrls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(database.owner_url)
    key, new = new_key("lambda", Role.MARKETING, by="tester")
    with closing(Database(database.owner_url)) as opened:
        PostgresApiKeyStore(opened).add(new)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    told = {
        "AWS_LAMBDA_RUNTIME_API": runtime.address,
        "PROPENSITY_API_PORT": str(port),
        "PROPENSITY_DATABASE_URL": database.app_url,
        "PROPENSITY_STORE_URL": tmp_path.as_uri(),
        "PROPENSITY_SCORING_TIMEOUT_S": "20",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PROPENSITY_", "AWS_"))}
    command = [sys.executable, "-m", "lambda.container"]
    with subprocess.Popen(command, cwd=PROJECT, env={**kept, **told}, stdout=subprocess.DEVNULL) as process:
        for given in ({}, {"Authorization": f"Bearer {key}"}):
            asked = {**event("/v1/campaigns"), "headers": given, "body": None, "isBase64Encoded": False}
            runtime.requests.put(asked | {"queryStringParameters": None, "multiValueQueryStringParameters": None})
        (first, refused), (second, listed) = (runtime.answers.get(timeout=60) for _ in range(2))
        process.terminate()
    assert (first, refused["statusCode"]) == ("response", 401)
    assert json.loads(refused["body"])["code"] == "unauthorized"
    assert (second, listed["statusCode"]) == ("response", 200)
    assert {c["name"] for c in json.loads(listed["body"])["campaigns"]} == set(all_campaigns())
