"""``python -m benchmarks``: measure, print, write ``build/reports/bench.json`` and ``bench.png``. QUICK=1 for a look within minutes."""

from __future__ import annotations

import os
import signal
import sys

from rich.console import Console

from benchmarks.plan import FULL, QUICK, SERVERS, duration_s
from benchmarks.plot import plot
from benchmarks.report import REPORTS, show, write
from benchmarks.run import STATE, clean, run
from propensity.errors import PropensityError


def main() -> int:
    """Returns the process exit code: 0 where the run was complete, whether or not goals were met."""
    console = Console(width=None if sys.stdout.isatty() else 160)

    def say(line: str) -> None:
        console.print(line, soft_wrap=True, highlight=False)

    # So that whoever ends this ends the servers too.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    plan = QUICK if os.environ.get("QUICK", "") not in ("", "0") else FULL
    say(f"benchmark: {plan.rounds} rounds, about {duration_s(plan, SERVERS) / 60:.0f} minutes once every server is up")
    for line in plan.skipped:
        say(f"left out: {line}")
    try:
        report = run(plan, say)
    except PropensityError as exc:
        print(f"the benchmark cannot run: {exc}", file=sys.stderr)
        return exc.exit_code
    finally:
        clean(STATE / "requests")
    write(report, REPORTS / "bench.json")
    plot(report, REPORTS / "bench.png", REPORTS / "bench.svg")
    show(report, console)
    say(f"written: {REPORTS / 'bench.json'}, bench.png and bench.svg beside it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
