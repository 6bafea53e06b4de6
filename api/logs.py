"""Logs as JSON, one object a line. Never a customer's value: exceptions are logged by type and place, not by message."""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType

import msgspec


class JsonFormatter(logging.Formatter):
    """One JSON object a record: time, level, logger, message, and the mapping given as ``extra={"fields": {...}}``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a line break."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            line["frames"] = _frames(record.exc_info[2])
        return msgspec.json.encode(line).decode()


def _frames(trace: TracebackType | None) -> list[str]:
    """Where it happened, outermost first. The exception's own message may quote what a caller sent, and stays out."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]


def configure() -> None:
    """Send every log record of this process to stderr as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Waitress warns at each request that waits for a thread: under load that is every one.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
