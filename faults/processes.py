"""Processes that are hurt on purpose: killed, frozen, measured. Only those that the experiments started."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from local import ports


def wait_until(condition: Callable[[], bool], what: str, *, timeout_s: float = 60.0, pause_s: float = 0.02) -> float:
    """Wait; returns the seconds it took. Raises TimeoutError, naming what did not happen."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > timeout_s:
            raise TimeoutError(f"{what} did not happen within {timeout_s:g} s")
        time.sleep(pause_s)
    return time.monotonic() - started


def quiet_port() -> int:
    """A free port below those that the kernel gives to clients: else, while nobody listens, a client can be given the very
    port that it connects to, and talks to itself.
    """
    while True:
        port = random.randint(18_000, 30_000)  # noqa: S311
        if ports.is_free(port):
            return port


def children(pid: int) -> list[int]:
    """Processes whose parent is ``pid``."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def family(pid: int) -> list[int]:
    """The process, frozen so that it makes no more children, and the children it has."""
    os.kill(pid, signal.SIGSTOP)
    return [pid, *children(pid)]


def send(pids: list[int], number: signal.Signals) -> None:
    """Signal each that still lives."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def gone(pids: list[int]) -> bool:
    """Whether none of them lives; one that only waits to be collected does not."""
    return not any(_state(pid) not in ("", "Z", "X") for pid in pids)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def peak_mib(pid: int) -> float:
    """The most memory (RSS) that the process has held since `forget_peak`, in MiB."""
    return _memory_mib(pid, "VmHWM")


def resident_mib(pid: int) -> float:
    """Memory (RSS) that the process holds now, in MiB."""
    return _memory_mib(pid, "VmRSS")


def forget_peak(pid: int) -> None:
    """Begin to look for the peak anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def _memory_mib(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(f"process {pid} has ended")
