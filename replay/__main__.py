"""``python -m replay``: walk the real history with every policy, print what each earned, write ``build/reports/replay.json``, draw it."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as Lines

from propensity.adapters.object_store import open_store
from propensity.adapters.sources import read_source
from propensity.campaign import Campaign
from propensity.campaigns import campaign
from propensity.contact_days import ContactDay
from propensity.errors import PropensityError
from propensity.ingest import ingest
from propensity.settings import read_settings
from propensity.snapshot import read_snapshot
from replay.books import by_month, period
from replay.history import contact_days
from replay.picture import draw
from replay.policies import DELAYS, Policy, policies

REPORT = Path(__file__).parents[1] / "build" / "reports" / "replay.json"
FIRST, CHOSEN_UNTIL, UNSEEN = date(2008, 10, 1), "2009-05", date(2009, 6, 1)
CAVEAT = (
    "Every outcome is taken as observed, also of customers whom a policy would not have called: the bank did call them. What learning from "
    "one's own contacts alone costs is measured by the policies default-selective-0 and default-selective-5."
)
ASSUMED = (
    "A contact day is a run of rows of one month and weekday; its date is the first that fits. An outcome is known so many calendar days "
    "after its contact, never on the same day. The traffic is the contacts of the day before, or today's so far where they are more."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0, or 1 with a sentence where the history cannot be replayed."""
    parser = argparse.ArgumentParser(prog="python -m replay", description=__doc__)
    parser.add_argument("policies", nargs="*", help="names of policies; all where none is named")
    parser.add_argument("--source", help="where the history comes from, as for ingest; as installed where none is named")
    parser.add_argument("--delays", type=int, nargs="+", default=list(DELAYS), help="days from contact to known outcome")
    parser.add_argument("--days", type=int, help="so many contact days alone, for a quick look")
    parser.add_argument("--jobs", type=int, default=2, help="policies walked side by side")
    parser.add_argument("--report", type=Path, default=REPORT, help="where the report goes; the picture lies beside it")
    args = parser.parse_args(argv)
    declared = campaign("term-deposit")
    chosen = [one for one in policies(declared, args.delays) if not args.policies or one.name in args.policies]
    if not chosen:
        known = ", ".join(dict.fromkeys(one.name for one in policies(declared, args.delays)))
        print(f"replay: no such policy; there are: {known}", file=sys.stderr)
        return 2
    try:
        results = _walk_all(chosen, args.source, args.days, args.jobs)
        report = _report(declared, results, *_history(args.source)[:2], args.days)
    except PropensityError as exc:
        print(f"replay: {exc}", file=sys.stderr)
        return 1
    _write(report, args.report, declared)
    _print(report)
    print(f"written to {args.report} and {args.report.with_suffix('.png')}")
    return 0


@cache
def _history(source: str | None) -> tuple[list[ContactDay], int, str]:
    """The contact days, the place of the first to be replayed, and the snapshot that they come from."""
    declared, settings = campaign("term-deposit"), read_settings()
    raw = read_source(source or settings.source, declared, data_dir=settings.data_dir, home=settings.home)
    with tempfile.TemporaryDirectory(prefix="propensity-replay-") as folder:
        store = open_store(f"file://{folder}")
        snapshot = ingest(declared, raw, store).manifest.snapshot_id
        days = contact_days(read_snapshot(store, declared, snapshot), declared.retraining.traffic_growth)
    return days, next(at for at, day in enumerate(days) if day.date >= FIRST), snapshot


def _walk_one(policy: Policy, source: str | None, count: int | None) -> dict[str, Any]:
    """One policy's entry in the report."""
    declared = campaign("term-deposit")
    days, first, snapshot = _history(source)
    days = days if count is None else days[: first + count]
    began = time.monotonic()
    books = policy.walk(declared, days, first, snapshot, lambda _: None)
    replayed = days[first:]
    return {
        "name": policy.name,
        "label_delay_days": policy.delay_days,
        "text": policy.text,
        **period(books, replayed, declared.economics),
        "unseen": period(books, replayed, declared.economics, UNSEEN) if replayed[-1].date >= UNSEEN else None,
        "recalibrations": books.recalibrations,
        "explored": books.explored,
        "retrained": [{"date": str(when), "reason": reason} for when, reason in books.retrains],
        "months": by_month(books, replayed, declared.economics),
        "seconds": round(time.monotonic() - began, 1),
    }


def _walk_all(chosen: Sequence[Policy], source: str | None, count: int | None, jobs: int) -> list[dict[str, Any]]:
    with _progress(len(chosen)) as done:
        if jobs < 2 or len(chosen) < 2:
            return [done(_walk_one(policy, source, count)) for policy in chosen]
        with ProcessPoolExecutor(jobs) as pool:
            futures = [pool.submit(_walk_one, policy, source, count) for policy in chosen]
            return [done(future.result()) for future in futures]


class _progress:  # noqa: N801
    """Calls that show a finished policy: a bar on a terminal, a line elsewhere."""

    def __init__(self, total: int) -> None:
        self._total, self._console, self._done = total, Console(stderr=True), 0
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=self._console, transient=True)

    def __enter__(self) -> Callable[[dict[str, Any]], dict[str, Any]]:
        if self._console.is_terminal:
            self._bar.start()
            self._task = self._bar.add_task("walking the history", total=self._total)
        return self._show

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def _show(self, entry: dict[str, Any]) -> dict[str, Any]:
        self._done += 1
        if self._console.is_terminal:
            self._bar.update(self._task, advance=1, description=entry["name"])
        else:
            what = f"{entry['name']}, labels after {entry['label_delay_days']} d: profit {entry['profit']:,.0f}"
            print(f"[{self._done}/{self._total}] {what}, {entry['seconds']:.0f} s", flush=True)
        return entry


def _report(declared: Campaign, results: list[dict[str, Any]], days: list[ContactDay], first: int, count: int | None) -> dict[str, Any]:
    replayed = days[first:] if count is None else days[first : first + count]
    return {
        "campaign": declared.name,
        "from": str(replayed[0].date),
        "to": str(replayed[-1].date),
        "contact_days": len(replayed),
        "chosen_until": CHOSEN_UNTIL,
        "unseen_from": str(UNSEEN),
        "economics": {key: float(getattr(declared.economics, key)) for key in ("contact_cost", "conversion_value")},
        "assumed": ASSUMED,
        "caveat": CAVEAT,
        "policies": results,
    }


def _write(report: dict[str, Any], path: Path, declared: Campaign) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".png").write_bytes(draw(report["policies"], report["policies"][0]["label_delay_days"], declared.economics.currency))
    unfinished = path.with_suffix(".json.part")
    unfinished.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)


def _print(report: dict[str, Any]) -> None:
    console = Console(width=150)
    for title, key in ((f"From {report['from']} to {report['to']}", None), (f"From {UNSEEN} on, which no choice has seen", "unseen")):
        entries = [(entry, entry if key is None else entry[key]) for entry in report["policies"]]
        if any(figures is None for _, figures in entries):
            continue
        lines = Lines(title=title)
        for column in ("policy", "labels after", "calls", "sales", "profit", "AUC", "in month", "ECE", "top half", "retrains"):
            lines.add_column(column, justify="left" if column == "policy" else "right")
        for entry, seen in entries:
            numbers = [_cell(seen[name]) for name in ("roc_auc", "within_month_roc_auc", "ece", "top_half_capture")]
            money = (f"{seen['contacts']:,}", f"{seen['conversions']:,}", f"{seen['profit']:,.0f}")
            lines.add_row(entry["name"], f"{entry['label_delay_days']} d", *money, *numbers, str(seen["retrains"]))
        console.print(lines)
    _print_months(console, report)
    console.print(report["assumed"])
    console.print(report["caveat"])


def _print_months(console: Console, report: dict[str, Any]) -> None:
    for entry in report["policies"]:
        if entry["name"] != "default":
            continue
        lines = Lines(title=f"default, labels after {entry['label_delay_days']} d, by month")
        for column in ("month", "customers", "calls", "sales", "profit", "AUC", "expected", "came true"):
            lines.add_column(column, justify="right")
        for month in entry["months"]:
            counts = (f"{month['customers']:,}", f"{month['contacts']:,}", f"{month['conversions']:,}", f"{month['profit']:,.0f}")
            lines.add_row(month["month"], *counts, *(_cell(month[name]) for name in ("roc_auc", "mean_score", "rate")))
        console.print(lines)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(main())
