"""Holds real replies against the document. Every client of the tests' service does so by itself, in every test."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]
from werkzeug.test import TestResponse

from api.openapi import openapi
from propensity.campaign import Campaign

Json = dict[str, Any]
# Of a longer list the first so many are looked at: the others are made by the same code.
LOOKED_AT = 100
PROBLEM = "application/problem+json"
# What no operation describes: refusals before one was found, and bugs.
ANYWHERE = frozenset({404, 405, 500})
UNDESCRIBED = ("/static/", "/favicon.ico")


class Contract:
    """A document, ready to judge replies."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self._closed = {"components": _closed(document["components"])}
        self._validators: dict[str, Any] = {}

    def operation(self, method: str, address: str) -> tuple[str, Json] | None:
        """The path of the document that the address belongs to, and its operation. Paths without a parameter go first."""
        paths = self.document["paths"]
        fitting = [path for path in sorted(paths, key=lambda path: "{" in path) if _pattern(path).fullmatch(address)]
        found = next((path for path in fitting if method.lower() in paths[path]), None)
        return None if found is None else (found, paths[found][method.lower()])

    def check(self, method: str, address: str, reply: TestResponse) -> None:
        """Raises AssertionError where the reply is not as the document says."""
        where = f"{method} {address} -> {reply.status_code}"
        assert re.fullmatch(r"[0-9a-f-]{36}", reply.headers.get("X-Request-Id", "")), f"{where}: no X-Request-Id"
        known = self.operation("GET" if method == "HEAD" else method, address)
        said = None if known is None else known[1]["responses"].get(str(reply.status_code))
        if said is None:
            self._check_undescribed(where, known, address, reply)
            return
        said = self.resolve(said)
        for name, header in said["headers"].items():
            assert name in reply.headers or not self.resolve(header).get("required"), f"{where}: no header {name}"
        kind = reply.mimetype or ""
        assert kind in said["content"], f"{where}: {kind} is not among {list(said['content'])}"
        packed = "Content-Encoding" in reply.headers
        if method != "HEAD" and kind.endswith("json") and kind != "application/x-ndjson" and not packed:
            self.check_value(said["content"][kind]["schema"], reply.json, where)
        if kind == PROBLEM and method != "HEAD":
            self._check_problem(where, reply)

    def _check_undescribed(self, where: str, known: object, address: str, reply: TestResponse) -> None:
        if reply.status_code < 400:
            assert known is None, f"{where}: the document knows no such status"
            assert reply.request.method == "OPTIONS" or address.startswith(UNDESCRIBED), f"{where}: the document knows no such operation"
            return
        assert known is None or reply.status_code in ANYWHERE, f"{where}: the document knows no such status"
        assert reply.mimetype == PROBLEM, f"{where}: {reply.mimetype}"
        if reply.request.method != "HEAD":
            self._check_problem(where, reply)

    def _check_problem(self, where: str, reply: TestResponse) -> None:
        body = reply.json
        self.check_value({"$ref": "#/components/schemas/Problem"}, body, where)
        assert isinstance(body, dict)
        assert body["status"] == reply.status_code, where
        assert body["type"].endswith(body["code"]), where
        assert body["request_id"] == reply.headers["X-Request-Id"], where

    def check_value(self, schema: Json, value: Any, where: str) -> None:
        """Raises AssertionError where the value does not fit, or holds a member that the schema does not name."""
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            self._validators[key] = Draft202012Validator({**_closed(schema), **self._closed}, format_checker=FormatChecker())
        wrong = [f"{'/'.join(map(str, error.path))}: {error.message}" for error in self._validators[key].iter_errors(_shortened(value))]
        assert not wrong, f"{where}: {wrong[:3]}"

    def resolve(self, part: Json) -> Json:
        """What a reference leads to."""
        while "$ref" in part:
            target: Any = self.document
            for step in part["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            part = target
        return part


def _closed(schema: Any) -> Any:
    """A copy in which objects hold nothing but what is named: callers must bear new members, the tests must not miss one."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(part) for key, part in schema.items()}
    if isinstance(closed.get("properties"), dict) and closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


def _shortened(value: Any) -> Any:
    if isinstance(value, list):
        return [_shortened(part) for part in value[:LOOKED_AT]]
    return {key: _shortened(part) for key, part in value.items()} if isinstance(value, dict) else value


@cache
def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)), re.DOTALL)


def watched(app: Flask, campaigns: Mapping[str, Campaign], client: type[FlaskClient] = FlaskClient) -> Flask:
    """The app, whose test clients hold every reply against its document; ``client``: how they ask."""
    contract: list[Contract] = []

    class Client(client):  # type: ignore[misc, valid-type]
        """Checks before it returns."""

        def open(self, *args: Any, **kwargs: Any) -> TestResponse:
            reply: TestResponse = super().open(*args, **kwargs)
            if not contract:
                contract.append(Contract(deepcopy(openapi(campaigns))))
            contract[0].check(reply.request.method, reply.request.path, reply)
            return reply

    app.test_client_class = Client
    return app
