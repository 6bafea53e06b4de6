"""Starts the process to throw away in which a model package is parsed first, and judges what it answers."""

from __future__ import annotations

import base64
import binascii
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from propensity.errors import ModelDamaged, ProgramFailed

if TYPE_CHECKING:
    from propensity.model import SealedPackage

DEADLINE_S = 30
CPU_S = 10
MEMORY_BYTES = 512 * 2**20
AT_ONCE = 2
# A child made ready and not needed for so long is replaced by a fresh one.
READY_FOR_S = 60.0
_ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from propensity.first_parse import main; main()"


class FirstParse:
    """Refuses a package that ends, stops or bloats the process that parses it. Safe to call from many threads.

    Parameters
    ----------
    cpu_s : int
        Seconds of processor that a package may take.
    deadline_s : int
        The same on the clock, for a machine that is busy.
    memory_bytes : int
        What parsing and scoring may take beyond the libraries themselves.

    A digest that passed is not tried again by this object: it names the bytes.
    """

    def __init__(self, *, cpu_s: int = CPU_S, deadline_s: int = DEADLINE_S, memory_bytes: int = MEMORY_BYTES) -> None:
        self._limits = {"cpu_s": cpu_s, "deadline_s": deadline_s, "memory_bytes": memory_bytes}
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._at_once = threading.Semaphore(AT_ONCE)
        self._passed: set[str] = set()
        self._ready: tuple[subprocess.Popen[bytes], float] | None = None

    def prepare(self) -> None:
        """Start a child now, so that it has imported what it needs by the time a package is there. Does not wait for it."""
        child = _start()
        with self._lock:
            before, self._ready = self._ready, (child, time.monotonic())
        _end(before[0] if before else None)

    def close(self) -> None:
        """End a child that was made ready and never needed."""
        with self._lock:
            before, self._ready = self._ready, None
        _end(before[0] if before else None)

    def __call__(self, package: SealedPackage) -> None:
        """Return where the package can be parsed and scored in the process that asks.

        Raises ModelDamaged with the reason where it cannot, ProgramFailed where no child could be started, which says nothing of
        the package.
        """
        if package.digest in self._passed:
            return
        rows, columns, matrix = package.canary_bytes()
        header = {"rows": rows, "columns": columns, "model_bytes": len(package.model_json), **self._limits}
        order = b"".join((json.dumps(header).encode(), b"\n", matrix, package.model_json))
        with self._at_once:
            answer = self._ask(order)
        package.check_margins(answer)
        self._passed.add(package.digest)

    def _ask(self, order: bytes) -> bytes:
        """The margins that a child answers, as little-endian float32."""
        child = self._take()
        try:
            output, errors = child.communicate(order, timeout=self._deadline_s)
        except subprocess.TimeoutExpired as exc:
            raise ModelDamaged(f"the model package was not parsed and scored within {self._deadline_s} s in a process of its own") from exc
        finally:
            _end(child)
        return _margins(child.returncode, output, errors)

    def _take(self) -> subprocess.Popen[bytes]:
        with self._lock:
            ready, self._ready = self._ready, None
        if ready is not None and ready[0].poll() is None and time.monotonic() < ready[1] + READY_FOR_S:
            return ready[0]
        _end(ready[0] if ready else None)
        return _start()


def _start() -> subprocess.Popen[bytes]:
    """A fresh interpreter, never a fork of this one: it shares no memory, no file and no variable with the service."""
    paths = [str(_ROOT), *(os.path.abspath(path) for path in sys.path)]
    # Only where shared libraries lie is passed on; one thread: more would only take address space.
    environ = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environ |= {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ,
            cwd="/",
            start_new_session=True,
        )
    except OSError as exc:
        raise ProgramFailed(f"no process could be started to parse a model package in: {exc.strerror or type(exc).__name__}") from exc


def _end(child: subprocess.Popen[bytes] | None) -> None:
    if child is None:
        return
    if child.poll() is None:
        child.kill()
        child.wait()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None and not pipe.closed:
            with suppress(BrokenPipeError):
                pipe.close()


def _margins(returncode: int, output: bytes, errors: bytes) -> bytes:
    if returncode < 0:
        raise ModelDamaged(f"the model package {_how(-returncode)}")
    if returncode:
        last = errors.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise ProgramFailed(f"the process in which a model package is parsed first ended with code {returncode}: {last[:200]}")
    try:
        answer: dict[str, Any] = json.loads(output)
        if "refused" in answer:
            raise ModelDamaged(str(answer["refused"]))
        return base64.b64decode(answer["margins"], validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error) as exc:
        raise ModelDamaged("the process that parsed the model package first did not answer as it should") from exc


def _how(number: int) -> str:
    if number in (signal.SIGXCPU, signal.SIGALRM):
        return "took more time than the process that parses it first is given: it hangs, or it is far too large"
    return f"ended the process that parsed it first ({signal.Signals(number).name})"
