"""Decodes Parquet and compressed Arrow in a process that may die of it: the decoders that exist abort, crash or ask for gigabytes on
damaged files, and would take the service with them. A process decodes one file; the next one is started ahead of time.
"""

from __future__ import annotations

import atexit
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Collection
from functools import cache
from pathlib import Path

from propensity.arrow_child import NOT_READABLE, TOO_LARGE, TOO_MANY_ROWS, names_line, names_of
from propensity.errors import Malformed, ProgramFailed, TooLarge

MAX_BYTES = 24 * 2**20
MEMORY_BYTES = 256 * 2**20
CPU_S, WALL_S = 5, 15
AT_ONCE = 2
_CHILD = Path(__file__).with_name("arrow_child.py")
_NO_PACKAGE = "Parquet and compressed Arrow need the package arro3-io, which is not installed"


def convert(kind: str, data: bytes, wanted: Collection[str], max_rows: int, subject: str) -> tuple[tuple[str, ...], bytes]:
    """Names of all columns of a ``parquet`` or ``ipc`` file, and its wanted columns as a plain Arrow IPC stream.

    Raises
    ------
    Malformed
        The decoder refused the file, or did not survive it.
    TooLarge
        More rows, or more bytes once decoded, than allowed.
    ProgramFailed
        The process could not be started.
    """
    request = b"%s\n%d\n%s%s" % (kind.encode(), max_rows, names_line(sorted(wanted)), data)
    code, out = _PROCESSES.run(request, subject)
    if code == TOO_MANY_ROWS:
        raise TooLarge(
            f"{subject} has more than {max_rows:,} rows, and one request takes no more: send them in parts, "
            "or score a file: propensity score FILE"
        )
    if code == TOO_LARGE:
        raise TooLarge(f"{subject} has columns of more than {MAX_BYTES // 2**20} MiB once decoded")
    if code == NOT_READABLE or code < 0:
        raise Malformed(f"{subject} is not readable: it is damaged, encrypted, or decodes to more than {MEMORY_BYTES // 2**20} MiB")
    header, _, stream = out.partition(b"\n")
    if code or not stream:
        raise ProgramFailed("the process that decodes Parquet and compressed Arrow failed")
    return tuple(names_of(header)), stream


class _Processes:
    """Starts processes, one ahead."""

    def __init__(self) -> None:
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._spare: subprocess.Popen[bytes] | None = None

    def run(self, request: bytes, subject: str) -> tuple[int, bytes]:
        """Exit code and output of a process of its own. Raises Malformed where it takes too long, ProgramFailed where there is none."""
        with self._turns:
            with self._lock:
                process, self._spare = self._spare, None
            if process is None or process.poll() is not None:
                process = self._start()
            try:
                out, _ = process.communicate(request, timeout=WALL_S)
            except subprocess.TimeoutExpired as exc:
                process.kill()
                process.communicate()
                raise Malformed(f"{subject} took longer than {WALL_S} s to decode: it is damaged or too large") from exc
            with self._lock:
                if self._spare is None:
                    self._spare = self._start()
        return process.returncode, out

    def _start(self) -> subprocess.Popen[bytes]:
        numbers = map(str, (MAX_BYTES, MEMORY_BYTES, CPU_S))
        # Isolated, without site packages, and without this process's environment: it needs none of them.
        command = [sys.executable, "-I", "-S", str(_CHILD), _packages(), *numbers]
        try:
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={})
        except OSError as exc:
            raise ProgramFailed("the process that decodes Parquet and compressed Arrow could not be started") from exc

    def close(self) -> None:
        """End the one that waits."""
        with self._lock:
            process, self._spare = self._spare, None
        if process is not None:
            process.kill()
            process.communicate()


_PROCESSES = _Processes()
atexit.register(_PROCESSES.close)


@cache
def _packages() -> str:
    """The folder that arro3 is installed in. Raises ProgramFailed where it is not."""
    try:
        found = importlib.util.find_spec("arro3.io")
    except ModuleNotFoundError:
        found = None
    if found is None or found.origin is None:
        raise ProgramFailed(_NO_PACKAGE)
    return str(Path(found.origin).parents[2])
