"""The whole contract of the scoring service, asked of it as a function: every test of tests/api/test_contract.py again, with API Gateway's
events in place of HTTP. What the function's handler answers is held against the same document."""

from __future__ import annotations

import base64
import importlib
import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers
from werkzeug.test import TestResponse

from api.app import create_app
from api.server import Server
from tests.api import test_contract as contract_tests
from tests.api.conftest import World, build_world, deposit, rival, rows, world  # noqa: F401 - fixtures of the tests below
from tests.api.contract import watched
from tests.api.test_contract import *  # noqa: F403 - every test, asked once more
from tests.api.test_contract import full  # noqa: F401 - a fixture of theirs
from tests.proxy_events import Context

container = importlib.import_module("lambda.container")
HANDLES = {name: importlib.import_module(f"lambda.{name}.handler").handle for name in ("front_door", "lists")}
ANSWERED: list[dict[str, Any]] = []


class ThroughLambda(FlaskClient):
    """Asks by an event of a REST API's proxy integration, and makes a reply of what the handler returns."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        request = self._request_from_builder_args(args, dict(kwargs))
        body = request.get_data()
        event = {
            "resource": "/v1/{proxy+}",
            "httpMethod": request.method,
            "path": request.path,
            "headers": dict(request.headers),
            "multiValueHeaders": {name: request.headers.getlist(name) for name in request.headers.keys()},  # noqa: SIM118 - repeats a name
            "queryStringParameters": request.args.to_dict() or None,
            "multiValueQueryStringParameters": dict(request.args.lists()) or None,
            "requestContext": {"requestId": str(uuid.uuid4())},
            # The API's binary media types are */*.
            "body": base64.b64encode(body).decode() if body else None,
            "isBase64Encoded": bool(body),
        }
        os.environ["PROPENSITY_SCORING_URL"] = address_of(self.application)
        # As Lambda's runtime API carries both: as JSON.
        event = json.loads(json.dumps(event))
        answer = json.loads(json.dumps(HANDLES[container.handler_of(event)](event, Context())))
        ANSWERED.append(answer)
        data = base64.b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"].encode()
        headers = [(name, value) for name, values in answer["multiValueHeaders"].items() for value in values]
        return TestResponse([data], str(answer["statusCode"]), Headers(headers), request)


SERVERS: dict[int, Server] = {}


def address_of(app: Flask) -> str:
    """Where the app is served, as in the function: by the service's own server, on this machine alone."""
    if id(app) not in SERVERS:
        server = Server(app, "127.0.0.1", 0, 2, threading.Event())
        threading.Thread(target=server.run, daemon=True).start()
        SERVERS[id(app)] = server
    return SERVERS[id(app)].address


@pytest.fixture(scope="module", autouse=True)
def _as_a_function() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setenv("PROPENSITY_SCORING_URL", "")
    patch.setenv("PROPENSITY_SCORING_TIMEOUT_S", "20")

    def asked_through_lambda(services: Any) -> Flask:
        app = create_app(services)
        app.test_client_class = ThroughLambda
        return app

    # Where a test makes an app of its own.
    patch.setattr(contract_tests, "create_app", asked_through_lambda)
    yield
    for server in SERVERS.values():
        server.stop()
    SERVERS.clear()
    patch.undo()


@pytest.fixture(scope="session")
def make_world() -> Callable[..., World]:
    """Builds a service that is asked through the function."""

    def build(*extra: Any) -> World:
        made = build_world(*extra)
        watched(made.app, made.campaigns, ThroughLambda)
        return made

    return build


def test_every_test_of_the_contract_is_asked_of_the_function() -> None:
    theirs = {name for name in vars(contract_tests) if name.startswith("test_")}
    assert theirs <= set(globals())
    assert len(theirs) > 12


def test_replies_came_from_the_handler(world: World) -> None:  # noqa: F811 - the fixture
    before = len(ANSWERED)
    reply = world.client.get("/v1/campaigns")
    assert reply.status_code == 200
    assert len(ANSWERED) == before + 1
