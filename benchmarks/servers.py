"""Servers as processes: started, waited for, paused while others are measured, and ended."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import process_tree
from local.ports import HOST, any_free
from propensity.errors import ProgramFailed

PROJECT = Path(__file__).resolve().parent.parent
GRACE_S = 10.0


@dataclass(frozen=True)
class Launch:
    """How a server is started. ``{port}`` in the command and in the environment's values stands for its port."""

    name: str
    command: tuple[str, ...]
    ready_path: str
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    folder: Path = PROJECT
    wait_s: float = 180.0


@dataclass
class Server:
    """A running server."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    ready_path: str
    wait_s: float
    started_s: float

    def wait_ready(self) -> float:
        """Wait for a 200; returns seconds since the start. Raises ProgramFailed, quoting the end of its log."""
        while time.perf_counter() < self.started_s + self.wait_s:
            if self.process.poll() is not None:
                raise ProgramFailed(f"{self.name} ended with code {self.process.returncode}: {last_line(self.log)}")
            if answers(self.port, self.ready_path):
                return time.perf_counter() - self.started_s
            time.sleep(0.02)
        raise ProgramFailed(f"{self.name} was not ready within {self.wait_s:g} s: {last_line(self.log)}")

    @property
    def cpu_s(self) -> float:
        return process_tree.cpu_s(self.process.pid)

    @property
    def memory(self) -> process_tree.Memory:
        return process_tree.memory(self.process.pid)

    def pause(self) -> None:
        """No processor time until `resume`."""
        process_tree.pause(self.process.pid)

    def resume(self) -> None:
        process_tree.resume(self.process.pid)

    def stop(self) -> None:
        """End it and all that it started."""
        self.resume()
        members = process_tree.tree(self.process.pid)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(GRACE_S)
        for pid in members:
            # What is left belongs to this server: it was in its own session from the start.
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(pid) == self.process.pid:
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()


def start(launch: Launch, logs: Path) -> Server:
    """Start a server on a free port; ready or not is for `Server.wait_ready` to say. Raises ProgramFailed where it cannot be executed."""
    port = any_free()
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{launch.name}.log"
    command = [part.replace("{port}", str(port)) for part in launch.command]
    environ = {name: value.replace("{port}", str(port)) for name, value in launch.environ.items()}
    with log.open("wb") as file:
        try:
            process = subprocess.Popen(
                command, cwd=launch.folder, env=environ, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        except OSError as exc:
            raise ProgramFailed(f"{launch.name} cannot be executed: {exc.strerror}") from exc
    return Server(launch.name, port, process, log, launch.ready_path, launch.wait_s, time.perf_counter())


def answers(port: int, path: str) -> bool:
    """Whether a GET is answered with 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def last_line(log: Path) -> str:
    """The end of a log."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else "(its log is empty)"


def try_all(launches: list[Launch], logs: Path, say: Callable[[str], None]) -> tuple[dict[str, Server], dict[str, str]]:
    """Start every server side by side; those that are ready, and why the others are not."""
    started: dict[str, Server] = {}
    absent: dict[str, str] = {}
    for launch in launches:
        try:
            started[launch.name] = start(launch, logs)
        except ProgramFailed as exc:
            absent[launch.name] = str(exc)
    ready: dict[str, Server] = {}
    for name, server in started.items():
        try:
            say(f"{name}: ready after {server.wait_ready():.1f} s")
            ready[name] = server
        except ProgramFailed as exc:
            absent[name] = str(exc)
            server.stop()
    for name, why in absent.items():
        say(f"{name}: not measured: {why}")
    return ready, absent
