"""A list that goes to Spark: by the real function, the real request to EMR Serverless and the real job, without Spark itself."""

from __future__ import annotations

import io
import json
import secrets
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from propensity.adapters.spark_jobs import ARCHIVE, SCRIPT
from rehearse.deployed import Deployed, expect, fetch, wait_for
from rehearse.emulator import PROJECT
from rehearse.lists import CUSTOMERS, GROUP, LISTS, SCORED_S, list_file, post_form
from rehearse.scoring import logged
from rehearse.steps import StepFailed

STAND_IN = (
    "EMR Serverless job runs: driver and executors are one process of this machine with the rights of the job's role, a stand-in session "
    "takes Spark's place, and lists from 1 KiB count as large for this step"
)
FROM = "PROPENSITY_SPARK_FROM_BYTES"


def large_list(deployed: Deployed, tag: str) -> str:
    """Exactly one job, whatever events say; the call sheet is whole, and every prediction is in the log."""
    _publish(deployed, tag)
    file, before = list_file(CUSTOMERS), (logged(deployed), len(deployed.tasks(GROUP, stopped=True)))
    with _from_bytes(deployed, 1024) as application:
        body = json.dumps({"format": "csv", "size_bytes": len(file)}).encode()
        made = expect(deployed.call("POST", LISTS, body, key="marketing", Idempotency_Key=secrets.token_hex(8)), 201).json()
        here, started = f"/v1/lists/{made['list_id']}", time.monotonic()
        expect(post_form(made["upload"]["url"], made["upload"]["fields"], file), 200, 201, 204)

        def state() -> str:
            return str(expect(deployed.call("GET", here, key="marketing"), 200).json()["state"])

        wait_for(lambda: state() in ("done", "failed"), "the end of the list", timeout_s=SCORED_S)
        took_s, ended = time.monotonic() - started, state()
        runs = deployed.emulator.client("emr-serverless").list_job_runs(applicationId=application)["jobRuns"]
    if ended != "done" or len(runs) != 1 or len(deployed.tasks(GROUP, stopped=True)) != before[1]:
        raise StepFailed(f"the list ended as {ended}, with {len(runs)} job runs")
    url = expect(deployed.call("GET", f"{here}/result", key="marketing"), 303).json()["url"]
    rows = len(expect(fetch(url), 200).body.decode("utf-8-sig").strip().splitlines()) - 1
    if rows != CUSTOMERS or logged(deployed) <= before[0]:
        raise StepFailed(f"the call sheet has {rows} rows for {CUSTOMERS} customers, the log {logged(deployed) - before[0]} requests more")
    return f"{CUSTOMERS} customers, one job run, no task, {took_s:.0f} s from the upload to the result"


def _publish(deployed: Deployed, tag: str) -> None:
    """Where images/spark.sh puts it. The packages are an empty archive here: it takes minutes to build, and nothing would unpack it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz"):
        pass
    for name, data in ((ARCHIVE, packed.getvalue()), (SCRIPT, (PROJECT / "flows" / SCRIPT).read_bytes())):
        deployed.store.put(f"spark/{tag}/{name}", data)


@contextmanager
def _from_bytes(deployed: Deployed, size: int) -> Iterator[str]:
    """Let lists of this size count as large for a while; the id of the application that they go to."""
    client = deployed.emulator.client("lambda")
    found = [one for page in client.get_paginator("list_functions").paginate() for one in page["Functions"] if FROM in _told(one)]
    if len(found) != 1:
        raise StepFailed(f"one function was expected to start jobs on Spark, there are {len(found)}")
    name, told = found[0]["FunctionName"], _told(found[0])
    client.update_function_configuration(FunctionName=name, Environment={"Variables": {**told, FROM: str(size)}})
    try:
        yield told["PROPENSITY_SPARK_APPLICATION_ID"]
    finally:
        client.update_function_configuration(FunctionName=name, Environment={"Variables": told})


def _told(function: dict[str, Any]) -> dict[str, str]:
    return dict(function.get("Environment", {}).get("Variables", {}))
