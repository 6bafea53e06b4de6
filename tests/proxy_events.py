"""Events of a REST API's proxy integration, and what must hold of a refusal."""

from __future__ import annotations

import json
from typing import Any

PATH = "/v1/campaigns/term-deposit/predictions"


class Context:
    """The part of the runtime's context that the function uses."""

    def __init__(self, left_ms: int = 28_000) -> None:
        self.left_ms = left_ms

    def get_remaining_time_in_millis(self) -> int:
        return self.left_ms


def event(method: str = "POST", path: str = PATH, body: str | None = "[]", **more: Any) -> dict[str, Any]:
    """A REST API proxy event."""
    usual = {
        "httpMethod": method,
        "path": path,
        "resource": "/v1/campaigns/{campaign}/predictions",
        "headers": {"content-type": "application/json"},
        "multiValueQueryStringParameters": None,
        "requestContext": {"requestId": "from-api-gateway"},
        "body": body,
        "isBase64Encoded": False,
    }
    return {**usual, **more}


def code(reply: dict[str, Any]) -> str:
    assert reply["multiValueHeaders"]["Content-Type"] == ["application/problem+json"]
    problem = json.loads(reply["body"])
    assert problem["status"] == reply["statusCode"]
    assert problem["request_id"] == "from-api-gateway"
    assert problem["type"].endswith(problem["code"])
    return str(problem["code"])
