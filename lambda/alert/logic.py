"""What an alert asks for. Each of its two effects is written down once it is done, so that a second delivery repeats neither.

Retraining is asked for under a key of the campaign and the day, which Prefect and ECS remember themselves: drift and worse outcomes of one
day start one run. A letter has no such key: where the function is killed between sending it and writing that down, it is sent twice.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from propensity.alerts import RAISED, RETRAINED, Alert, letter, subject
from propensity.errors import Malformed, NotFound, PropensityError, StoreError

from ..exchange import Answer, Outgoing

FLOW = "retrain"


class Markers(Protocol):
    """What the alert needs of the object store."""

    def create(self, key: str, data: bytes) -> bool: ...
    def get(self, key: str) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Dealt:
    """What became of an alert: the run that retrains, where there is one, and what still fails."""

    run: str | None
    problems: tuple[PropensityError, ...]


def messages_in(event: dict[str, Any]) -> list[str]:
    """The messages of an SNS event. Raises Malformed for another event."""
    try:
        return [str(record["Sns"]["Message"]) for record in event["Records"]]
    except (KeyError, TypeError) as exc:
        raise Malformed("the event is none of SNS") from exc


def deal(alert: Alert, *, store: Markers, retrain: Callable[[Alert], str], tell: Callable[[str, str], str]) -> Dealt:
    """Start retraining where that may mend it, and tell people, each unless it was done before, and the second also where the first fails.

    Only an alert that is new starts retraining: a reminder and the end of one are told, and so is what is wrong with a flow.

    Parameters
    ----------
    retrain : callable
        Starts the run of `run_key` and returns its id; again the same id however often it is called.
    tell : callable
        Sends a letter, with subject and text, and returns its id.
    """
    problems: list[PropensityError] = []
    run: str | None = None
    said = ""
    try:
        if alert.kind in RETRAINED and alert.occasion == RAISED:
            run, said = _retrained(alert, store, retrain)
    except PropensityError as exc:
        problems.append(exc)
        said = "Retraining could not be started yet; it is tried again, and the queue of dead letters has it where that fails, too."
    try:
        name = "letter" if alert.occasion == RAISED else f"letter-{alert.occasion}"
        once(store, marker(alert, name), lambda: tell(subject(alert), letter(alert, said)))
    except PropensityError as exc:
        problems.append(exc)
    return Dealt(run, tuple(problems))


def _retrained(alert: Alert, store: Markers, retrain: Callable[[Alert], str]) -> tuple[str, str]:
    run = once(store, marker(alert, "retraining"), lambda: retrain(alert))
    return run, f"Retraining was started: run {run}. What it finds decides whether the live model is replaced."


def once(store: Markers, key: str, do: Callable[[], str]) -> str:
    """The result of ``do``, or what it was when it was done before."""
    try:
        return str(json.loads(store.get(key))["result"])
    except NotFound:
        result = do()
        store.create(key, json.dumps({"result": result}).encode())
        return result


def marker(alert: Alert, what: str) -> str:
    """Where it is written down that this was done about an alert."""
    return f"alerts/{alert.campaign}/{alert.run_id}/{what}.json"


def run_key(alert: Alert) -> str:
    """Under which retraining is asked for: once a campaign and day."""
    return f"alert/{alert.campaign}/{alert.day}"


def task_token(alert: Alert) -> str:
    """The same as a client token of ECS, which has at most 64 characters."""
    return f"retrain-{hashlib.sha256(run_key(alert).encode()).hexdigest()[:40]}"


def deployment_name(alert: Alert) -> str:
    """Of the flow that retrains the campaign, as `propensity.schedules` names it."""
    return f"{FLOW}-{alert.campaign}"


def find_deployment(alert: Alert, secret: str) -> Outgoing:
    """The request that asks Prefect for the deployment's id."""
    return Outgoing("GET", f"/api/deployments/name/{FLOW}/{quote(deployment_name(alert))}", _headers(secret))


def start_run(alert: Alert, deployment_id: str, secret: str) -> Outgoing:
    """The request that starts a run of the deployment, or finds the one that was started under the same key."""
    body = {"idempotency_key": run_key(alert), "parameters": {"actor": "alert"}, "tags": ["alert"]}
    headers = {**_headers(secret), "Content-Type": "application/json"}
    return Outgoing("POST", f"/api/deployments/{quote(deployment_id, safe='')}/create_flow_run", headers, json.dumps(body).encode())


def id_in(answer: Answer) -> str:
    """The id of what Prefect answers. Raises StoreError for any other answer; its text is not repeated."""
    if answer.status not in (200, 201):
        raise StoreError(f"Prefect answered {answer.status}")
    try:
        return str(json.loads(answer.body)["id"])
    except (ValueError, KeyError, TypeError) as exc:
        raise StoreError("Prefect's answer has no id") from exc


def _headers(secret: str) -> dict[str, str]:
    return {"Accept": "application/json", "Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"}
