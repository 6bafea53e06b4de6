"""The real platform, started and stopped by the real commands."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from local.environment import PROJECT, prefect_auth
from local.postgres import EmbeddedPostgres
from local.processes import Processes, answers

pytestmark = pytest.mark.slow

PROGRAMS = {"api", "health", "lists", "mlflow", "prefect", "schedules"}


def command(module: str, home: Path) -> tuple[list[str], dict[str, str]]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PROPENSITY_")}
    return [sys.executable, "-m", module], {**kept, "PROPENSITY_HOME": str(home), "YEAR": "no", "PYTHONPATH": str(PROJECT)}


def run(module: str, home: Path) -> str:
    args, environ = command(module, home)
    done = subprocess.run(args, env=environ, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def stopped_home(home: Path) -> Iterator[Path]:
    yield home
    run("local.down", home)
    EmbeddedPostgres(home).remove()


def scheduled_runs(home: Path, url: str) -> int:
    secret = base64.b64encode(prefect_auth(home).encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {secret}"}
    request = Request(f"{url}/api/flow_runs/count", data=b"{}", headers=headers)
    with build_opener(ProxyHandler({})).open(request, timeout=10) as reply:
        return int(json.load(reply))


def test_the_platform_comes_up_once_and_goes_down_once(stopped_home: Path) -> None:
    home = stopped_home
    run("local.up", home)
    processes = Processes(home)
    running = {found.name: found for found in processes.all_running()}
    assert set(running) == PROGRAMS
    assert answers(running["api"].page + "/livez")
    assert answers(running["mlflow"].page + "/health")

    # Health checks pass with a scheduler that does nothing: the runs themselves have to be there.
    deadline = time.monotonic() + 120
    while scheduled_runs(home, running["prefect"].page) == 0:
        assert time.monotonic() < deadline, "Prefect created no scheduled run"
        time.sleep(1)

    again = run("local.up", home)
    assert {found.name: found for found in processes.all_running()} == running
    assert all(found.page in again for found in running.values())

    run("local.down", home)
    assert processes.all_running() == []
    assert not EmbeddedPostgres(home).running()
    assert "nothing" in run("local.down", home)


def test_an_interrupted_start_leaves_nothing_running(stopped_home: Path) -> None:
    # SIGTERM takes the way of Ctrl-C, and unlike that is not ignored where the tests themselves run in the background.
    args, environ = command("local.up", stopped_home)
    with subprocess.Popen(args, env=environ, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as starting:
        processes = Processes(stopped_home)
        while processes.running("mlflow") is None:
            assert starting.poll() is None
            time.sleep(0.05)
        starting.send_signal(signal.SIGTERM)
        assert starting.wait(timeout=120) == 130
    assert processes.all_running() == []
    assert not EmbeddedPostgres(stopped_home).running()
