"""Job runs of EMR Serverless, which the emulator lacks: each is one process of this machine, and one for each client token.

Requests are those of the platform's own code, their rights are evaluated as everywhere, and the job has the rights of its role. Spark
itself is not there: `spark_path` stands in for it.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from pathlib import Path
from typing import Any

from rehearse.emulated.containers import Container, Runtime, session_of

SERVICE = "emr-serverless"
_RUNS = re.compile(r"/applications/([0-9a-z]+)/jobruns")
_CONF = re.compile(r"--conf (\S+?)=(\S+)")
_HERE = Path(__file__).resolve().parent
Reply = tuple[int, dict[str, str], bytes]


class SparkRuns:
    """Answers ``StartJobRun`` and ``ListJobRuns``."""

    def __init__(self, runtime: Runtime, python_path: str) -> None:
        self._runtime = runtime
        self._python_path = python_path
        self._started: dict[str, tuple[dict[str, Any], Container]] = {}
        self._lock = threading.Lock()

    async def answer(self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]) -> Reply:
        del headers, query
        found = _RUNS.fullmatch(path.rstrip("/"))
        if found is None or method not in ("GET", "POST"):
            return _json(404, {"__type": "ResourceNotFoundException", "message": f"{method} {path} is not known here"})
        if method == "GET":
            return _json(200, {"jobRuns": [_summary(run, container) for run, container in self._started.values()]})
        asked = json.loads(body)
        with self._lock:
            if asked["clientToken"] not in self._started:
                self._started[asked["clientToken"]] = self._start(found[1], asked)
        run = self._started[asked["clientToken"]][0]
        return _json(200, {name: run[name] for name in ("applicationId", "arn")} | {"jobRunId": run["id"]})

    def _start(self, application: str, asked: dict[str, Any]) -> tuple[dict[str, Any], Container]:
        submit = asked["jobDriver"]["sparkSubmit"]
        archive = dict(_CONF.findall(submit["sparkSubmitParameters"]))["spark.archives"].partition("#")[0]
        driver = ["python", "-m", "rehearse.spark_driver", submit["entryPoint"], archive, *submit["entryPointArguments"]]
        identifier = secrets.token_hex(8)
        container = self._runtime.run(
            "",
            name=identifier,
            environment={"PYTHONPATH": f"{_HERE / 'spark_path'}:{self._python_path}"},
            command=driver,
            labels={"com.amazonaws.ecs.container-name": "spark"},
            credentials=session_of(asked["executionRoleArn"]),
        )
        arn = f"arn:aws:emr-serverless:eu-central-1:000000000000:/applications/{application}/jobruns/{identifier}"
        told = {
            "applicationId": application,
            "id": identifier,
            "arn": arn,
            "name": asked["name"],
            "executionRole": asked["executionRoleArn"],
        }
        return told | {"createdAt": time.time()}, container


def _summary(run: dict[str, Any], container: Container) -> dict[str, Any]:
    state = "RUNNING" if container.status == "running" else "SUCCESS" if container.wait()["StatusCode"] == 0 else "FAILED"
    return {**run, "updatedAt": time.time(), "createdBy": run["executionRole"], "state": state, "stateDetails": "", "releaseLabel": "none"}


def _json(status: int, told: dict[str, Any]) -> Reply:
    return status, {"Content-Type": "application/json"}, json.dumps(told).encode()


def register(runtime: Runtime, python_path: str) -> None:
    """Add the service to the emulator, and what its requests ask for to the evaluation of rights. Raises RuntimeError where it has it."""
    from ministack import app
    from ministack.core import iam_actions

    if SERVICE in app.SERVICE_HANDLERS:
        raise RuntimeError(f"the emulator knows {SERVICE}: take it from the stand-ins")
    app.SERVICE_HANDLERS[SERVICE] = SparkRuns(runtime, python_path).answer
    iam_actions.SERVICE_TO_IAM_NAMESPACE[SERVICE] = SERVICE
    iam_actions._BOTOCORE_SERVICE_MAP[SERVICE] = [SERVICE]


def resource_of(path: str) -> str | None:
    """The application that a request is about."""
    found = _RUNS.fullmatch(path.rstrip("/"))
    return found and f"arn:aws:emr-serverless:eu-central-1:000000000000:/applications/{found[1]}"
