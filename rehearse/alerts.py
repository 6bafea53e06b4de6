"""An alert becomes one run of the retrain flow, and people hear of it."""

from __future__ import annotations

import base64
import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from propensity.alerts import Alert, Finding, to_message
from rehearse.deployed import DOMAIN, Deployed, Reply, expect, request, wait_for
from rehearse.scoring import CAMPAIGN
from rehearse.steps import StepFailed

DEPLOYMENT = f"retrain-{CAMPAIGN}"
# Prefect's server and worker are started with the deployment and take their time.
READY_S, STARTED_S = 240.0, 60.0


def alert(deployed: Deployed) -> str:
    """Published twice, as SNS may deliver twice: Prefect has one run of the flow more, and people's queue has one letter more."""
    wait_for(lambda: _registered(deployed), f"the deployment {DEPLOYMENT} in Prefect", timeout_s=READY_S)
    letters = _letters(deployed)
    before = len(_runs(deployed))
    client = deployed.emulator.client("sns")
    topic = deployed.variables("flow")["PROPENSITY_ALERTS_TOPIC_ARN"]
    message = to_message(_drift())
    for _ in range(2):
        client.publish(TopicArn=topic, Message=message)
    wait_for(lambda: len(_runs(deployed)) > before, "a run of the flow", timeout_s=STARTED_S)
    wait_for(lambda: bool(letters()), "the letter to people", timeout_s=STARTED_S)
    time.sleep(1.0)
    started = len(_runs(deployed)) - before
    if started != 1:
        raise StepFailed(f"one run of the flow was expected, there are {started}")
    wait_for(lambda: _tasks(deployed) > 0, "the task in which the worker starts the run", timeout_s=STARTED_S)
    return f"published twice: one run of {DEPLOYMENT} in Prefect, its worker starts {_tasks(deployed)} task, and people were told"


def _drift() -> Alert:
    now = datetime.now(UTC)
    return Alert(
        campaign=CAMPAIGN,
        kind="drift",
        verdict="drift",
        run_id=str(uuid.uuid4()),
        since=now - timedelta(days=7),
        until=now,
        rows=1000,
        model_digest=None,
        report_key=None,
        findings=[Finding("age", "psi", 0.4, 0.1, 0.2, "drift")],
    )


def _letters(deployed: Deployed) -> Any:
    """What people are told from now on: a queue stands for a mailbox; returns a function that reads it."""
    client = deployed.emulator.client
    sqs = client("sqs")
    queue = sqs.create_queue(QueueName=f"mailbox-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = deployed.output("Topics", "People")
    allowed = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**allowed, "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return lambda: sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])


def _registered(deployed: Deployed) -> bool:
    reply = _prefect(deployed, "/deployments/filter", _asked())
    return reply.status == 200 and bool(reply.json())


def _runs(deployed: Deployed) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = expect(_prefect(deployed, "/flow_runs/filter", _asked()), 200).json()
    return found


def _tasks(deployed: Deployed) -> int:
    """Tasks in which flows run. What such a task does is not tried here: it trains a model."""
    return sum(container["name"] == "flow" for task in deployed.tasks(stopped=True) for container in task["containers"])


def _asked() -> dict[str, Any]:
    return {"deployments": {"name": {"any_": [DEPLOYMENT]}}}


def _prefect(deployed: Deployed, path: str, body: object) -> Reply:
    """A request to the Prefect server by the balancer, as the function sends it."""
    auth = base64.b64encode(deployed.variables("prefect")["PREFECT_SERVER_API_AUTH_STRING"].encode()).decode()
    headers = {"Host": f"prefect.{DOMAIN}", "Authorization": f"Basic {auth}", "Content-Type": "application/json"}
    return request(deployed.emulator.port, "POST", f"/api{path}", json.dumps(body).encode(), headers)
