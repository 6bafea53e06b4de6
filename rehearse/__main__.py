"""``python -m rehearse``: deploy everything to an AWS emulator, use it, update it, destroy it; write ``build/reports/rehearse.json``."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from rehearse.emulator import PROJECT
from rehearse.steps import Steps, table_of
from rehearse.story import DEV, Rehearsal

REPORT = PROJECT / "build" / "reports" / "rehearse.json"
LOGS = PROJECT / "build" / "rehearse" / "logs"


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 where every step passed, else 1; 130 where it was interrupted."""
    parser = argparse.ArgumentParser(prog="python -m rehearse", description=__doc__)
    parser.add_argument("--report", type=Path, default=REPORT, help="where the report goes")
    parser.add_argument(
        "--environment", default=DEV, choices=(DEV, "staging", "prod"), help="dev where none is named; it alone is destroyed"
    )
    args = parser.parse_args(argv)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    steps = Steps(args.report, lambda line: print(line, flush=True))
    interrupted = False
    with tempfile.TemporaryDirectory(prefix="propensity-rehearse-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        try:
            Rehearsal(steps, folder, args.environment).run()
        except KeyboardInterrupt:
            interrupted = True
        finally:
            _keep_logs(folder)
    Console(width=160).print(table_of(steps.outcomes))
    print("stand-ins: " + (", ".join(sorted(steps.stand_ins)) or "none"))
    for note in steps.notes:
        print(note)
    print(f"written to {args.report}, logs are in {LOGS}")
    if interrupted:
        print("rehearse: interrupted; what was started has ended", file=sys.stderr)
        return 130
    return 0 if steps.passed else 1


def _interrupt(_number: int, _frame: object) -> None:
    """A polite kill cleans up as Ctrl-C does: emulator, containers and Postgres end. Whoever presses twice does not stop that."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _keep_logs(folder: Path) -> None:
    """Logs of the emulator, the CDK and every container outlive the run; those of the run before go."""
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    for path in [*folder.glob("*.log"), *folder.glob("tasks/*.log")]:
        shutil.copyfile(path, LOGS / path.name)


if __name__ == "__main__":
    sys.exit(main())
