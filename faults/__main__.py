"""``python -m faults [R1 R6 ...]``: try the promises in full, print a table, write ``build/reports/faults.json``."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from faults.catalogue import chosen
from faults.promise import NotPossible, Promise, Result, Scale
from faults.world import ROOT, World, open_world

REPORT = ROOT / "build" / "reports" / "faults.json"
_VERDICTS = {True: "[green]kept[/]", False: "[red]BROKEN[/]", None: "[yellow]not tried[/]"}


@dataclass(frozen=True)
class Outcome:
    """A promise, what came out, and how long it took."""

    promise: Promise
    result: Result
    took_s: float


def attempt(promise: Promise, world: World, scale: Scale) -> Result:
    """Try a promise; one that cannot be tried here is not called kept."""
    try:
        return promise.run(world, scale)
    except NotPossible as exc:
        return Result(None, f"not tried: {exc}", "nothing")
    except Exception as exc:
        logging.getLogger("faults").exception("%s could not be carried out", promise.name)
        return Result(False, f"could not be carried out: {type(exc).__name__}: {exc}", "see the error above")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 where no promise is broken, else 1; 2 for an id that is not known."""
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("ids", nargs="*", help="ids of promises, as in R1; all where none is named")
    parser.add_argument("--short", action="store_true", help="the short form of each, as in the tests")
    parser.add_argument("--report", type=Path, default=REPORT, help="where the report goes")
    args = parser.parse_args(argv)
    try:
        promises = chosen(args.ids)
    except KeyError as exc:
        print(f"faults: {exc.args[0]}", file=sys.stderr)
        return 2
    scale = Scale.SHORT if args.short else Scale.FULL
    # A polite kill cleans up as Ctrl-C does: Postgres, the service and the callers end with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    outcomes: list[Outcome] = []
    with open_world(lambda line: print(line, flush=True)) as world:
        for number, promise in enumerate(promises, start=1):
            print(f"[{number}/{len(promises)}] {promise.name}: {promise.text}", flush=True)
            started = time.monotonic()
            result = attempt(promise, world, scale)
            outcomes.append(Outcome(promise, result, time.monotonic() - started))
            print(f"  {'kept' if result.passed else 'not kept'} after {outcomes[-1].took_s:.0f} s: {result.figure}", flush=True)
            write_report(outcomes, scale, args.report)
    Console(width=160).print(table_of(outcomes))
    print(f"written to {args.report}")
    return 1 if any(outcome.result.passed is False for outcome in outcomes) else 0


def write_report(outcomes: Sequence[Outcome], scale: Scale, path: Path) -> None:
    """Write what is known so far: a run that is cut short leaves its report."""
    promises: list[dict[str, Any]] = [
        {
            "id": name,
            "passed": outcome.result.passed,
            "figure": outcome.result.figure,
            "tried": outcome.result.tried,
            "text": outcome.promise.text,
            "needs": outcome.promise.needs,
            "seconds": round(outcome.took_s, 1),
        }
        for outcome in outcomes
        for name in outcome.promise.ids
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    made = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "scale": scale.value, "promises": promises}
    path.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def table_of(outcomes: Sequence[Outcome]) -> Table:
    """One line a promise."""
    table = Table(title="What the platform promises, tried")
    for column in ("promise", "", "needed", "measured"):
        table.add_column(column, overflow="fold")
    for outcome in outcomes:
        text = f"[bold]{outcome.promise.name}[/] {outcome.promise.text}"
        table.add_row(text, _VERDICTS[outcome.result.passed], outcome.promise.needs, outcome.result.figure)
    return table


if __name__ == "__main__":
    sys.exit(main())
