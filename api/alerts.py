"""GET alerts, and who takes care of one: what is wrong with campaigns and flows, and what became of it."""

from __future__ import annotations

from typing import Any

from flask import Response, g, request

from api import media
from api.bodies import read_request
from api.replies import json_reply
from api.services import Services
from api.strict_json import parse_json
from propensity.alerting import AlertEvent, StoredAlert
from propensity.alerts import RUNBOOK, to_content
from propensity.errors import Malformed, UnsupportedMedia

STATES = ("open", "all")
NEWEST = 200
NOTE_LENGTH = 500


def list_alerts(services: Services) -> Response:
    """Open alerts and the newest others, or with ``?state=open`` those alone that nobody has acknowledged or ended."""
    if set(request.args) - {"state"} or request.args.get("state", "all") not in STATES:
        raise Malformed(f"the address takes the parameter state, which is one of {', '.join(STATES)}, and no others")
    found = [alert_json(stored) for stored in services.alerts.recent(NEWEST)]
    if request.args.get("state") == "open":
        found = [alert for alert in found if alert["state"] == "open"]
    return json_reply({"alerts": found})


def get_alert(services: Services, alert_id: str) -> Response:
    """One alert with everything that happened to it."""
    stored = services.alerts.find(alert_id)
    return json_reply({**alert_json(stored), "events": [_event(event) for event in stored.events]})


def acknowledge(services: Services, alert_id: str) -> Response:
    """Somebody takes care of it: it is not told again while it is open. The first acknowledgement stands."""
    if request.mimetype != media.JSON:
        raise UnsupportedMedia(f"the body must be JSON, with the header Content-Type: {media.JSON}, as in {{}} or {{'note': '...'}}")
    body = parse_json(read_request(request))
    note = body.get("note", "") if isinstance(body, dict) and not set(body) - {"note"} else None
    if not isinstance(note, str) or len(note) > NOTE_LENGTH or not (note.isprintable() and _storable(note)):
        raise Malformed(f"the body must be an object with nothing or a note of at most {NOTE_LENGTH} printable characters")
    return json_reply(alert_json(services.alerts.acknowledge(alert_id, actor=f"api:{g.caller.name}", note=note)))


def alert_json(stored: StoredAlert) -> dict[str, Any]:
    """An alert as callers see it."""
    content = to_content(stored.alert)
    said, over = stored.first("acknowledged"), stored.first("resolved", "closed")
    return {
        "alert_id": stored.alert_id,
        "state": stored.state,
        **{name: content[name] for name in ("campaign", "kind", "about", "verdict", "detail", "since", "until", "rows", "model_digest")},
        **{name: content[name] for name in ("run_id", "report_key", "impact", "findings")},
        "episode": stored.episode,
        "raised_at": stored.raised_at.isoformat(),
        "acknowledged": None if said is None else {"by": said.actor, "at": said.at.isoformat(), "note": said.detail},
        "ended_at": None if over is None else over.at.isoformat(),
        "channels": _channels(stored),
        "runbook": RUNBOOK.get(stored.alert.kind, ""),
    }


def _channels(stored: StoredAlert) -> list[dict[str, Any]]:
    """The last word of each channel on each message."""
    newest = {(e.channel, e.occasion): e for e in stored.events if e.channel is not None}
    return [
        {"channel": e.channel, "message": e.occasion, "result": e.event, "attempt": e.attempt, "at": e.at.isoformat(), "detail": e.detail}
        for e in newest.values()
    ]


def _event(event: AlertEvent) -> dict[str, Any]:
    return {
        "event": event.event,
        "at": event.at.isoformat(),
        "message": event.occasion,
        "channel": event.channel,
        "attempt": event.attempt,
        "by": event.actor,
        "detail": event.detail,
    }


def _storable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
