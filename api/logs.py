"""Logs as JSON, one object a line. Never a customer's value: exceptions are logged by type and place, not by message.

A request only puts its line into memory; a thread writes what has gathered. So a log that nobody reads, a full disk or a slow pipe
never holds up a request. The price: lines beyond `MAX_LINES` are dropped and counted, and a process that is killed at once takes the lines
of its last moment with it. The record of what was answered is the prediction log, not this one.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import threading
import time
import traceback
from collections import deque
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import msgspec
from flask import g, has_request_context

MAX_LINES = 10_000
# A write of so much to a pipe is not torn apart by what other processes write there (POSIX: PIPE_BUF; 4 KiB on Linux).
BLOCK_BYTES = select.PIPE_BUF
GATHER_S = 0.02
FLUSH_S = 1.0
_OURS = "propensity"
_ENCODER = msgspec.json.Encoder()


class JsonFormatter(logging.Formatter):
    """One JSON object a record: time, level, logger, message, and the mapping given as ``extra={"fields": {...}}``.

    The messages of this project are written so that they hold no customer's value. Those of other libraries are not: Waitress, for one,
    names the address of a request that failed. Of them the template is kept, without what would be filled in, and the place.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a line break."""
        return self.encode(record).decode()

    def encode(self, record: logging.LogRecord) -> bytes:
        """The same as UTF-8."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if record.name.partition(".")[0] == _OURS:
            line["message"] = record.getMessage()
        else:
            line["message"] = record.msg if record.args and isinstance(record.msg, str) else "see the place"
            line["place"] = f"{record.module}:{record.lineno} {record.funcName}"
        line.update(getattr(record, "fields", ()))
        if "request_id" not in line and has_request_context() and "request_id" in g:
            line["request_id"] = g.request_id
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            line["frames"] = _frames(record.exc_info[2])
        return _ENCODER.encode(line)


def _frames(trace: TracebackType | None) -> list[str]:
    """Where it happened, outermost first. The exception's own message may quote what a caller sent, and stays out."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]


class LineHandler(logging.Handler):
    """Writes records to a file descriptor from a thread of its own; whoever logs never waits.

    Attributes
    ----------
    dropped : int
        Lines that were given up since the start: too many waited, or the descriptor refused them.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.dropped = 0
        self._told = 0
        self._descriptor = descriptor
        self._formatter = JsonFormatter()
        self._lines: deque[bytes] = deque()
        self._wake = threading.Event()
        self._writing = False
        self._thread: threading.Thread | None = None
        self._rare = threading.Lock()

    def createLock(self) -> None:  # noqa: N802 (logging's name)
        """None is needed: a deque takes lines from many threads."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record's line where the thread finds it."""
        if len(self._lines) >= MAX_LINES:
            self._drop(1)
            return
        try:
            self._lines.append(self._formatter.encode(record) + b"\n")
        except (TypeError, ValueError, RecursionError):
            # Not logging's own `handleError`: it prints the values of the record.
            self._drop(1)
            return
        if self._thread is None:
            self._begin()
        if not self._wake.is_set():
            self._wake.set()

    def flush(self) -> None:
        """Wait until everything was written, a second at most. The end of the process calls this."""
        until = time.monotonic() + FLUSH_S
        self._wake.set()
        while (self._lines or self._writing) and time.monotonic() < until:
            time.sleep(0.005)

    def _begin(self) -> None:
        with self._rare:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
                self._thread.start()

    def _drop(self, lines: int) -> None:
        with self._rare:
            self.dropped += lines

    def _run(self) -> None:
        while True:
            self._wake.wait()
            time.sleep(GATHER_S)
            self._writing = True
            self._wake.clear()
            self._drain()
            self._writing = False

    def _drain(self) -> None:
        block: list[bytes] = []
        size = 0
        while self._lines:
            line = self._lines.popleft()
            if block and size + len(line) > BLOCK_BYTES:
                self._write(block)
                block, size = [], 0
            block.append(line)
            size += len(line)
        if block:
            self._write(block)
        if self.dropped > self._told:
            self._tell()

    def _write(self, lines: list[bytes]) -> None:
        """Write whole lines. What the descriptor refuses (a full disk, nobody at the other end) is dropped and counted."""
        left = memoryview(b"".join(lines))
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                select.select((), (self._descriptor,), (), 1.0)
            except OSError:
                self._drop(len(lines))
                return

    def _tell(self) -> None:
        lost, self._told = self.dropped - self._told, self.dropped
        fields = {"event": "log_lines_dropped", "lines": lost}
        record = logging.LogRecord("propensity.api.logs", logging.WARNING, __file__, 0, "log lines were dropped", None, None)
        record.fields = fields
        self._write([self._formatter.encode(record) + b"\n"])


def configure() -> LineHandler:
    """Send every log record of this process to stderr as JSON, and what ends a thread too. Returns what writes them."""
    handler = LineHandler(sys.stderr.fileno())
    # What the records of this project do not show need not be found out for each: it is a fifth of the cost of a line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger(_OURS).setLevel(logging.INFO)
    # Waitress warns at each request that waits for a thread: under load that is every one.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    sys.excepthook = _uncaught
    threading.excepthook = lambda ended: _uncaught(ended.exc_type, ended.exc_value, ended.exc_traceback)
    return handler


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> Any:
    """Python would print the message, which may quote what a caller sent."""
    if not issubclass(kind, KeyboardInterrupt | SystemExit):
        logging.getLogger("propensity.api").error("an exception ended a thread", exc_info=(kind, error or kind(), trace))
