"""Which process is behind a number: a process id alone is reused by the kernel."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path


def identity(pid: int) -> str | None:
    """A text that no other process of this machine ever has; None where no such process lives.

    It is made of the start time and the boot. A process that ended but was not yet collected by its parent counts as ended.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The program's name stands in brackets and may hold spaces and brackets itself.
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"
    shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return None if not shown or shown[0].startswith("Z") else " ".join(shown[1:])


def program(pid: int) -> str:
    """Name of the program that the process runs; empty where no such process lives."""
    comm = Path(f"/proc/{pid}/comm")
    if comm.exists():
        return comm.read_text(encoding="utf-8", errors="replace").strip()
    shown = subprocess.run(["ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.strip()
    return Path(shown).name


def end(pid: int, expected: str, *, grace_s: float) -> bool:
    """Ask the process and its group to end, insist after ``grace_s`` seconds; say whether it was there.

    Nothing is sent where the number meanwhile belongs to a process with another identity.
    """
    if identity(pid) != expected:
        return False
    _signal(pid, signal.SIGTERM)
    if not wait_gone(pid, expected, timeout_s=grace_s):
        _signal(pid, signal.SIGKILL)
        wait_gone(pid, expected, timeout_s=grace_s)
    return True


def wait_gone(pid: int, expected: str, *, timeout_s: float) -> bool:
    """Wait until the process has ended; False where it still lives after ``timeout_s`` seconds."""
    deadline = time.monotonic() + timeout_s
    while identity(pid) == expected:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    """Signal the group where the process leads one, so that its workers end with it; else the process alone."""
    try:
        if os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return
