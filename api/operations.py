"""Health, the description of the interface, and the front page."""

from __future__ import annotations

from typing import Any

from flask import Response, g, render_template

from api.campaigns import since
from api.metrics import CONTENT_TYPE
from api.models import LEDGER
from api.openapi import openapi
from api.replies import json_reply
from api.services import Services
from propensity.errors import StoreError
from propensity.promotion import VERSION_LENGTH

PAGE_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def livez(_services: Services) -> Response:
    """The process answers. Looks at nothing else: an outage of a store must not make a balancer replace healthy tasks."""
    return json_reply({"status": "live"})


def startupz(services: Services) -> Response:
    """503 until this process has once read the keys and loaded what was promoted, 200 from then on whatever happens to a store.

    A balancer that asks here gives a new task no request before it can answer one, and takes none away during an outage.
    """
    if not services.started.is_set() and _has_started(services):
        services.started.set()
    started = services.started.is_set()
    return json_reply({"status": "started" if started else "starting"}, 200 if started else 503)


def _has_started(services: Services) -> bool:
    models = services.models
    # A package that was looked at and refused is no reason to wait, as long as something can be scored, or nothing was ever promoted.
    settled = all(models.get(name) or not models.awaited(name) or name in models.problems for name in services.campaigns)
    of_use = any(models.get(name) for name in services.campaigns) or not any(models.awaited(name) for name in services.campaigns)
    return services.keys.loaded and models.looked_at is not None and settled and of_use


def readyz(services: Services) -> Response:
    """Whether a prediction can be answered now: 200, or 503 with each check and its reason.

    A campaign without a model, or with an older one than was promoted, is told under ``models``; one live model is enough to be ready.
    """
    database = _database(services)
    live = {name: services.models.get(name) for name in services.campaigns}
    checks: dict[str, Any] = {
        "process": {"ok": not services.draining.is_set(), "reason": "the process is ending" if services.draining.is_set() else None},
        "database": {"ok": database is None, "reason": database},
        "live_model": {
            "ok": any(live.values()),
            "reason": None if any(live.values()) else "no campaign has a live model: train and promote one",
        },
        # Keys that are not the newest still let callers in, and during an outage that is what they are for.
        "api_keys": {"ok": services.keys.loaded, "reason": services.keys.problem},
    }
    problems = services.models.problems
    models = {
        name: {
            "version": None if found is None else found.model.version,
            "since": None if found is None else since(found.promotion),
            "awaited": None if (awaited := services.models.awaited(name)) is None else awaited.model_digest[:VERSION_LENGTH],
            "problem": problems.get(name),
        }
        for name, found in live.items()
    }
    age_s = services.models.ledger_age_s
    ledger = {"problem": problems.get(LEDGER), "seconds_since_read": None if age_s is None else round(age_s, 3)}
    ready = all(check["ok"] for check in checks.values())
    body = {"status": "ready" if ready else "not ready", "checks": checks, "models": models, LEDGER: ledger}
    return json_reply(body, 200 if ready else 503)


def get_metrics(services: Services) -> Response:
    """What this process counted since its start, in Prometheus' text format."""
    return Response(services.metrics.render(), content_type=CONTENT_TYPE)


def get_caller(_services: Services) -> Response:
    """Whose key came with the request. Another program of the platform asks this before it does something in the caller's name."""
    return json_reply({"key_id": g.caller.key_id, "name": g.caller.name, "role": str(g.caller.role)})


def get_openapi(services: Services) -> Response:
    """The interface as OpenAPI 3.1."""
    return json_reply(openapi(services.campaigns))


def index(services: Services) -> Response:
    """The front page."""
    campaigns = [(campaign, services.models.get(name)) for name, campaign in services.campaigns.items()]
    reply = Response(render_template("index.html", campaigns=campaigns), mimetype="text/html")
    reply.headers["Content-Security-Policy"] = PAGE_POLICY
    return reply


def _database(services: Services) -> str | None:
    try:
        services.database.ping()
    except StoreError as exc:
        return str(exc)
    return None
