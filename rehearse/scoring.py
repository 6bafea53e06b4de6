"""A model goes live in the deployed system, and customers are scored through the REST API."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from functools import partial
from typing import Any

from faults.samples import make_model, make_rows
from propensity.access import Role, new_key
from propensity.adapters.api_keys import open_key_store
from propensity.adapters.database import Database
from propensity.adapters.promotions import PostgresPromotionLedger
from propensity.campaigns import campaign
from propensity.model import save_package
from propensity.ports import Promotion
from rehearse.deployed import Deployed, Reply, expect, patiently, wait_for
from rehearse.steps import StepFailed

CAMPAIGN = "term-deposit"
PREDICTIONS = f"/v1/campaigns/{CAMPAIGN}/predictions"
# Two callers of the same role: one must not see what is the other's.
CALLERS = {"marketing": Role.MARKETING, "other": Role.MARKETING, "operator": Role.OPERATOR}
# How the id of every customer begins who is sent anywhere: no log may hold it.
CANARY = "canary-5e1f-"
TOO_LARGE_BYTES = 6 * 1024 * 1024 + 1


def alive(deployed: Deployed) -> str:
    """The service answers behind the balancer, by its name within the network."""
    wait_for(lambda: deployed.inside("scoring", "/livez").status == 200, "GET /livez of the scoring service with 200")
    stranger = deployed.inside("nobody", "/livez")
    return f"GET /livez by the balancer: 200; a name that no service has: {stranger.status}"


def make_keys(deployed: Deployed) -> str:
    """Keys of the scoring service, made by the owner of the tables, as an operator makes them."""
    password = deployed.variables("migration")["PROPENSITY_PASSWORD_PROPENSITY_OWNER"]
    store, database = open_key_store(deployed.database_url("propensity_owner", password))
    try:
        for name, role in CALLERS.items():
            deployed.keys[name], stored = new_key(f"rehearsal {name}", role, by="rehearsal", rate_per_s=1000.0)
            patiently(partial(store.add, stored))
    finally:
        database.close()
    return f"{len(CALLERS)} keys"


def promote(deployed: Deployed) -> str:
    """A model package in the bucket, and its promotion in the ledger, with the rights of the application's own role."""
    model = make_model(campaign(CAMPAIGN))
    patiently(lambda: save_package(deployed.store, model))
    told = deployed.variables("scoring")
    database = Database(deployed.database_url("propensity_app", told["PGPASSWORD"]), pool_size=1, timeout_s=20.0)
    try:
        promotion = Promotion(CAMPAIGN, 1, "promote", model.digest, model.digest[:12], None, [], {}, "rehearsal")
        patiently(lambda: PostgresPromotionLedger(database).append(promotion))
    finally:
        database.close()
    wait_for(lambda: deployed.inside("scoring", "/readyz").status == 200, "GET /readyz of the scoring service with 200")
    return f"{CAMPAIGN} {model.digest[:12]} is live"


def customers(count: int) -> bytes:
    """A body with so many made-up customers."""
    return json.dumps(make_rows(campaign(CAMPAIGN), count, seed=5, head=CANARY)).encode()


def without_gateway_key(deployed: Deployed) -> str:
    """API Gateway itself refuses, so that nothing behind it is reached."""
    missing = expect(deployed.call("POST", PREDICTIONS, customers(1), key="marketing", gateway_key=False), 403)
    wrong = expect(deployed.call("POST", PREDICTIONS, customers(1), key="marketing", x_api_key=secrets.token_hex(20)), 403)
    return f"no key: {missing.told()}; a wrong one: {wrong.told()}"


def without_service_key(deployed: Deployed) -> str:
    """With the gateway's key alone the scoring service refuses."""
    return expect(deployed.call("POST", PREDICTIONS, customers(1)), 401).told()


def scored(deployed: Deployed) -> str:
    """Customers come back scored, and what was answered is in the log."""
    key = secrets.token_hex(8)
    first = _score(deployed, key)
    again = _score(deployed, key)
    if first.body != again.body:
        raise StepFailed("the same Idempotency-Key gave another reply")
    if logged(deployed) < 1:
        raise StepFailed("the reply is not in the prediction log")
    answered = first.json()
    return f"{len(answered['predictions'])} customers; the same Idempotency-Key gives the same bytes"


def _score(deployed: Deployed, key: str) -> Reply:
    reply = expect(deployed.call("POST", PREDICTIONS, customers(3), key="marketing", Idempotency_Key=key), 200)
    found = reply.json()
    if [row["customer_id"] for row in found["predictions"]] != [f"{CANARY}{n}" for n in (1, 2, 3)] or not all(
        0 <= row["score"] <= 1 for row in found["predictions"]
    ):
        raise StepFailed(f"three scores were expected, the reply is {reply.body[:300]!r}")
    return reply


def no_customer_in_logs(deployed: Deployed) -> str:
    """Not in what functions and tasks wrote, nor in what the emulator said of them."""
    logs = deployed.emulator.client("logs")
    groups = [group["logGroupName"] for page in logs.get_paginator("describe_log_groups").paginate() for group in page["logGroups"]]
    written = {group: [event["message"] for event in _events(logs, group)] for group in groups}
    folder = deployed.emulator.log.parent
    files = {path.name: [path.read_text(errors="replace")] for path in [deployed.emulator.log, *folder.glob("tasks/*.log")]}
    found = [where for where, messages in {**written, **files}.items() if any(CANARY in message for message in messages)]
    if found:
        raise StepFailed(f"a customer's id stands in {', '.join(found)}")
    if not any(written.values()):
        raise StepFailed("nothing was written to any log group")
    return f"{sum(map(len, written.values()))} lines in {len(groups)} log groups and {len(files)} files"


def _events(logs: Any, group: str) -> Iterator[dict[str, Any]]:
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group):
        yield from page["events"]


def too_large(deployed: Deployed) -> str:
    """What a function cannot take is refused with the way out."""
    reply = expect(deployed.call("POST", PREDICTIONS, b" " * TOO_LARGE_BYTES, key="marketing"), 413)
    if "lists" not in reply.json()["detail"]:
        raise StepFailed("the refusal does not name the way out")
    return reply.told()


def logged(deployed: Deployed) -> int:
    """Requests in the prediction log."""
    database = Database(deployed.database_url("propensity_app", deployed.variables("scoring")["PGPASSWORD"]), pool_size=1, timeout_s=20.0)
    try:
        with database.transaction() as cursor:
            row = cursor.execute("select count(*) from prediction_request").fetchone()
    finally:
        database.close()
    return int(row[0]) if row else 0
