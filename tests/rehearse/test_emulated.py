"""What is added to the emulator, as far as it can be tried without one."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import pytest

from rehearse.emulated.containers import Container, Health, Runtime
from rehearse.emulated.stand_ins import STAND_INS, register
from rehearse.emulator import PROJECT, REQUIREMENTS


def test_the_same_stand_in_keeps_its_name_and_another_has_another() -> None:
    handlers: dict[str, dict[str, object]] = {}
    register(handlers)
    assert set(handlers) == set(STAND_INS)
    create = handlers["AWS::EC2::NatGateway"]["create"]
    assert callable(create)
    first, attributes = create("One", {}, "stack")
    assert attributes == {"NatGatewayId": first}
    assert create("One", {"changed": True}, "stack")[0] == first
    assert create("Two", {}, "stack")[0] != first


def test_a_type_that_the_emulator_knows_is_no_stand_in() -> None:
    with pytest.raises(RuntimeError, match="AWS::EC2::EIP"):
        register({"AWS::EC2::EIP": {}})


def runtime(folder: Path) -> Runtime:
    return Runtime(python=sys.executable, project=str(PROJECT), folder=folder, postgres="127.0.0.1:5433", environ={"FROM_AWS": "yes"})


def run(containers: Runtime, program: str, environment: dict[str, str], name: str = "task") -> Container:
    labels = {"com.amazonaws.ecs.container-name": name}
    command = ["python", "-c", program]
    return containers.run("image:tag", name="n", environment=environment, command=command, labels=labels, platform="linux/arm64")


def test_a_container_gets_its_variables_with_this_machines_addresses(tmp_path: Path) -> None:
    told = {
        "URL": "postgresql://app@db-1.abc.eu-central-1.rds.amazonaws.com:5432/propensity?sslmode=verify-full",
        "HOST": "0.0.0.0",
        "CACHE": "/tmp/cache",
        "OTHER": "https://example.org/tmp",
    }
    program = "import os, json; print(json.dumps({k: os.environ[k] for k in ('URL', 'HOST', 'CACHE', 'OTHER', 'FROM_AWS')}))"
    container = run(runtime(tmp_path), program, told)
    assert container.wait() == {"StatusCode": 0}
    logged = container.logs(tail=1)
    assert isinstance(logged, bytes)
    seen = json.loads(logged)
    assert seen["URL"] == "postgresql://app@127.0.0.1:5433/propensity?sslmode=disable"
    assert re.fullmatch(r"127\.\d+\.\d+\.\d+", seen["HOST"])
    assert seen["CACHE"] == f"{tmp_path}/task-10/cache"
    assert seen["OTHER"] == told["OTHER"]
    assert seen["FROM_AWS"] == "yes"


def test_a_container_that_ends_tells_its_code(tmp_path: Path) -> None:
    container = run(runtime(tmp_path), "raise SystemExit(3)", {})
    assert container.wait() == {"StatusCode": 3}
    assert container.status == "exited"


def test_a_container_that_does_not_hear_sigterm_is_killed(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    container = run(runtime(tmp_path), deaf, {})
    latest = time.monotonic() + 30
    while b"deaf" not in container.logs(tail=1) and time.monotonic() < latest:
        time.sleep(0.02)
    container.stop(timeout=0.2)
    assert container.wait() == {"StatusCode": 128 + 9}


def served(folder: Path, program: str, health: Health) -> Container:
    labels = {"com.amazonaws.ecs.container-name": "task"}
    command = ["python", "-c", program]
    return runtime(folder).run("image", name="n", environment={"HOST": "0.0.0.0"}, command=command, labels=labels, health=health)


def test_a_container_that_serves_is_there_once_it_is_healthy(tmp_path: Path) -> None:
    serve = """
import http.server, os
class Slow(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Slow.asked += 1
        self.send_response(503 if Slow.asked < 3 else 200)
        self.end_headers()
    def log_message(self, *_):
        print(f"asked {Slow.asked}", flush=True)
http.server.HTTPServer((os.environ["HOST"], 8123), Slow).serve_forever()
"""
    container = served(tmp_path, serve, Health(8123, "/livez", 0.1, 2))
    logged = container.logs(tail=1)
    container.stop()
    assert logged == b"asked 4"


def test_a_container_that_ends_before_it_is_healthy_never_counts_as_running(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with 4"):
        served(tmp_path, "raise SystemExit(4)", Health(8123, "/livez", 0.1, 2))


def test_an_idle_container_waits_and_one_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    containers = Runtime(python=sys.executable, project=str(PROJECT), folder=tmp_path, postgres="", environ={}, idle=["grafana"])
    container = containers.run("grafana:1", name="n", environment={}, labels={"com.amazonaws.ecs.container-name": "grafana"})
    assert container.status == "running"
    containers.stop_all()
    assert container.status == "exited"
    with pytest.raises(ValueError, match="sidecar"):
        containers.run("other:1", name="n", environment={}, labels={"com.amazonaws.ecs.container-name": "sidecar"})


def test_the_cdk_of_the_rehearsal_is_that_of_the_makefile() -> None:
    locked = json.loads((REQUIREMENTS / "node" / "package-lock.json").read_text(encoding="utf-8"))["packages"]["node_modules/aws-cdk"]
    named = re.search(r"aws-cdk@([\d.]+)", (PROJECT / "Makefile").read_text(encoding="utf-8"))
    assert named is not None
    assert locked["version"] == named[1]
    assert "resolved" not in locked
