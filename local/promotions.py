"""Champion and challengers on the command line: ``rollback | approve | shadow | compare | history``, and ``promote --override``."""

from __future__ import annotations

import argparse
import getpass
import json
import logging
from collections.abc import Callable
from typing import Any

from propensity.campaigns import campaign
from propensity.errors import DataError

Command = Callable[..., argparse.ArgumentParser]
ASKED = "asked for on the command line"


def add_commands(command: Command) -> None:
    """Declare the commands."""
    rollback = command("rollback", _rollback, "put the previous live model back")
    rollback.add_argument("--reason", default=ASKED)
    approve = command("approve", _approve, "put the model live that waits for approval, or reject it")
    approve.add_argument("--decision", type=int, metavar="N", help="which decision waits, where more than one does")
    approve.add_argument("--reject", action="store_true", help="say no")
    approve.add_argument("--reason", required=True, help="for the record")
    shadow = command("shadow", _shadow, "score in shadow what the live model answered, with the challengers")
    shadow.add_argument("--model", action="append", metavar="M", help="version or digest of a model of the history; may be said again")
    shadow.add_argument("--follow", action="store_true", help="go on until interrupted")
    shadow.add_argument("--sweep", action="store_true", help="look for missing scores from the beginning")
    compare = command("compare", _compare, "hold challengers against the live model on mature outcomes; promote or take back by the rules")
    compare.add_argument("--json", action="store_true", help="print everything that was found, as JSON")
    history = command("history", _history, "who or what put which model live, on which evidence")
    history.add_argument("--last", type=int, metavar="N", help="the newest N decisions alone")
    history.add_argument("--json", action="store_true", help="one decision a line, evidence included, as JSON")


def promote_by_hand(name: str, wanted: str | None, reason: str) -> int:
    """``propensity promote --override``: put a known model live whatever was said of it."""
    from flows.promote import package_check, sync_alias
    from propensity.adapters.platform import platform
    from propensity.decisions import promote_known
    from propensity.promotion import parse_choice

    if wanted is None:
        raise DataError("--override needs --model: name the model that is to go live")
    at = platform()
    check = package_check(at, name)
    row = promote_known(at.ledger, name, parse_choice(wanted), getpass.getuser(), reason, check=check, override=True)
    print(f"{name}: it is live already" if row is None else f"{name}: model {row.model_version} is live now, by decision {row.sequence}")
    sync_alias(at, name)
    return 0


def _rollback(args: argparse.Namespace) -> int:
    from flows.promote import rollback_into
    from propensity.adapters.platform import platform

    result = rollback_into(platform(), args.campaign, reason=args.reason)
    print(f"{args.campaign}: model {result['model_digest'][:12]} is live again")
    return 0


def _approve(args: argparse.Namespace) -> int:
    from flows.promote import package_check, sync_alias
    from propensity.adapters.platform import platform
    from propensity.decisions import approve, reject

    at, name, who = platform(), args.campaign, getpass.getuser()
    if args.reject:
        row = reject(at.ledger, name, who, args.reason, sequence=args.decision)
        print(f"{name}: model {row.model_version} was rejected, by decision {row.sequence}; the live model stays")
        return 0
    row = approve(at.ledger, name, who, args.reason, check=package_check(at, name), sequence=args.decision)
    print(f"{name}: model {row.model_version} is live now, by decision {row.sequence}")
    sync_alias(at, name)
    return 0


def _shadow(args: argparse.Namespace) -> int:
    from flows.shadow import follow_for_ever, shadow_into
    from propensity.adapters.platform import platform

    at = platform()
    at.shadow.make_partitions()
    if args.follow:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
        print(f"{args.campaign}: following the log; Ctrl-C ends it", flush=True)
        try:
            follow_for_ever(at, [args.campaign], args.model)
        except KeyboardInterrupt:
            return 0
    result = shadow_into(at, args.campaign, sweep=args.sweep, models=args.model, busy_share=1.0)
    if not result["models"]:
        print(f"{args.campaign}: no model scores in shadow: none is live, or none but the live one was decided on")
    for digest, done in result["models"].items():
        told = (
            done["problem"] or f"{done['predictions']:,} predictions in {done['requests']:,} requests, {done['skipped']:,} requests skipped"
        )
        print(f"{args.campaign}: {digest[:12]} ({done['why']}): {told}")
    return 4 if any(done["problem"] for done in result["models"].values()) else 0


def _compare(args: argparse.Namespace) -> int:
    from flows.compare import compare_into, sentences
    from propensity.adapters.platform import platform

    result = compare_into(platform(), args.campaign, busy_share=1.0)
    print(json.dumps(result, indent=2, default=str) if args.json else "\n".join(sentences(result)))
    return 0


def _history(args: argparse.Namespace) -> int:
    from propensity.adapters.platform import platform
    from propensity.decisions import State

    ledger, name = platform().ledger, args.campaign
    if args.last is not None and args.last < 1:
        raise DataError("--last takes a whole number from 1")
    state = State.read(ledger, name)
    rows = state.history[-args.last :] if args.last else state.history
    if args.json:
        for row in rows:
            print(json.dumps(_plain(row), default=str))
        return 0
    if not rows:
        print(f"{name}: nothing was promoted or refused yet")
    for row in rows:
        print(f"{row.sequence:>4}  {row.created_at:%Y-%m-%d %H:%M:%S}  {row.step or row.action:<9}  {row.model_version}  by {row.actor}")
        for reason in row.reasons:
            print(f"      {reason}")
    for row in state.waiting():
        fits = "waits for approval" if state.fits(row) else "waited for approval until another model went live"
        print(f"decision {row.sequence}: model {row.model_version} {fits}")
    if campaign(name).challenge.approval == "human":
        print(f"{name}: models go live by approval: propensity approve {name} --reason TEXT")
    return 0


def _plain(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}
