"""``make down``: stop exactly what this state folder started."""

from __future__ import annotations

import sys
from pathlib import Path

from local.environment import home_folder
from local.postgres import EmbeddedPostgres
from local.processes import Processes
from local.state import locked
from local.up import LOCK_WAIT_S
from propensity.errors import PropensityError

# Who uses a program is stopped before it.
ORDER = (("health", "schedules", "lists", "api"), ("prefect", "mlflow"))


def down(home: Path) -> list[str]:
    """Stop the programs and the database of this home; return what ran, in order.

    Raises
    ------
    DatabaseUnavailable
        Postgres did not stop.
    """
    if not home.is_dir():
        return []
    with locked(home / "platform.lock", wait_s=LOCK_WAIT_S, what="starting or stopping the platform"):
        processes = Processes(home)
        stopped = [name for names in ORDER for name in processes.stop(names)]
        if EmbeddedPostgres(home).stop():
            stopped.append("postgres")
        return stopped


def main() -> int:
    """Stop, say so, return the exit code."""
    home = home_folder()
    try:
        stopped = down(home)
    except PropensityError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return exc.exit_code
    print(f"stopped: {', '.join(stopped)}" if stopped else f"nothing of {home} runs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
