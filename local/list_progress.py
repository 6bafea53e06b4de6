"""How far a list is: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from local.sentences import Result, of_list

if TYPE_CHECKING:
    from rich.progress import TaskID

    from propensity.lists.scorer import Watch

LINE_EVERY_S = 10.0


@contextmanager
def list_progress(stream: TextIO | None = None) -> Iterator[Watch]:
    """Show progress on standard error for as long as the block runs."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield Lines(stream)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("customers"), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=stream), transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(step, total=total)
            progress.update(tasks[step], completed=done)

        yield show


def show_list(found: Result, out: object, seconds: float, stream: TextIO | None = None) -> None:
    """Print what became of a list: a table on a terminal, elsewhere sentences."""
    stream = stream or sys.stdout
    if not stream.isatty():
        print("\n".join(of_list(found, out)), file=stream)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("customers received", f"{found['received']:,}")
    table.add_row("scored", f"{found['scored']:,}")
    table.add_row("to contact", f"{found['contact']:,}", style="bold")
    table.add_row("refused", f"{found['refused_rows']:,}", style="red" if found["refused_rows"] else None)
    table.add_row("customers a second", f"{found['received'] / max(seconds, 1e-3):,.0f}")
    console = Console(file=stream)
    console.print(table)
    for line in of_list(found, out):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


class Lines:
    """A line every ten seconds; none for a list that takes less."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._last = time.monotonic()

    def __call__(self, step: str, done: int, total: int) -> None:
        with self._lock:
            if time.monotonic() < self._last + LINE_EVERY_S:
                return
            self._last = time.monotonic()
            print(f"{step}: {done:,} of {total:,} customers", file=self._stream, flush=True)
