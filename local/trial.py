"""Commands for trials: divide a list by the keyed hash, and compare what the halves brought."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from propensity.campaigns import campaign
from propensity.errors import Malformed, SettingsInvalid, SourceMissing
from propensity.gate import missing_secret
from propensity.holdout import SHORTEST_SECRET, TRIALS_KEY, Holdout
from propensity.measured_trial import HALVES, compare, halves, parse_decider

DAYS = 365


def add_commands(commands: Any) -> None:
    """Add ``split-trial`` and ``measure-trial`` to the command line."""

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run, needs_stores=True)
        sub.add_argument("campaign", help="name of the campaign, as in term-deposit")
        sub.add_argument("--trial", required=True, help="name of the trial; another name divides anew")
        sub.add_argument("--share", type=float, default=0.5, help="of half b (0.5)")
        return sub

    split = command("split-trial", _split, "divide a CSV of customers into two halves, for two policies or models")
    split.add_argument("file", type=Path)
    compared = command("measure-trial", _compare, "what the halves of a trial brought: half b less half a, with intervals")
    for half in HALVES:
        compared.add_argument(f"--{half}", required=True, metavar="HOW", help="policy=KIND[:VALUE], model=VERSION or both with a comma")
    compared.add_argument("--json", action="store_true", help="print everything, as JSON")


def _secret() -> bytes:
    from propensity.adapters.platform import platform

    found = platform().settings.holdout_secrets.get(TRIALS_KEY, b"")
    if len(found) < SHORTEST_SECRET:
        raise SettingsInvalid(missing_secret(Holdout(share=0.5, key=TRIALS_KEY)))
    return found


def _split(args: argparse.Namespace) -> int:
    from propensity.csv_text import read_csv
    from propensity.id_columns import id_name

    declared = campaign(args.campaign)
    if not args.file.is_file():
        raise SourceMissing(f"there is no file {args.file}")
    known = frozenset((*declared.feature_names, name := id_name(declared) or "id"))
    table = read_csv(args.file.read_bytes(), known, declared.numeric, max_rows=10**9)
    if name not in table.columns:
        raise Malformed(f"the file has no column {name!r}: customers are divided by their id")
    if table.faults:
        raise Malformed(f"{len(table.faults):,} rows of the file cannot be read; the first is row {min(table.faults) + 1}")
    rows = list(zip(*table.columns.values(), strict=True))
    in_b = halves(_secret(), declared.name, args.trial, list(table.columns[name]), _share(args))
    for half, chosen in zip(HALVES, (~in_b, in_b), strict=True):
        out = args.file.with_name(f"{args.file.stem}.{half}{args.file.suffix}")
        with out.open("w", newline="", encoding="utf-8") as file:
            writing = csv.writer(file)
            writing.writerow(table.columns)
            writing.writerows(row for row, mine in zip(rows, chosen.tolist(), strict=True) if mine)
        print(f"half {half}: {int(chosen.sum()):,} customers: {out}")
    return 0


def _compare(args: argparse.Namespace) -> int:
    from propensity.adapters.platform import platform
    from propensity.measured_lift import paired

    declared, at, now = campaign(args.campaign), platform(), datetime.now(UTC)
    deciders = (parse_decider(args.a), parse_decider(args.b))
    since, rules = now - timedelta(days=DAYS), declared.label.rules
    pairs = paired(at.contacts.arms(declared.name, since, now), at.outcomes.requests(declared.name, since, now, rules=rules))
    drawn = (_secret(), declared.name, args.trial, _share(args))
    found = compare(pairs, deciders, declared.economics, rules.mature_until(now), drawn)
    print(json.dumps(found, indent=2) if args.json else "\n".join(of_trial(found)))
    return 0


def of_trial(found: dict[str, Any]) -> list[str]:
    """A comparison, in lines for people."""
    lines = []
    for name, half in found["halves"].items():
        profit = "" if half["profit"] is None else f", {half['profit']:.2f} {found['currency']} a customer"
        contacts = f"{half['contacts']:,} contacts"
        lines.append(f"{name}: {half['conversions']:,} of {half['known']:,} converted, {contacts}{profit}; {half['customers']:,} customers")
    for what, unit in (("conversions", ""), ("profit", f" {found['currency']} a customer")):
        d = found[what]
        if d["estimate"] is None:
            lines.append(f"{what}: no data")
        elif what == "profit":
            lines.append(f"profit: {d['estimate']:+.2f}{unit} (95 % interval {d['low']:+.2f} to {d['high']:+.2f})")
        else:
            lines.append(f"conversions: {d['estimate']:+.2%} (95 % interval {d['low']:+.2%} to {d['high']:+.2%})")
    if found["misplaced"]:
        lines.append(f"{found['misplaced']:,} customers were decided otherwise than they were drawn, and belong to no half")
    return lines


def _share(args: argparse.Namespace) -> float:
    if not 0 < args.share < 1:
        raise Malformed("--share must lie between 0 and 1")
    share: float = args.share
    return share
