"""Commands about whom to contact: suppressions, erasure, what contacting brought, and what it takes to see it."""

from __future__ import annotations

import argparse
import getpass
import json
import math
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from propensity import lift
from propensity.campaign import Campaign
from propensity.campaigns import all_campaigns, campaign
from propensity.contact_policy import SUPPRESSED
from propensity.erasure import ERASED_BEGINS, LEFT
from propensity.errors import DataError, Malformed
from propensity.gate_ports import Suppression
from propensity.schema import check_ids

LIFT_DAYS, PLAN_DAYS = 365, 28
ERASE_DEADLINE_S = 24 * 3600.0
SHARES = (0.05, 0.1, 0.2, 0.3, 0.5)
Command = Callable[[argparse.Namespace], int]


def add_commands(commands: Any) -> None:
    """Add the commands to the command line."""

    def command(group: Any, name: str, run: Command, text: str) -> argparse.ArgumentParser:
        sub: argparse.ArgumentParser = group.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run, needs_stores=True)
        return sub

    measured = command(commands, "lift", _lift, "what contacting brought, measured against the control group")
    measured.add_argument("campaign", help="name of the campaign, as in term-deposit")
    measured.add_argument("--since", help="first day of the predictions, YYYY-MM-DD; a year ago where none is given")
    measured.add_argument("--until", help="last day; today where none is given")
    measured.add_argument("--key", help="of an earlier holdout; the declared one where none is given")
    measured.add_argument("--json", action="store_true", help="print everything, as JSON")
    planned = command(commands, "plan-test", _plan, "how many customers and weeks it takes to see a lift")
    planned.add_argument("campaign", help="name of the campaign, as in term-deposit")
    planned.add_argument("--lift", type=float, required=True, help="how much more of those contacted convert, as in 0.02")
    planned.add_argument(
        "--base-rate", type=float, help="share of those left alone who convert; that of the control group where none is given"
    )
    planned.add_argument(
        "--per-week", type=float, help="customers whom the policy chooses in a week; those of the last four where none is given"
    )
    planned.add_argument("--share", type=float, help="of the control group; the declared one, else 0.1")
    planned.add_argument("--power", type=float, default=0.8, help="how often the lift is to be seen if it is there (0.8)")
    planned.add_argument("--json", action="store_true", help="print everything, as JSON")
    text = "who may not be contacted: add, lift, list, show"
    group = commands.add_parser("suppressions", help=text, description=text).add_subparsers(required=True, metavar="COMMAND")
    add = command(group, "add", _add, "suppress customers")
    add.add_argument("--reason", required=True, choices=SUPPRESSED)
    lifted = command(group, "lift", _remove, "lift suppressions; the record keeps both")
    for sub in (add, lifted):
        sub.add_argument("customers", nargs="+", metavar="CUSTOMER", help="ids")
        sub.add_argument("--campaign", help="for this campaign alone; for every one where none is given")
        sub.add_argument("--note")
    listed = command(group, "list", _list, "those that hold, the newest first")
    listed.add_argument("--campaign", help="those that hold for it")
    listed.add_argument("--limit", type=int, default=100)
    command(group, "show", _show, "everything that was recorded of one customer").add_argument("customer")
    erase = command(commands, "erase", _erase, "make what is kept of one customer unreadable, and print a receipt")
    erase.add_argument("customer", help="the id as it was sent")
    erase.add_argument("--reason", required=True)


def _lift(args: argparse.Namespace) -> int:
    from propensity.adapters.platform import platform
    from propensity.measured_lift import lift_of

    declared, now = campaign(args.campaign), datetime.now(UTC)
    until = _day(args.until) + timedelta(days=1) if args.until else now
    since = _day(args.since) if args.since else until - timedelta(days=LIFT_DAYS)
    at = platform()
    found = lift_of(declared, at.contacts, at.outcomes, since, until, now, args.key)
    print(json.dumps(found, indent=2) if args.json else "\n".join(of_lift(found, declared)))
    return 0


def of_lift(found: dict[str, Any], declared: Campaign) -> list[str]:
    """A measured lift, in lines for people."""
    contact, holdout = found["arms"]["contact"], found["arms"]["holdout"]
    if found["verdict"] == "no_data":
        why = "declares no holdout" if found["key"] is None else f"has no mature outcomes in both arms of {found['key']!r}"
        waiting = f"; {found['not_yet_mature']:,} customers are too recent to count" if found["not_yet_mature"] else ""
        return [f"lift: no data: {declared.name} {why}{waiting}"]
    d, more = found["difference"], found["incremental"]
    lines = [
        f"{name}: {arm['conversions']:,} of {arm['known']:,} converted ({arm['rate']:.2%}); {arm['customers']:,} customers"
        for name, arm in (("contact", contact), ("holdout", holdout))
    ]
    said = {"more": "contacting brought conversions", "less": "contacting cost conversions", "unclear": "the interval holds 0"}
    ends = f"{d['confidence']:.0%} interval {d['low']:+.2%} to {d['high']:+.2%}"
    lines.append(f"difference {d['estimate']:+.2%} ({ends}): {said[found['verdict']]}")
    c, m = more["conversions"], more["money"]
    lines.append(f"conversions more: {c['estimate']:,.0f} ({c['low']:,.0f} to {c['high']:,.0f})")
    lines.append(f"money: {m['estimate']} {m['currency']} ({m['low']} to {m['high']}), {m['contacts']:,} contacts paid")
    if found["share"]["suspicious"]:
        observed, declared_share = found["share"]["observed"], found["share"]["declared"]
        lines.append(f"the control group is {observed:.1%} of them and not {declared_share:.1%}: it was not drawn as declared")
    return lines


def _plan(args: argparse.Namespace) -> int:
    declared = campaign(args.campaign)
    share = args.share if args.share is not None else declared.holdout.share if declared.holdout else 0.1
    base, weekly = args.base_rate, args.per_week
    if base is None or weekly is None:
        base, weekly = _derived(declared, base, weekly)
    if not (0 < share < 1 and 0 < base < 1 and 0 < base + args.lift < 1 and args.lift and weekly > 0 and 0.05 < args.power < 1):
        raise Malformed("share, base rate and base rate plus lift must lie between 0 and 1, power between 0.05 and 1, customers above 0")
    found = [(one, lift.plan(base, args.lift, one, power=args.power)) for one in sorted({*SHARES, share})]
    chosen = next(plan for one, plan in found if one == share)
    label_weeks = math.ceil(declared.label.window_days / 7)
    told = {
        "campaign": declared.name, "base_rate": base, "lift": args.lift, "power": args.power, "per_week": weekly,
        "label_weeks": label_weeks,
        "plans": [{"share": one, "customers": p.customers, "held_out": p.held_out, "weeks": p.weeks(weekly)} for one, p in found],
    }  # fmt: skip
    if args.json:
        print(json.dumps(told, indent=2))
        return 0
    print(
        f"to see {args.lift:+.2%} on {base:.2%} in {args.power:.0%} of cases with {share:.0%} held out: {chosen.customers:,} customers "
        f"chosen by the policy, {chosen.held_out:,} of them left alone: {chosen.weeks(weekly):,} weeks at {weekly:,.0f} a week, and "
        f"{label_weeks} more until the last outcome is known"
    )
    for one, plan in found:
        print(f"  {one:>4.0%} held out: {plan.customers:>9,} customers, {plan.weeks(weekly):>5,} weeks")
    return 0


def _derived(declared: Campaign, base: float | None, weekly: float | None) -> tuple[float, float]:
    """Base rate and customers per week from the log, where they were not said. Raises DataError where the log holds none."""
    from propensity.adapters.platform import platform
    from propensity.measured_lift import lift_of

    at, now = platform(), datetime.now(UTC)
    if base is None:
        found = lift_of(declared, at.contacts, at.outcomes, now - timedelta(days=LIFT_DAYS), now, now)
        base = found["arms"]["holdout"]["rate"]
        if not base:
            raise DataError("there is no control group with conversions yet: say --base-rate, the share of those left alone who convert")
    if weekly is None:
        chosen = {
            name
            for request in at.contacts.arms(declared.name, now - timedelta(days=PLAN_DAYS), now)
            for name, mine in zip(request.customer_ids, (request.contact | request.held_out).tolist(), strict=True)
            if mine
        }
        weekly = len(chosen) / (PLAN_DAYS / 7)
        if not weekly:
            raise DataError(
                f"nobody was chosen in the last {PLAN_DAYS} days: say --per-week, the customers whom the policy chooses in a week"
            )
    return base, weekly


def _add(args: argparse.Namespace) -> int:
    return _append(args, "add", args.reason)


def _remove(args: argparse.Namespace) -> int:
    return _append(args, "lift", "lifted")


def _append(args: argparse.Namespace, action: Literal["add", "lift"], reason: str) -> int:
    from propensity.adapters.platform import platform

    if args.campaign is not None:
        campaign(args.campaign)
    where = "every campaign" if args.campaign is None else args.campaign
    names = _customers(args.customers)
    platform().suppressions.add(names, campaign=args.campaign, action=action, reason=reason, note=args.note, actor=getpass.getuser())
    print(f"{len(names):,} customers: {'suppressed' if action == 'add' else 'lifted'} for {where}")
    return 0


def _list(args: argparse.Namespace) -> int:
    from propensity.adapters.platform import platform

    if args.campaign is not None:
        campaign(args.campaign)
    rows = platform().suppressions.listed(customer_id=None, campaign=args.campaign, limit=max(1, args.limit), before=None)
    print("\n".join(map(_line, rows)) if rows else f"nobody is suppressed ({len(all_campaigns())} campaigns)")
    return 0


def _show(args: argparse.Namespace) -> int:
    from propensity.adapters.platform import platform

    rows = platform().suppressions.history(*_customers([args.customer]))
    print("\n".join(map(_line, rows)) if rows else "nothing was recorded of this customer")
    return 0


def _line(row: Suppression) -> str:
    note = f": {row.note}" if row.note else ""
    name = row.customer_id or "(erased)"
    where = row.campaign or "every campaign"
    return f"{row.created_at:%Y-%m-%d %H:%M} UTC  {row.action:<4}  {where:<24}  {name}  {row.reason}, by {row.actor}{note}"


def _erase(args: argparse.Namespace) -> int:
    from propensity.adapters.platform import platform

    (name,) = _customers([args.customer])
    done = platform().erasures.erase(
        str(uuid.uuid4()), name, actor=getpass.getuser(), reason=args.reason, deadline_s=ERASE_DEADLINE_S
    )  # fmt: skip
    print(f"erasure {done.erasure_id}: {done.predictions:,} predictions of {done.requests:,} requests, {done.replies:,} stored replies,")
    print(f"{done.outcomes:,} outcomes, {done.contacts:,} contacts; {done.suppressions:,} suppressions go on by their hash alone")
    for what, why in LEFT:
        print(f"left: {what}: {why}")
    return 0 if done.complete else 5


def _customers(names: list[str]) -> list[str]:
    issues: list[Any] = []
    found = check_ids(names, 1, issues)
    if issues or any(name.startswith(ERASED_BEGINS) for name in found):
        raise DataError("a customer id is a text of 1 to 128 printable characters")
    return found


def _day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as exc:
        raise Malformed("--since and --until take days, as in 2026-01-31") from exc
