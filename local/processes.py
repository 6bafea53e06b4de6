"""Programs that keep running after the command that started them: started, watched, and stopped without touching any other."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from local import pids, ports
from local.state import make_home, read_state, write_state
from propensity.errors import ProgramFailed, SettingsInvalid

GRACE_S = 20.0  # the scoring service answers what it accepted before it ends
POLL_S = 0.2
LOG_LINES = 8


@dataclass(frozen=True)
class Program:
    """A program to keep running.

    Attributes
    ----------
    name, title : str
        Name of its files, and what people call it.
    command : tuple of str
        Without secrets: every user of the machine can read it.
    environ : mapping
        Its whole environment; may hold secrets.
    port : int or None
        Where it listens.
    page : str
        Address to look at.
    ready : callable or None
        Given the second of its start (Unix time), says whether it can be used.
    wait_s : float
        How long it may take to become ready.
    """

    name: str
    title: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)
    port: int | None = None
    page: str = ""
    ready: Callable[[float], bool] | None = None
    wait_s: float = 120.0


@dataclass(frozen=True)
class Running:
    """A living program: what was recorded when it was started."""

    name: str
    title: str
    pid: int
    identity: str
    started_at: float
    port: int | None
    page: str
    log: Path


class Processes:
    """The programs of one state folder: ``processes/<name>.json``, ``logs/<name>.log``, ``ports.json``."""

    def __init__(self, home: Path) -> None:
        self.home = make_home(home)

    def start(self, program: Program) -> Running:
        """Start a program, or find it running already; ready or not is for `wait_ready` to say.

        Raises
        ------
        SettingsInvalid
            Its port is taken by somebody else.
        ProgramFailed
            It cannot be executed.
        """
        found = self.running(program.name)
        if found is not None:
            return found
        if program.port is not None and not ports.is_free(program.port):
            raise SettingsInvalid(port_taken(program.title, program.port))
        log = self._log(program.name)
        log.parent.mkdir(mode=0o700, exist_ok=True)
        self._record_file(program.name).parent.mkdir(mode=0o700, exist_ok=True)
        # Ctrl-C between the start and its record would leave a program that nobody knows of.
        with _uninterrupted():
            return self._spawn(program, log)

    def wait_ready(self, programs: Sequence[Program]) -> None:
        """Wait until every program is ready, all at the same time. Raises ProgramFailed for the first that is not."""
        begun = time.monotonic()
        waiting = list(programs)
        while waiting:
            waiting = [program for program in waiting if not self._is_ready(program, waited_s=time.monotonic() - begun)]
            if waiting:
                time.sleep(POLL_S)

    def _is_ready(self, program: Program, *, waited_s: float) -> bool:
        found = self.running(program.name)
        if found is not None and (program.ready is None or program.ready(found.started_at)):
            return True
        if found is not None and waited_s <= program.wait_s:
            return False
        happened = "ended while it started" if found is None else f"was not ready after {program.wait_s:.0f} s"
        raise ProgramFailed(f"{program.title} {happened}; its log {self._log(program.name)} ends:\n{self._log_end(program.name)}")

    def running(self, name: str) -> Running | None:
        """What was started under this name and lives; None where it ended or the number now belongs to another process."""
        state = read_state(self._record_file(name))
        if not state or pids.identity(state["pid"]) != state["identity"]:
            return None
        return Running(**{**state, "log": self._log(name)})

    def all_running(self) -> list[Running]:
        """Every living program of this home, by name."""
        names = sorted(p.stem for p in (self.home / "processes").glob("[!.]*.json"))
        return [found for name in names if (found := self.running(name)) is not None]

    def stop(self, names: Sequence[str]) -> list[str]:
        """Stop these programs at the same time; return the names of those that ran."""
        stopped = []
        threads = []
        for name in names:
            found = self.running(name)
            if found is None:
                self._record_file(name).unlink(missing_ok=True)
                continue
            stopped.append(name)
            threads.append(threading.Thread(target=self._end, args=(found,)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return stopped

    def choose_port(self, name: str, title: str, preferred: int, asked: int | None = None) -> int:
        """The port asked for, else the one used last, the preferred one, or any that is free; remembered for the next time.

        Raises
        ------
        SettingsInvalid
            The port asked for is taken.
        """
        found = self.running(name)
        if found is not None and found.port is not None:
            return found.port
        if asked is not None:
            if not ports.is_free(asked):
                raise SettingsInvalid(port_taken(title, asked))
            return asked
        known: dict[str, Any] = read_state(self.home / "ports.json")
        taken = {port for other, port in known.items() if other != name}
        wishes = [port for port in (known.get(name), preferred) if port and port not in taken and ports.is_free(port)]
        known[name] = wishes[0] if wishes else ports.any_free()
        write_state(self.home / "ports.json", known)
        chosen: int = known[name]
        return chosen

    def _spawn(self, program: Program, log: Path) -> Running:
        if log.exists():
            log.replace(log.with_suffix(".previous.log"))  # what is quoted must be of this start
        with log.open("ab") as output:
            try:
                child = subprocess.Popen(
                    program.command,
                    env=dict(program.environ),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C in the terminal is not for it, and its workers can be ended with it
                )
            except OSError as exc:
                raise ProgramFailed(f"{program.title} cannot be started: {program.command[0]}: {exc.strerror}") from exc
        # Collects the child when it ends, so that it does not stay a zombie while this command lives.
        threading.Thread(target=child.wait, daemon=True).start()
        # A child that has already ended has no identity; `wait_ready` says so with its log.
        state: dict[str, Any] = {
            "name": program.name,
            "title": program.title,
            "pid": child.pid,
            "identity": pids.identity(child.pid) or "ended",
            "started_at": time.time(),
            "port": program.port,
            "page": program.page,
        }
        write_state(self._record_file(program.name), state)
        return Running(**{**state, "log": log})

    def _end(self, found: Running) -> None:
        pids.end(found.pid, found.identity, grace_s=GRACE_S)
        self._record_file(found.name).unlink(missing_ok=True)

    def _record_file(self, name: str) -> Path:
        return self.home / "processes" / f"{name}.json"

    def _log(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"

    def _log_end(self, name: str) -> str:
        try:
            lines = self._log(name).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except FileNotFoundError:
            lines = []
        return "\n".join(f"  {line}" for line in lines[-LOG_LINES:]) or "  (empty)"


def port_taken(title: str, port: int) -> str:
    """One sentence for people about a port that somebody else uses."""
    return f"port {port}, meant for {title}, is taken by another program: end that program, or set another port (see `make help`)"


def answers(url: str, *, timeout_s: float = 2.0) -> bool:
    """True where the address answers 200. No proxy is asked: it is this machine."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=timeout_s) as reply:
            return bool(reply.status == 200)
    except (URLError, OSError, ValueError):
        return False


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C and a polite kill until the block is done. Only the main thread gets them at all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []

    def hold(number: int, _: FrameType | None) -> None:
        held.append(number)

    before = {number: signal.signal(number, hold) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)
        for late in held:
            os.kill(os.getpid(), late)
