"""``python -m local.outage``: Prefect's server is down across several due times of a real schedule; how many runs then do the work?

Starts Postgres, Prefect, its runner and the flow checks in a folder of their own, with a small flow that is due every second minute; kills
the server with ``kill -9``, brings it back, and counts. Takes about a quarter of an hour; prints, and writes ``build/reports/outage.json``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prefect import flow

from flows.deployments import serve
from local.environment import PROJECT, compose, start_databases
from local.environment import environ as child_environ
from local.ports import any_free
from local.processes import Processes, Program
from local.programs import prefect_server
from propensity.adapters.database import Database
from propensity.adapters.migrate import migrate
from propensity.adapters.recorded import recorded
from propensity.errors import ProgramFailed
from propensity.schedules import Scheduled
from propensity.settings import Settings

EVERY_MIN, MISSED = 2, 3
TICK = [Scheduled("tick-platform", "local.outage.tick", f"*/{EVERY_MIN} * * * *", {}, grace_s=60)]
REPORT = PROJECT / "build" / "reports" / "outage.json"
PATIENCE_S = 420.0
_ENDS = "select event, due, created_at from flow_heartbeat where flow = 'tick' and event <> 'started' order by id"
_ALERTS = """
select a.kind, count(*) filter (where e.event = 'raised'), count(*) filter (where e.event = 'resolved')
from alert a join alert_event e using (alert_id) group by a.kind order by a.kind"""

Ends = list[tuple[str, datetime, datetime]]


@flow(name="tick")
@recorded("tick")
def tick() -> dict[str, Any]:
    """Does nothing, but takes a second for it."""
    time.sleep(1)
    return {}


def trial(home: Path, say: Callable[[str], None] = print) -> dict[str, Any]:
    """The whole trial in that folder; its figures. What it started is stopped again."""
    urls, server, _ = start_databases(home)
    processes = Processes(home)
    database = Database(urls.app_url, timeout_s=10.0)
    try:
        migrate(urls.owner_url)
        settings = compose(home, urls)
        prefect = prefect_server(settings, urls, any_free())
        processes.start(prefect)
        processes.wait_ready([prefect])
        for name in ("runner", "checker"):
            processes.start(_own(settings, name, prefect.page))
        return _outage(processes, prefect, database, say)
    finally:
        database.close()
        processes.stop([found.name for found in processes.all_running()])
        if server is not None:
            server.stop()


def _outage(processes: Processes, prefect: Program, database: Database, say: Callable[[str], None]) -> dict[str, Any]:
    _wait("the first run", lambda: any(event == "succeeded" for event, _, _ in _ends(database)))
    say("the schedule runs; Prefect's server is killed")
    running = processes.running(prefect.name)
    assert running is not None, "it was ready"
    os.killpg(running.pid, signal.SIGKILL)
    killed = datetime.now(UTC)
    back = killed.replace(second=30, microsecond=0) + timedelta(minutes=EVERY_MIN * MISSED + EVERY_MIN - killed.minute % EVERY_MIN)
    time.sleep((back - datetime.now(UTC)).total_seconds())
    processes.stop([prefect.name])
    processes.start(prefect)
    processes.wait_ready([prefect])
    restarted = datetime.now(UTC)
    say(f"the server was away for {(restarted - killed).total_seconds():.0f} s")
    _wait("a run after the outage", lambda: any(event == "succeeded" and at > restarted for event, _, at in _ends(database)))
    # Two regular due times more: whatever else was waiting has come by then.
    time.sleep(60.0 * EVERY_MIN * 2 + 30)
    return _figures(_ends(database), killed, restarted, database)


def _figures(ends: Ends, killed: datetime, restarted: datetime, database: Database) -> dict[str, Any]:
    good = [(due, at) for event, due, at in ends if event == "succeeded"]
    last_missed = restarted.replace(second=0, microsecond=0) - timedelta(minutes=restarted.minute % EVERY_MIN)
    missed = sum(killed < last_missed - timedelta(minutes=EVERY_MIN * n) for n in range(100))
    with database.statement() as cursor:
        alerts = cursor.execute(_ALERTS).fetchall()
    return {
        "outage_s": round((restarted - killed).total_seconds()),
        "due_times_missed": missed,
        "runs_that_did_their_work": sum(at > restarted and due <= last_missed for due, at in good),
        "runs_per_due_time_at_most": max(sum(due == other for other, _ in good) for due, _ in good),
        "runs_that_found_it_done": sum(event == "superseded" for event, _, _ in ends),
        "back_at_work_s": round(min((at - restarted).total_seconds() for _, at in good if at > restarted)),
        "alerts": {kind: {"raised": raised, "resolved": resolved} for kind, raised, resolved in alerts},
    }


def _own(settings: Settings, name: str, prefect_url: str) -> Program:
    environ = child_environ(settings, prefect_api_url=f"{prefect_url}/api") | {"PROPENSITY_CHECKS_EVERY_S": "15"}
    return Program(name, f"the trial's {name}", (sys.executable, "-m", "local.outage", name), environ)


def _ends(database: Database) -> Ends:
    with database.statement() as cursor:
        return [(event, due, at) for event, due, at in cursor.execute(_ENDS).fetchall()]


def _wait(what: str, happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        if time.monotonic() > deadline:
            raise ProgramFailed(f"{what} did not come within {PATIENCE_S:.0f} s")
        time.sleep(1)


def main(arguments: list[str]) -> int:
    """Run the trial, or one of its two programs; return the exit code: 1 where not exactly one run did the work of all that were missed."""
    if arguments == ["runner"]:
        serve(TICK)
        return 0
    if arguments == ["checker"]:
        from flows.health import watch
        from propensity.adapters.platform import platform

        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        watch(platform(), stop, TICK)
        return 0
    with tempfile.TemporaryDirectory(prefix="propensity-outage-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # as root, Postgres' own user must be able to pass
        found = trial(Path(folder))
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))
    return 0 if found["runs_that_did_their_work"] == found["runs_per_due_time_at_most"] == 1 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
