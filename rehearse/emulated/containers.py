"""Containers as processes of this machine: what a task definition says is started for real, under the emulator's own task lifecycle.

The emulator asks Docker's client for containers; `Runtime` answers in its place. A container is the image's program, run by this project's
own Python with exactly the variables and secrets of the task definition. Changed are addresses alone: every task has a loopback address
of its own in place of 0.0.0.0, RDS is the Postgres of the rehearsal, /tmp is a folder of the task.
"""

from __future__ import annotations

import http.client
import itertools
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What an image runs where the task definition says nothing, by the container's name.
ENTRY_POINTS = {"scoring": ["python", "-m", "api"]}
# The image's program, as a module of this project's environment.
_MODULES = {"python": [], "prefect": ["-m", "prefect"]}
_RDS = re.compile(r"(?<=[@/])[a-z0-9.-]+\.rds\.amazonaws\.com:5432\b")
_TLS = re.compile(r"\b(sslmode|ssl)=(require|verify-full|verify-ca)\b")
# Where the emulator tells containers to find itself.
_DOCKER_HOST = "host.docker.internal"
_IDLE = [sys.executable, "-c", "import signal; signal.pause()"]
_STOPPED_BY_SIGNAL = 128
# How long a program may take until it is healthy.
_HEALTHY_S = 180.0


@dataclass(frozen=True)
class Health:
    """How the balancer finds out whether a task can take requests: so many answers with 200, one after the other, so far apart."""

    port: int
    path: str
    interval_s: float
    count: int

    def wait(self, container: Container, address: str) -> bool:
        """True once the container is healthy, False where it has ended or takes too long."""
        latest, healthy = time.monotonic() + _HEALTHY_S, 0
        while container.status == "running" and time.monotonic() < latest:
            healthy = healthy + 1 if self._answers(address) else 0
            if healthy >= self.count:
                return True
            time.sleep(self.interval_s if healthy else 0.2)
        return False

    def _answers(self, address: str) -> bool:
        connection = http.client.HTTPConnection(address, self.port, timeout=5)
        try:
            connection.request("GET", self.path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


class Container:
    """One process, seen as the emulator sees a container of Docker."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], *, cwd: str, address: str, log: Path) -> None:
        self.id = secrets.token_hex(32)
        self.name = name
        self.attrs = {"NetworkSettings": {"Networks": {"rehearsal": {"IPAddress": address}}}}
        self._log = log
        with log.open("ab") as lines:
            self._process = subprocess.Popen(
                list(command), cwd=cwd, env=dict(environ), stdin=subprocess.DEVNULL, stdout=lines, stderr=subprocess.STDOUT
            )

    @property
    def status(self) -> str:
        return "running" if self._process.poll() is None else "exited"

    def reload(self) -> None:
        """The state is looked up whenever it is asked for."""

    def wait(self) -> dict[str, int]:
        code = self._process.wait()
        return {"StatusCode": code if code >= 0 else _STOPPED_BY_SIGNAL - code}

    def stop(self, timeout: float = 5) -> None:
        """SIGTERM, and SIGKILL where that is not heard."""
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def remove(self, **_: object) -> None:
        """Its log stays for people to read."""

    def logs(self, *, follow: bool = False, tail: int | None = None, **_: object) -> Iterator[bytes] | bytes:
        if not follow:
            return b"\n".join(self._log.read_bytes().splitlines()[-(tail or 0) :])
        return self._follow()

    def _follow(self) -> Iterator[bytes]:
        with self._log.open("rb") as lines:
            while True:
                ended = self.status == "exited"
                line = lines.readline()
                if line:
                    yield line
                elif ended:
                    return
                else:
                    time.sleep(0.2)


class Runtime:
    """In place of Docker's client.

    Parameters
    ----------
    python : str
        The Python with the project's packages.
    project : str
        Folder of the project.
    folder : Path
        Where tasks have their /tmp and their logs.
    postgres : str
        ``host:port`` of what stands for RDS.
    environ : mapping of str to str
        What AWS gives every task: credentials, region, and the address of AWS itself.
    idle : collection of str
        Containers that are taken for running and run nothing.
    run : collection of str
        Words of a command with which such a container is started all the same.
    """

    def __init__(
        self,
        *,
        python: str,
        project: str,
        folder: Path,
        postgres: str,
        environ: Mapping[str, str],
        idle: Collection[str] = (),
        run: Collection[str] = (),
    ) -> None:
        self.containers = self
        self.images = _Images()
        self._python, self._project, self._folder, self._postgres = python, project, folder, postgres
        self._environ = dict(environ)
        self._idle, self._run = frozenset(idle), frozenset(run)
        self._known: dict[str, Container] = {}
        self._numbers = itertools.count(10)
        # Of the loopback network, and another one for every emulator of this machine.
        self._network = f"127.{64 + os.getpid() % 60}.{os.getpid() // 60 % 250 + 1}"
        self._lock = threading.Lock()

    def run(
        self,
        image: str,
        *,
        name: str,
        environment: Mapping[str, str],
        command: Sequence[str] | None = None,
        entrypoint: Sequence[str] | None = None,
        labels: Mapping[str, str],
        health: Health | None = None,
        credentials: Mapping[str, str] | None = None,
        **_: object,
    ) -> Container:
        """Start the program of a container; where a balancer checks its health, return once it is healthy.

        The emulator sends requests to every task that runs, healthy or not. Raises RuntimeError for one that does not become healthy.
        """
        del image
        short = labels["com.amazonaws.ecs.container-name"]
        with self._lock:
            number = next(self._numbers)
        address = f"{self._network}.{number % 250 + 1}"
        own = self._folder / f"{short}-{number}"
        own.mkdir(parents=True)
        told = {key: self._here(value, address, own) for key, value in environment.items()}
        # The interpreter is this machine's, wherever it lies.
        interpreter, *words = self._program(short, entrypoint, command)
        program = [interpreter, *(self._here(word, address, own) for word in words)]
        # Prefect's worker answers the container's health check on every interface unless it is told otherwise.
        environ = {
            **self._environ,
            **(credentials or {}),
            "TMPDIR": str(own),
            "HOME": str(own),
            "PREFECT_WORKER_WEBSERVER_HOST": address,
            **told,
        }
        container = Container(name, program, environ, cwd=self._project, address=address, log=self._folder / f"{short}-{number}.log")
        with self._lock:
            self._known[container.id] = container
        if health is not None and program != _IDLE and not health.wait(container, address):
            container.stop()
            raise RuntimeError(f"the container {short} did not become healthy; it ended with {container.wait()['StatusCode']}")
        return container

    def get(self, known_id: str) -> Container:
        """Raises KeyError where no such container was started."""
        return self._known[known_id]

    def stop_all(self) -> None:
        """End whatever still runs, all at once."""
        threads = [threading.Thread(target=container.stop, kwargs={"timeout": 8}) for container in list(self._known.values())]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _program(self, name: str, entry_point: Sequence[str] | None, command: Sequence[str] | None) -> list[str]:
        """What is started. Raises ValueError where nobody said what that would be."""
        if name in self._idle and self._run.isdisjoint(command or ()):
            return _IDLE
        words = [*(entry_point or ENTRY_POINTS.get(name, [])), *(command or [])]
        if not words or words[0] not in _MODULES:
            raise ValueError(f"what the container {name} runs is not known here: add it to ENTRY_POINTS, or let it be idle")
        return [self._python, *_MODULES[words[0]], *words[1:]]

    def _here(self, text: str, address: str, own: Path) -> str:
        """The same text with this machine's addresses and folders."""
        text = text.replace(_DOCKER_HOST, "127.0.0.1")
        text = _TLS.sub(lambda found: f"{found[1]}=disable", _RDS.sub(self._postgres, text))
        if text == "0.0.0.0":  # noqa: S104 - compared, not listened on
            return address
        return f"{own}{text.removeprefix('/tmp')}" if text == "/tmp" or text.startswith("/tmp/") else text  # noqa: S108 - of the container


class _Images:
    """Nothing is pulled: the programs are in the project's own environment."""

    class _Image:
        id = "sha256:" + "0" * 64

        def tag(self, *_: object, **__: object) -> bool:
            return True

    def get(self, *_: object, **__: object) -> _Image:
        return self._Image()

    pull = get_registry_data = get


def register(runtime: Runtime) -> None:
    """Let ECS of the emulator run its containers by ``runtime``, each with the rights of its task's role."""
    from ministack.services import ecs

    options = ecs._build_run_kwargs

    def with_entry_point(cdef: dict[str, Any], td: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        ports = [int(mapping["containerPort"]) for mapping in cdef.get("portMappings") or []]
        more = {
            "entrypoint": cdef.get("entryPoint"),
            "health": _health(ports[0]) if ports else None,
            "credentials": session_of(str(td.get("taskRoleArn", ""))),
        }
        return {**options(cdef, td, *args, **kwargs), **more}

    ecs._build_run_kwargs = with_entry_point
    ecs._get_docker = lambda: runtime


def _health(port: int) -> Health | None:
    """The check of the target group with that port."""
    from ministack.services import alb

    for group in list(alb._tgs.values()):
        if int(group.get("Port", 0)) == port:
            apart, count = float(group["HealthCheckIntervalSeconds"]), int(group["HealthyThresholdCount"])
            return Health(port, str(group["HealthCheckPath"]), apart, count)
    return None


def session_of(role_arn: str) -> dict[str, str]:
    """Credentials of a role, as the agent of ECS would hand them out."""
    from ministack.core.responses import get_account_id
    from ministack.services import sts

    role = role_arn.rsplit("/", 1)[-1]
    key, secret, token = f"ASIA{secrets.token_hex(8).upper()}", secrets.token_hex(20), secrets.token_hex(40)
    session = {
        "Arn": f"arn:aws:sts::{get_account_id()}:assumed-role/{role}/task",
        "UserId": f"{role}:task",
        "SecretAccessKey": secret,
        "SessionToken": token,
    }
    sts.register_session(key, session)
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}
