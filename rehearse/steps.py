"""Steps that are carried out one after the other, told as they happen, and written down."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

Say = Callable[[str], None]


class StepFailed(Exception):
    """What was expected did not come; the message says what came instead."""


@dataclass(frozen=True)
class Outcome:
    """What became of a step. ``detail``: what was seen, or what went wrong."""

    name: str
    passed: bool
    took_s: float
    detail: str


@dataclass
class Steps:
    """What was tried so far. The report is written anew after each step: a run that is cut short leaves what it knew.

    Attributes
    ----------
    stand_ins : list of str
        Resource types that exist in the emulator by name alone.
    notes : list of str
        Whatever else is not as it would be on AWS.
    """

    report: Path
    say: Say
    outcomes: list[Outcome] = field(default_factory=list)
    stand_ins: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def run(self, name: str, step: Callable[[], object]) -> bool:
        """Carry out a step; whether it passed. What it returns, where that is a text, is told as its detail."""
        started = time.monotonic()
        try:
            seen = step()
            passed, detail = True, seen if isinstance(seen, str) else ""
        except Exception as exc:  # noqa: BLE001 - a step that fails is a result; Ctrl-C and SIGTERM pass
            passed, detail = False, f"{exc}" if isinstance(exc, StepFailed) else f"{type(exc).__name__}: {exc}"
        self._add(Outcome(name, passed, time.monotonic() - started, detail))
        return passed

    def not_tried(self, name: str, why: str) -> None:
        """A step that nothing is known about: it counts as failed."""
        self._add(Outcome(name, False, 0.0, f"not tried: {why}"))

    @property
    def passed(self) -> bool:
        """Whether every step passed, and there was one."""
        return bool(self.outcomes) and all(outcome.passed for outcome in self.outcomes)

    def _add(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        mark = "ok    " if outcome.passed else "FAILED"
        self.say(f"{mark} {outcome.took_s:6.1f} s  {outcome.name}{': ' + outcome.detail if outcome.detail else ''}")
        self.write()

    def write(self) -> None:
        """Write the report."""
        steps: list[dict[str, Any]] = [
            {"name": o.name, "passed": o.passed, "seconds": round(o.took_s, 1), "detail": o.detail} for o in self.outcomes
        ]
        made = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "passed": self.passed,
            "seconds": round(sum(o.took_s for o in self.outcomes), 1),
            "steps": steps,
            "stand_ins": sorted(self.stand_ins),
            "notes": self.notes,
        }
        self.report.parent.mkdir(parents=True, exist_ok=True)
        self.report.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def table_of(outcomes: Sequence[Outcome]) -> Table:
    """One line a step."""
    table = Table(title="The deployment, rehearsed")
    table.add_column("step", overflow="fold")
    table.add_column("")
    table.add_column("seconds", justify="right")
    table.add_column("seen", overflow="fold")
    for outcome in outcomes:
        table.add_row(outcome.name, "[green]ok[/]" if outcome.passed else "[red]FAILED[/]", f"{outcome.took_s:.1f}", outcome.detail)
    return table
