"""The scoring service as a process of its own, and how to wait for things."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return True
    return False


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


@contextmanager
def process(tmp_path: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """``python -m api`` as its own process."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PROPENSITY_")}
    given = {
        "PROPENSITY_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/propensity",
        "PROPENSITY_STORE_URL": tmp_path.as_uri(),
        "PROPENSITY_API_PORT": "0",
        **settings,
    }
    command = [sys.executable, "-m", "api"]
    with (
        (tmp_path / "stderr.txt").open("w", encoding="utf-8") as log,
        subprocess.Popen(command, cwd=ROOT, env={**environ, **given}, stdout=subprocess.PIPE, stderr=log, text=True) as child,
    ):
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def fetch(port: int, path: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    reply = connection.getresponse()
    found = reply.status, json.loads(reply.read())
    connection.close()
    return found


def port_of(child: subprocess.Popen[str]) -> int:
    """The port that the first line names."""
    assert child.stdout is not None
    return int(child.stdout.readline().strip().rpartition(":")[2])
