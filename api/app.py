"""Puts routes, hooks and error handlers together. No global state: two apps in one process do not touch each other."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

from flask import Flask, Response, g, request

from api import campaigns, docs_page, operations, outcomes, predictions, problems, records
from api.services import Services

MAX_BODY_BYTES = 10 * 1024 * 1024
logger = logging.getLogger("propensity.api.access")
View = Callable[..., Response]
ROUTES: tuple[tuple[str, str, View], ...] = (
    ("POST", "/v1/campaigns/<campaign>/predictions", predictions.post_predictions),
    ("POST", "/v1/campaigns/<campaign>/outcomes", outcomes.post_outcomes),
    ("GET", "/v1/campaigns", campaigns.list_campaigns),
    ("GET", "/v1/campaigns/<campaign>", campaigns.get_campaign),
    ("GET", "/v1/campaigns/<campaign>/schema", campaigns.get_schema),
    ("GET", "/v1/campaigns/<campaign>/model", campaigns.get_model),
    ("GET", "/v1/predictions/<wanted>", records.get_prediction),
    ("GET", "/livez", operations.livez),
    ("GET", "/readyz", operations.readyz),
    ("GET", "/openapi.json", operations.get_openapi),
    ("GET", "/docs", docs_page.docs),
    ("GET", "/", operations.index),
)


def create_app(services: Services) -> Flask:
    """The web application over these services."""
    app = Flask("api")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.url_map.merge_slashes = False
    for method, path, view in ROUTES:
        app.add_url_rule(path, f"{method} {path}", partial(view, services), methods=[method])
    app.add_url_rule("/favicon.ico", "favicon", partial(app.send_static_file, "favicon.svg"))
    app.before_request(partial(_begin, services))
    app.after_request(_end)
    problems.add_handlers(app)
    return app


def _begin(services: Services) -> None:
    g.request_id = services.new_request_id()
    g.started_s = time.perf_counter()
    g.rows = None


def _end(reply: Response) -> Response:
    reply.headers["X-Request-Id"] = g.request_id
    reply.headers["X-Content-Type-Options"] = "nosniff"
    reply.headers.setdefault("Cache-Control", "no-store")
    fields = {
        "event": "request",
        "request_id": g.request_id,
        "method": request.method,
        # The template, not the address: an address may hold an id.
        "route": None if request.url_rule is None else request.url_rule.rule,
        "status": reply.status_code,
        "ms": round(1000 * (time.perf_counter() - g.started_s), 3),
        "rows": g.rows,
    }
    logger.info("request", extra={"fields": fields if "code" not in g else {**fields, "code": g.code}})
    return reply
