"""Puts routes, hooks and error handlers together. No global state: two apps in one process do not touch each other."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flask import Flask, Response, g, request

from api import (
    alerts,
    campaigns,
    docs_page,
    erasures,
    flow_states,
    lift,
    list_files,
    lists,
    media,
    operations,
    outcomes,
    predictions,
    problems,
    promotions,
    records,
    suppressions,
)
from api.auth import authorise
from api.media import MAX_BODY_BYTES
from api.metrics import METHODS, OTHER
from api.pages import administration, campaign_pages, customer, list_pages, model_pages, monitoring, sign_in
from api.pages import suppressions as suppression_pages
from api.services import Services

logger = logging.getLogger("propensity.api.access")
View = Callable[..., Response]
# A caller's own request id is logged where it is a UUID of version 4 or 7: random by construction. Any other text might name a customer.
_RANDOM_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
ROUTES: tuple[tuple[str, str, View], ...] = (
    ("POST", "/v1/campaigns/<campaign>/predictions", predictions.post_predictions),
    ("POST", "/v1/campaigns/<campaign>/outcomes", outcomes.post_outcomes),
    ("GET", "/v1/campaigns/<campaign>/outcomes", outcomes.get_outcomes),
    ("GET", "/v1/campaigns", campaigns.list_campaigns),
    ("GET", "/v1/campaigns/<campaign>", campaigns.get_campaign),
    ("GET", "/v1/campaigns/<campaign>/schema", campaigns.get_schema),
    ("GET", "/v1/campaigns/<campaign>/model", campaigns.get_model),
    ("GET", "/v1/campaigns/<campaign>/models", campaigns.list_models),
    ("POST", "/v1/campaigns/<campaign>/lists", lists.post_list),
    ("GET", "/v1/lists/<wanted_list>", lists.get_list),
    ("GET", "/v1/lists/<wanted_list>/result", lists.get_list_result),
    ("GET", "/v1/lists/<wanted_list>/errors", lists.get_list_errors),
    ("POST", "/v1/uploads/<token>", list_files.post_upload),
    ("PUT", "/v1/uploads/<token>", list_files.put_part),
    ("GET", "/v1/downloads/<token>", list_files.get_download),
    ("GET", "/v1/campaigns/<campaign>/promotions", promotions.list_promotions),
    ("POST", "/v1/campaigns/<campaign>/promotions", promotions.post_promotion),
    ("POST", "/v1/campaigns/<campaign>/rollbacks", promotions.post_rollback),
    ("POST", "/v1/campaigns/<campaign>/approvals", promotions.post_approval),
    ("GET", "/v1/predictions/<wanted>", records.get_prediction),
    ("GET", "/v1/campaigns/<campaign>/lift", lift.get_lift),
    ("POST", "/v1/suppressions", suppressions.post_suppressions),
    ("DELETE", "/v1/suppressions", suppressions.delete_suppressions),
    ("GET", "/v1/suppressions", suppressions.get_suppressions),
    ("POST", "/v1/erasures", erasures.post_erasures),
    ("GET", "/v1/erasures/<wanted>", erasures.get_erasure),
    ("GET", "/v1/caller", operations.get_caller),
    ("GET", "/v1/alerts", alerts.list_alerts),
    ("GET", "/v1/alerts/<alert_id>", alerts.get_alert),
    ("POST", "/v1/alerts/<alert_id>/acknowledgements", alerts.acknowledge),
    ("GET", "/v1/flows", flow_states.get_flows),
    ("GET", "/livez", operations.livez),
    ("GET", "/startupz", operations.startupz),
    ("GET", "/readyz", operations.readyz),
    ("GET", "/metrics", operations.get_metrics),
    ("GET", "/openapi.json", operations.get_openapi),
    ("GET", "/docs", docs_page.docs),
    ("GET", "/", operations.index),
    ("GET", "/monitoring", monitoring.get_monitoring),
    ("GET", "/lists", list_pages.get_lists),
    ("GET", "/lists/new", list_pages.get_new),
    ("POST", "/lists/new", list_pages.post_new),
    ("GET", "/lists/<wanted_list>", list_pages.get_one),
    ("POST", "/lists/<wanted_list>", list_pages.post_one),
    ("GET", "/lists/<wanted_list>/state", list_pages.get_state),
    ("GET", "/lists/<wanted_list>/sheet", list_pages.get_sheet),
    ("GET", "/lists/<wanted_list>/refused", list_pages.get_refused),
    ("GET", "/lists/<wanted_list>/excluded", list_pages.get_excluded),
    ("GET", "/customer", customer.get_customer),
    ("POST", "/customer", customer.post_customer),
    ("GET", "/predictions/<wanted>", customer.get_why),
    ("GET", "/campaigns", campaign_pages.get_campaigns),
    ("GET", "/campaigns/<campaign>", campaign_pages.get_campaign),
    ("GET", "/campaigns/<campaign>/report", campaign_pages.get_report),
    ("GET", "/suppressions", suppression_pages.get_suppressions),
    ("POST", "/suppressions", suppression_pages.post_suppressions),
    ("GET", "/models", model_pages.get_models),
    ("POST", "/models", model_pages.post_models),
    ("GET", "/administration", administration.get_administration),
    ("POST", "/administration", administration.post_administration),
    ("GET", "/sign-in", sign_in.get_sign_in),
    ("POST", "/sign-in", sign_in.post_sign_in),
    ("POST", "/sign-out", sign_in.post_sign_out),
)


class App(Flask):
    """Flask, whose views and hooks here are all plain functions."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself: Flask would ask anew at each call whether it is a coroutine."""
        return func


def create_app(services: Services) -> Flask:
    """The web application over these services."""
    app = App("api")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.url_map.merge_slashes = False
    for method, path, view in ROUTES:
        app.add_url_rule(path, f"{method} {path}", partial(view, services), methods=[method])
    app.add_url_rule("/favicon.ico", "favicon", partial(app.send_static_file, "favicon.svg"))
    app.before_request(partial(_begin, services))
    app.before_request(partial(authorise, services.keys, services.sessions))
    app.after_request(partial(_end, services))
    if services.tracing is not None:
        app.teardown_request(services.tracing.close)
    problems.add_handlers(app)
    return app


def _begin(services: Services) -> None:
    vars(g._get_current_object()).update(request_id=services.new_request_id(), started_s=time.perf_counter(), rows=None, caller=None)
    if services.tracing is not None:
        services.tracing.begin(request.environ)


def _end(services: Services, reply: Response) -> Response:
    media.pack(reply, request.environ)
    known = vars(g._get_current_object())  # looked up once: each access through the proxy costs a microsecond
    sent = reply.headers
    sent.add("X-Request-Id", known["request_id"])
    sent.add("X-Content-Type-Options", "nosniff")
    if "Cache-Control" not in sent:
        sent.add("Cache-Control", "no-store")
    seconds = time.perf_counter() - known["started_s"]
    fields = _access(services, known, reply.status_code, seconds)
    logger.info("request", extra={"fields": fields})
    _count(services, fields, seconds, int(request.environ.get("CONTENT_LENGTH") or 0), reply)
    if services.tracing is not None:
        services.tracing.end(fields)
    return reply


def _access(services: Services, known: Mapping[str, Any], status: int, seconds: float) -> dict[str, Any]:
    """What the access log says of a request.

    ``campaign``, ``model``, ``code``, ``excluded`` (rows by reason) and ``client_request_id`` only where there is one.
    """
    asked = request._get_current_object()  # type: ignore[attr-defined]
    fields = {
        "event": "request",
        "request_id": known["request_id"],
        # A verb may be any text, too.
        "method": asked.method if asked.method in METHODS else OTHER,
        # The template, not the address: an address may hold an id.
        "route": None if asked.url_rule is None else asked.url_rule.rule,
        "status": status,
        "ms": round(1000 * seconds, 3),
        "rows": known["rows"],
        "caller": None if known["caller"] is None else known["caller"].name,
        "key_id": None if known["caller"] is None else known["caller"].key_id,
    }
    if asked.view_args and (campaign := asked.view_args.get("campaign")) in services.campaigns:
        fields["campaign"] = campaign
    for name in ("model", "code", "excluded"):
        if name in known:
            fields[name] = known[name]
    theirs = asked.environ.get("HTTP_X_REQUEST_ID")
    if theirs is not None and _RANDOM_ID.fullmatch(theirs):
        fields["client_request_id"] = theirs
    return fields


def _count(services: Services, fields: Mapping[str, Any], seconds: float, received: int, reply: Response) -> None:
    metrics = services.metrics
    if "code" in fields:
        metrics.refused(fields["code"])
    sent = reply.calculate_content_length() or 0
    metrics.request(fields["route"], fields["method"], fields["status"], seconds=seconds, received=received, sent=sent)
