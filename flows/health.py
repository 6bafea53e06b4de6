"""``python -m flows.health``: watch the flows, tell alerts that are due, catch up after an outage; ``--once`` for a clock of its own.

It runs beside Prefect and not in it: it must notice where Prefect is away. Whatever fails in one look, the next one is taken.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence

from flows.catch_up import CaughtUp, catch_up
from propensity.adapters.platform import Platform, platform
from propensity.adapters.tell import alerting
from propensity.errors import PropensityError
from propensity.flow_checks import Checked, check
from propensity.flow_health import CHECKER
from propensity.schedules import Scheduled, platform_schedules, schedules

# Where Prefect's server is; not set where none runs.
PREFECT = "PREFECT_API_URL"

log = logging.getLogger("propensity.flows.health")


def look(at: Platform, deployments: Sequence[Scheduled] | None = None) -> Checked:
    """One look at everything, or at these deployments. Raises a StoreError where the tables cannot be read."""
    server = bool(os.environ.get(PREFECT))
    chosen = [*schedules(), *platform_schedules(prefect=server)] if deployments is None else deployments
    checked = check(at.heartbeats, alerting(at), [one.schedule for one in chosen], at.settings.checks_every_s)
    _catch_up(checked, {(one.flow, one.campaign): one.name for one in chosen})
    return checked


def _catch_up(checked: Checked, names: dict[tuple[str, str], str]) -> CaughtUp | None:
    if not os.environ.get(PREFECT):
        return None
    from prefect.client.orchestration import get_client

    try:
        with get_client(sync_client=True) as client:
            return catch_up(client, checked.states, names, checked.now)
    except Exception as exc:  # noqa: BLE001 - Prefect may be away in any way it likes: its flows are then late, and that is told
        log.warning("Prefect cannot be asked for runs that were missed: %s", type(exc).__name__)
        return None


def told(checked: Checked) -> str:
    """One line on a look."""
    counts: dict[str, int] = {}
    for state in checked.states:
        counts[state.state] = counts.get(state.state, 0) + 1
    states = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing is scheduled"
    sent, failed = sum(one.sent for one in checked.deliveries), sum(not one.sent for one in checked.deliveries)
    return f"{states}; open alerts of flows: {len(checked.raised)}, resolved: {len(checked.resolved)}, told: {sent}, not told: {failed}"


def watch(at: Platform, stop: threading.Event, deployments: Sequence[Scheduled] | None = None) -> None:
    """Look again and again until stopped."""
    before = ""
    while not stop.is_set():
        try:
            line = told(look(at, deployments))
            if line != before:
                log.info(line)
            before = line
        except PropensityError as exc:
            log.warning("the flows could not be looked at: %s", exc)
        except Exception:
            # The outermost edge: a checker that ends because of a bug watches nothing.
            log.exception("a look at the flows failed unexpectedly")
        stop.wait(at.settings.checks_every_s)


def main(arguments: Sequence[str] | None = None) -> int:
    """Watch, or look once; return the exit code: of one look 1 where a flow is late or failed."""
    parser = argparse.ArgumentParser(prog="python -m flows.health")
    parser.add_argument("--once", action="store_true", help="look once and end")
    given = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    for name in ("propensity.flows", "propensity.alerting"):
        logging.getLogger(name).setLevel(logging.INFO)
    try:
        at = platform()
        alerting(at)  # a setting that cannot be used is told at the start, not in the first night that needs it
        if given.once:
            checked = look(at)
            print(told(checked))
            watched = [state.state for state in checked.states if state.schedule.flow != CHECKER]
            return 1 if {"late", "failed"} & set(watched) else 0
    except PropensityError as exc:
        print(f"health: {exc}", file=sys.stderr)
        return exc.exit_code
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    watch(at, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
