"""``python -m flows.operate rollback CAMPAIGN --by NAME``: a person's decisions on models where there is no command line of one machine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from propensity.adapters.platform import Platform, platform
from propensity.errors import PropensityError


def _rollback(at: Platform, given: argparse.Namespace) -> None:
    from flows.promote import rollback_into

    result = rollback_into(at, given.campaign, actor=given.by, reason=given.reason)
    print(f"{given.campaign}: model {result['model_digest'][:12]} is live again")


def _promote(at: Platform, given: argparse.Namespace) -> None:
    from flows.promote import promote_into

    result = promote_into(at, given.campaign, given.model, given.by)
    print(f"{given.campaign}: {result['decision']} {result['model_digest'][:12]}")
    for reason in result["reasons"]:
        print(f"  {reason}")


def _history(at: Platform, given: argparse.Namespace) -> None:
    for row in at.ledger.history(given.campaign):
        print(f"{row.sequence:>4}  {row.created_at:%Y-%m-%d %H:%M:%S}  {row.action:<8}  {row.model_digest[:12]}  by {row.actor}")


def _acknowledge(at: Platform, given: argparse.Namespace) -> None:
    stored = at.alerts.acknowledge(given.alert_id, actor=given.by, note=given.note)
    print(f"{stored.alert_id}: {stored.state}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one of these; return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        given.run(platform(), given)
    except PropensityError as exc:
        print(f"operate: {exc}", file=sys.stderr)
        return exc.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows.operate")
    commands = parser.add_subparsers(required=True)
    rollback = commands.add_parser("rollback", help="put the previous model back")
    rollback.add_argument("--reason", default="asked for")
    promote = commands.add_parser("promote", help="judge a model by its gates and put it live if it passes")
    promote.add_argument("--model", help="its digest; the newest trained where none is given")
    history = commands.add_parser("history", help="every decision on the campaign's models")
    for command, run in ((rollback, _rollback), (promote, _promote), (history, _history)):
        command.set_defaults(run=run)
        command.add_argument("campaign")
    acknowledge = commands.add_parser("acknowledge", help="take care of an alert: it is not told again while it is open")
    acknowledge.set_defaults(run=_acknowledge)
    acknowledge.add_argument("alert_id", metavar="ID")
    acknowledge.add_argument("--note", default="", help="what is being done about it")
    for command in (rollback, promote, acknowledge):
        command.add_argument("--by", required=True, help="who decided; stays in the record for ever")
    return parser


if __name__ == "__main__":
    sys.exit(main())
