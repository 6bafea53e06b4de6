"""A server and the processes it started, as the kernel sees them: processor time, memory, pausing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MIB = 2**20


def _stat(pid: int) -> list[str] | None:
    """Fields of ``/proc/<pid>/stat`` from the state on; None where the process has ended."""
    try:
        # The program's name stands in brackets and may hold spaces and brackets itself.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def tree(root: int) -> list[int]:
    """``root`` and every living descendant."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))) is not None:
            parents[int(entry)] = int(fields[1])
    found = [root] if root in parents else []
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def cpu_s(root: int) -> float:
    """Seconds of processor time (user and system) that a process tree has used, ended and collected children included."""
    total = 0
    for pid in tree(root):
        fields = _stat(pid)
        if fields is not None:
            total += sum(int(field) for field in fields[11:15])
    return total / TICKS_PER_S


def machine_cpu_s() -> float:
    """Seconds of processor time that the whole machine has used so far, whoever used it; what other guests took counts as used."""
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, Path("/proc/stat").read_text(encoding="ascii").split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_S


@dataclass(frozen=True)
class Memory:
    """Memory of a process tree in MiB: ``rss`` counts what processes share once for each, ``pss`` once in all."""

    rss: float
    pss: float | None


def memory(root: int) -> Memory:
    """What the tree holds now; ``pss`` is None where the kernel does not tell."""
    rss, pss = 0, 0
    for pid in tree(root):
        fields = _stat(pid)
        rss += 0 if fields is None else int(fields[21]) * PAGE_BYTES
        share = _proportional_bytes(pid)
        pss = -1 if share is None or pss < 0 else pss + share
    return Memory(rss / MIB, None if pss < 0 else pss / MIB)


def _proportional_bytes(pid: int) -> int | None:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        # Not every kernel has it, nor lets everybody read it.
        pass
    return None


def pause(root: int) -> None:
    """Stop a process tree: it uses no processor time until `resume`."""
    _send(reversed(tree(root)), signal.SIGSTOP)


def resume(root: int) -> None:
    """Let a paused process tree go on."""
    _send(tree(root), signal.SIGCONT)


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
