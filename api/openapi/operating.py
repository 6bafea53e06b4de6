"""Operations on alerts and flows, and what their replies hold."""

from __future__ import annotations

from api.openapi.operation import operation
from api.openapi.parts import COUNT, FLAG, JSON, POSITION, TEXT, TIME, UUID_PATTERN, Json, array, nullable, one_of_texts, record, ref, said
from api.openapi.responses import done

ALERT_ID: Json = {"type": "string", "pattern": "^a-[0-9a-f]{12}$"}
_VALUE = said("text where it is infinite or not a number", {"type": ["number", "string", "null"]})


def operating_paths() -> Json:
    """Paths of alerts and flows."""
    wanted = {"name": "id", "in": "path", "required": True, "description": "an `alert_id`", "schema": ALERT_ID}
    chosen = {
        "name": "state",
        "in": "query",
        "required": False,
        "description": "`open`: those alone that nobody acknowledged or ended",
        "schema": one_of_texts("open", "all"),
    }
    return {
        "/v1/alerts": {
            "get": operation(
                ("GET", "/v1/alerts"),
                "listAlerts",
                "Operation",
                "Alerts",
                "What is or was wrong with campaigns and flows, the newest first: every open alert and the newest 200.",
                {"200": done("Alerts", {JSON: {"schema": ref("Alerts")}})},
                (400, 503),
                parameters=[chosen],
            )
        },
        "/v1/alerts/{id}": {
            "get": operation(
                ("GET", "/v1/alerts/{id}"),
                "getAlert",
                "Operation",
                "One alert",
                "With everything that happened to it: who was told by which channel, who takes care of it.",
                {"200": done("The alert", {JSON: {"schema": ref("AlertInFull")}})},
                (404, 503),
                parameters=[wanted],
            )
        },
        "/v1/alerts/{id}/acknowledgements": {"post": _acknowledge(wanted)},
        "/v1/flows": {
            "get": operation(
                ("GET", "/v1/flows"),
                "getFlows",
                "Operation",
                "How the flows stand",
                "Of every scheduled flow: its last good run, what is due, late or failed; and whether somebody watches them.",
                {"200": done("The flows", {JSON: {"schema": ref("Flows")}})},
                (503,),
            )
        },
    }


def _acknowledge(wanted: Json) -> Json:
    note = {"note": said("what is being done about it", {"type": "string", "maxLength": 500})}
    body = {"type": "object", "properties": note, "additionalProperties": False}
    return operation(
        ("POST", "/v1/alerts/{id}/acknowledgements"),
        "acknowledgeAlert",
        "Operation",
        "Take care of an alert",
        "It is not told again while it is open. The first acknowledgement stands.",
        {"200": done("The alert as it is now", {JSON: {"schema": ref("Alert")}})},
        (400, 404, 413, 415, 503),
        parameters=[wanted],
        requestBody={
            "required": True,
            "description": "An object, which may hold a note.",
            "content": {JSON: {"schema": body}},
        },
    )


def operating_schemas() -> Json:
    """Schemas of alerts and flows."""
    event = {"event": TEXT, "at": TIME, "message": nullable(TEXT), "channel": nullable(TEXT), "attempt": nullable(POSITION)}
    return {
        "Alert": record(_alert()),
        "AlertInFull": record({**_alert(), "events": array(record({**event, "by": TEXT, "detail": TEXT}))}),
        "Alerts": record({"alerts": array(ref("Alert"))}),
        "Flow": record(_flow()),
        "Flows": record(
            {
                "as_of": TIME,
                "checker": record(
                    {"last_look": nullable(TIME), "late": FLAG}, description="What watches the flows; late: nobody does at present."
                ),
                "flows": array(ref("Flow")),
            }
        ),
    }


def _alert() -> dict[str, Json]:
    finding = {"column": nullable(TEXT), "metric": TEXT, "value": _VALUE, "warn": _VALUE, "alert": _VALUE, "verdict": TEXT}
    channel = {"channel": TEXT, "message": TEXT, "result": one_of_texts("claimed", "sent", "failed"), "attempt": POSITION}
    return {
        "alert_id": ALERT_ID,
        "state": one_of_texts("open", "acknowledged", "resolved", "replaced"),
        "campaign": said("`platform` where it concerns all of them", TEXT),
        "kind": TEXT,
        "about": said("the flow that it is about, or empty", TEXT),
        "verdict": TEXT,
        "detail": TEXT,
        "since": TIME,
        "until": TIME,
        "rows": COUNT,
        "model_digest": nullable(TEXT),
        "run_id": {"type": "string", "pattern": f"^{UUID_PATTERN}$"},
        "report_key": said("where the report lies in object storage", nullable(TEXT)),
        "impact": said(
            "estimated money over the window, negative for a loss", nullable(record({"amount": {"type": "number"}, "currency": TEXT}))
        ),
        "findings": array(record(finding)),
        "episode": said("how often this condition has begun", POSITION),
        "raised_at": TIME,
        "acknowledged": nullable(record({"by": TEXT, "at": TIME, "note": TEXT})),
        "ended_at": nullable(TIME),
        "channels": said("the last word of each channel on each message", array(record({**channel, "at": TIME, "detail": TEXT}))),
        "runbook": said("what to do", TEXT),
    }


def _flow() -> dict[str, Json]:
    moments = {name: nullable(TIME) for name in ("last_due", "next_due", "last_started", "last_success", "last_failure")}
    return {
        "flow": TEXT,
        "campaign": TEXT,
        "state": one_of_texts("waiting", "ok", "due", "running", "late", "failed"),
        "cron": said("in UTC", TEXT),
        "grace_s": said("seconds that it may take from its due time", COUNT),
        **moments,
        "error": said("code or class of the failure that nobody made good yet", nullable(TEXT)),
        "run_id": said("of that failure", nullable(TEXT)),
    }
