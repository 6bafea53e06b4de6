"""GET flows: how every flow of every campaign stands, from the schedules and the records of their runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Response

from api.replies import json_reply
from api.services import Services
from propensity.flow_health import CHECKER, Beat, FlowState, states


def get_flows(services: Services) -> Response:
    """Each flow with its last good run and what is due; and whether anybody watches them."""
    now, found = states(services.heartbeats)
    watching = next((state for state in found if state.schedule.flow == CHECKER), None)
    return json_reply(
        {
            "as_of": now.isoformat(),
            "checker": {
                "last_look": None if watching is None else _at(watching.beats.get("succeeded")),
                "late": watching is None or watching.overdue,
            },
            "flows": [_flow(state) for state in found if state.schedule.flow != CHECKER],
        }
    )


def _flow(state: FlowState) -> dict[str, Any]:
    schedule, failed = state.schedule, state.failed_run
    return {
        "flow": schedule.flow,
        "campaign": schedule.campaign,
        "state": state.state,
        "cron": schedule.cron,
        "grace_s": schedule.grace_s,
        "last_due": _time(state.last_due),
        "next_due": _time(state.next_due),
        "last_started": _at(state.beats.get("started")),
        "last_success": _at(state.beats.get("succeeded")),
        "last_failure": _at(state.beats.get("failed")),
        "error": None if failed is None else str(failed.detail.get("error", "error")),
        "run_id": None if failed is None else failed.run_id,
    }


def _at(beat: Beat | None) -> str | None:
    return None if beat is None else beat.at.isoformat()


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
