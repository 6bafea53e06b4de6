"""``python -m flows.run retrain-term-deposit``: run one flow now and end. What the clock on AWS starts.

The last line of its log is one JSON object that says how it ended; alarms count on it. A task that was killed
writes none; the cluster tells of those.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from typing import Any

from propensity.errors import PropensityError, SettingsInvalid
from propensity.schedules import Scheduled, platform_schedules, schedules

ENDED = "flow_ended"


def find(name: str) -> Scheduled:
    """The flow of that name. Raises SettingsInvalid, naming those that exist."""
    known = {scheduled.name: scheduled for scheduled in [*schedules(), *platform_schedules()]}
    if name not in known:
        raise SettingsInvalid(f"there is no flow {name!r}: one of {', '.join(known)}")
    return known[name]


def run(scheduled: Scheduled) -> Any:
    """Run it in this process and return what it returns."""
    module, _, function = scheduled.entrypoint.rpartition(".")
    flow = getattr(importlib.import_module(module), function)
    return flow(**scheduled.parameters)


def ended(name: str, seconds: float, *, ok: bool) -> str:
    """The line that says how a run ended."""
    return json.dumps({"event": ENDED, "flow": name, "ok": ok, "seconds": round(seconds, 1)})


def main(arguments: list[str]) -> int:
    """Run the flow that the arguments name; return the exit code."""
    if len(arguments) != 1:
        print("usage: python -m flows.run NAME", file=sys.stderr)
        return 2
    started, ok = time.monotonic(), False
    try:
        scheduled = find(arguments[0])
    except PropensityError as exc:
        print(f"flow: {exc}", file=sys.stderr)
        return exc.exit_code
    try:
        run(scheduled)
        ok = True
    except PropensityError as exc:
        print(f"flow {scheduled.name}: {exc}", file=sys.stderr)
        return exc.exit_code
    finally:
        print(ended(scheduled.name, time.monotonic() - started, ok=ok), flush=True)
    return 0


if __name__ == "__main__":
    # Prefect's own signal handling and logging are set up by the flow; nothing of it is imported before.
    os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "propensity.flows")
    sys.exit(main(sys.argv[1:]))
