"""A service on a free port whose every reply is written beforehand, and one that stands before a real application and loses replies."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from waitress.server import create_server

App = Callable[[dict[str, Any], Callable[..., Any]], Any]


@dataclass
class Scripted:
    """A WSGI application. ``replies`` are taken in turn: (status, headers, body), or a function of the WSGI environment that is one."""

    replies: list[Any]
    asked: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        body = environ["propensity.body"] = environ["wsgi.input"].read()
        self.asked.append({"path": environ["PATH_INFO"], "method": environ["REQUEST_METHOD"], "body": body, **environ})
        reply = self.replies.pop(0) if self.replies else (500, {}, {"code": "script_ended"})
        if callable(reply):
            reply = reply(environ)
        status, headers, value = reply
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        start_response(f"{status} X", [("Content-Type", "application/json"), ("Content-Length", str(len(text))), *headers.items()])
        return [text]

    @property
    def keys(self) -> list[str | None]:
        """The Idempotency-Key of every request that came."""
        return [asked.get("HTTP_IDEMPOTENCY_KEY") for asked in self.asked]


@contextmanager
def serving(app: App) -> Iterator[tuple[str, Any]]:
    """Base address and Waitress server of an application."""
    channels: dict[int, Any] = {}
    server = create_server(app, host="127.0.0.1", port=0, threads=4, map=channels, clear_untrusted_proxy_headers=True)
    thread = threading.Thread(target=_run, args=(server,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}", server
    finally:
        server.stopping = True
        server.pull_trigger()
        thread.join(10)
        for channel in list(server.active_channels.values()):
            channel.handle_close()
        server.task_dispatcher.shutdown(timeout=1)
        server.close()


def _run(server: Any) -> None:
    from waitress import wasyncore

    while not getattr(server, "stopping", False):
        wasyncore.loop(timeout=0.2, map=server._map, count=1)


def scored(n: int, first: int = 0, **changes: Any) -> dict[str, Any]:
    """The reply to a list of ``n`` rows, as the service writes it."""
    predictions = [
        {
            "row": at + 1,
            "customer_id": f"c{first + at + 1}",
            "prediction_id": f"p-{first + at + 1}",
            "score": ((first + at) * 37 % 101) / 101,
            "decision": "contact" if at % 2 else "leave",
            "band": "low",
            "rank": at + 1,
            "expected_profit": 1.5,
        }
        for at in range(n)
    ]
    return {
        "request_id": f"r-{first}",
        "campaign": "term-deposit",
        "model": {"version": "abc", "digest": "abcdef"},
        "policy": {"kind": "profit"},
        "counts": {"received": n, "scored": n, "refused": 0, "contact": n // 2},
        "expected_profit": {"amount": "1.00", "currency": "EUR"},
        "ignored_columns": [],
        "predictions": predictions,
        "errors": [],
        "errors_total": 0,
        **changes,
    }


def echo(environ: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
    """Answers with as many predictions as rows came, whose ids are the rows' own."""
    rows = json.loads(environ["propensity.body"])["customers"]
    return 200, {}, scored(len(rows), int(rows[0]["id"]))
