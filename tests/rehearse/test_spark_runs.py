"""Job runs of EMR Serverless on this machine, as far as they can be tried without the emulator."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rehearse.emulated import spark_runs
from rehearse.emulated.containers import Runtime
from rehearse.emulator import PROJECT

PATH = "/applications/00abc/jobruns"


@pytest.fixture
def runs(tmp_path: Path) -> spark_runs.SparkRuns:
    runtime = Runtime(python=sys.executable, project=str(PROJECT), folder=tmp_path, postgres="127.0.0.1:1", environ={})
    return spark_runs.SparkRuns(runtime, "")


def ask(runs: spark_runs.SparkRuns, method: str, path: str = PATH, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    status, _, answer = asyncio.run(runs.answer(method, path, {}, json.dumps(body or {}).encode(), {}))
    return status, json.loads(answer)


def asked(token: str) -> dict[str, Any]:
    submit = {"entryPoint": "s3://lake/spark/1/x.py", "entryPointArguments": ["l"]}
    submit["sparkSubmitParameters"] = "--conf spark.archives=s3://lake/spark/1/e.tar.gz#environment --conf spark.driver.cores=4"
    return {"clientToken": token, "name": token, "executionRoleArn": "arn:aws:iam::0:role/Job", "jobDriver": {"sparkSubmit": submit}}


def test_one_run_for_each_client_token_and_one_that_fails_is_said_so(runs: spark_runs.SparkRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_runs, "session_of", lambda role: {"AS": role})
    first, again, other = (ask(runs, "POST", body=asked(token))[1]["jobRunId"] for token in ("a", "a", "b"))
    assert first == again != other
    latest = time.monotonic() + 60
    while "RUNNING" in (states := [run["state"] for run in ask(runs, "GET")[1]["jobRuns"]]) and time.monotonic() < latest:
        time.sleep(0.05)
    # There is no object store here.
    assert states == ["FAILED", "FAILED"]


def test_what_is_not_known_is_refused_and_rights_are_asked_for_the_application(runs: spark_runs.SparkRuns) -> None:
    assert ask(runs, "DELETE")[0] == ask(runs, "POST", "/applications")[0] == 404
    assert spark_runs.resource_of(PATH) == "arn:aws:emr-serverless:eu-central-1:000000000000:/applications/00abc"
    assert spark_runs.resource_of("/applications") is None


def test_the_stand_in_session_does_every_task_by_batches() -> None:
    program = """
import pyarrow as pa
from pyspark.sql import SparkSession
def work(batches):
    for batch in batches:
        yield pa.RecordBatch.from_arrays([pa.array([n * 10 for n in batch.column(0).to_pylist()])], ["tens"])
session = SparkSession.builder.appName("x").getOrCreate()
print([row["tens"] for row in session.range(0, 3, 1, 3).mapInArrow(work, "tens long").collect()])
session.stop()
"""
    path = str(Path(spark_runs.__file__).parent / "spark_path")
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.stdout == "[0, 10, 20]\n", done.stderr
