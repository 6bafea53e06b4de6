"""``make up``: start the whole platform on this machine and print where everything is."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from local.client import Api
from local.environment import compose, home_folder, start_databases
from local.fill import fill_home, prepare_year, wanted
from local.keys import machine_key, machine_keys
from local.ports import HOST
from local.postgres import EmbeddedPostgres
from local.processes import Processes, Program, Running
from local.programs import health, lists, mlflow_server, ports_of, prefect_server, schedules, scoring_service
from local.state import locked, make_home
from propensity.access import Role
from propensity.errors import PropensityError

LOCK_WAIT_S = 300.0


def up(home: Path, say: Callable[[str], None] = print, *, year: bool = False) -> tuple[EmbeddedPostgres | None, list[Running]]:
    """Start whatever does not run yet, wait until all of it is ready, and return it.

    With ``year`` a platform that was never used is filled with a replayed year, before its schedules start.

    Whoever interrupts this, and whatever fails, leaves only what ran before.

    Raises
    ------
    SettingsInvalid
        A port that was asked for is taken, or the databases named by the environment are incomplete.
    DatabaseUnavailable, ProgramFailed
        Something did not come up; the message quotes the end of its log.
    """
    home = make_home(home)
    with locked(home / "platform.lock", wait_s=LOCK_WAIT_S, what="starting or stopping the platform"), contextlib.ExitStack() as undo:
        processes = Processes(home)
        api_port, prefect_port, mlflow_port = ports_of(processes, os.environ)
        urls, server, started = start_databases(home)
        if server is not None and started:
            undo.callback(server.stop)
            say(f"started PostgreSQL {server.version()}")
        settings = compose(home, urls, api_port=api_port)

        def start(program: Program) -> Program:
            if processes.running(program.name) is None:
                say(f"starting {program.title}")
                undo.callback(processes.stop, [program.name])
            processes.start(program)
            return program

        # Prefect and MLflow take most of the time, and each brings its own tables.
        prefect = start(prefect_server(settings, urls, prefect_port))
        mlflow = start(mlflow_server(settings, urls, mlflow_port))
        _migrate(urls.owner_url)
        machine_keys(home, urls.owner_url)
        source = prepare_year(home, urls, settings, say) if year else None
        if source is not None:
            # The service's pages say what they show.
            settings = compose(home, urls, api_port=api_port)
        api = start(scoring_service(settings))
        start(lists(settings))
        processes.wait_ready([prefect])
        if source is not None:
            processes.wait_ready([api])
            fill_home(settings, source, prefect.page, say)
        # Once the schedules are known: nothing is late that was due before.
        processes.wait_ready([start(schedules(settings, prefect.page)), mlflow, api])
        processes.wait_ready([start(health(settings, prefect.page))])
        undo.pop_all()
        return server, processes.all_running()


def table(home: Path, server: EmbeddedPostgres | None, running: list[Running]) -> Table:
    """What runs, where, and which file tells about it."""
    shown = Table(title="The platform on this machine", title_justify="left")
    # Addresses are there to be copied: they are never broken over two lines.
    for heading in ("what", "address", "process"):
        shown.add_column(heading, no_wrap=True)
    shown.add_column("log", overflow="fold")
    if server is not None:
        shown.add_row(
            "PostgreSQL " + server.version().partition(" ")[0],
            f"{HOST}:{server.port()}",
            str(server.pid()),
            _short(server.log_file(), home),
        )
    for found in running:
        shown.add_row(found.title, found.page or "(no page)", str(found.pid), _short(found.log, home))
    return shown


def main(argv: Sequence[str] | None = None) -> int:
    """Start, print, return the exit code."""
    parser = argparse.ArgumentParser(prog="make up", description=__doc__.splitlines()[0])
    parser.add_argument("--year", default=os.environ.get("YEAR") or "yes", help="no: a platform that is new stays empty")
    args = parser.parse_args(argv)
    # A polite kill cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    home = home_folder()
    try:
        server, running = up(home, year=wanted(args.year))
    except PropensityError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        print("interrupted: what was started has been stopped again", file=sys.stderr)
        return 130
    console = Console()
    console.print(table(home, server, running))
    console.print(f"state, logs and passwords lie in {home}", soft_wrap=True, highlight=False)
    console.print("Prefect asks for a password: prefect_auth in secrets.json there", soft_wrap=True, highlight=False)
    console.print(
        "the scoring service asks for a key: propensity key [marketing|operator|auditor] prints this machine's own, as in\n"
        '  curl -H "Authorization: Bearer $(propensity key)" ADDRESS/v1/campaigns',
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
    for line in _next_steps(running, home):
        console.print(line, soft_wrap=True, highlight=False)
    console.print("make down stops exactly these", soft_wrap=True, highlight=False)
    return 0


def _next_steps(running: list[Running], home: Path) -> list[str]:
    """A line for each campaign that cannot score yet."""
    pages = [found.page for found in running if found.name == "api"]
    try:
        key = machine_key(home, Role.OPERATOR)
        campaigns = Api(pages[0], key).call("/v1/campaigns", timeout_s=5)["campaigns"] if pages else []
    except PropensityError:
        return []
    return [f"{c['name']} has no live model yet: propensity retrain {c['name']}" for c in campaigns if c["live_model"] is None]


def _migrate(owner_url: str) -> None:
    from propensity.adapters.migrate import migrate

    migrate(owner_url)


def _short(path: Path, home: Path) -> str:
    """A path as one would type it from the folder above the home."""
    return str(path.relative_to(home.parent)) if path.is_relative_to(home.parent) else str(path)


if __name__ == "__main__":
    sys.exit(main())
