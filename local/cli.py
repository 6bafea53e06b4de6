"""The command line: ``propensity COMMAND``, from ingesting data and training to scoring files and acknowledging an alert."""

from __future__ import annotations

import argparse
import atexit
import getpass
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local import alert_commands, contact, keys, promotions, trial
from local.environment import adopt, compose, environ, home_folder, start_databases
from local.fill import fill_running
from local.list_progress import list_progress, show_list
from local.processes import Processes
from local.sentences import of_ingest, of_monitoring, of_outcomes, of_promotion, of_retraining, of_training
from propensity.campaigns import all_campaigns, campaign
from propensity.errors import Malformed, PropensityError, RowIssue
from propensity.zoo import SETS

SHOWN_ISSUES = 10


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the process exit code. Every expected error is one sentence on standard error."""
    args = _parser().parse_args(argv)
    try:
        if getattr(args, "campaign", None) is not None:
            campaign(args.campaign)
        command: Callable[[argparse.Namespace], int] = args.run
        if args.needs_stores:
            open_stores()
            _show_steps()
        return command(args)
    except PropensityError as exc:
        return fail(exc)
    except BrokenPipeError:
        return 0


def fail(exc: PropensityError) -> int:
    """Print an error with the first rows it names; return its exit code."""
    print(f"error: {exc}", file=sys.stderr)
    issues: Sequence[RowIssue] = getattr(exc, "issues", ())
    told = "\n" in str(exc)  # the quality gate's message lists its rows with their lines already
    for issue in () if told else issues[:SHOWN_ISSUES]:
        print(f"  {issue}", file=sys.stderr)
    return exc.exit_code


def open_stores() -> None:
    """Make the platform's stores ready for this process: those of ``make up`` where they run, else started for this command alone."""
    from propensity.adapters.migrate import migrate

    home = home_folder()
    urls, server, started = start_databases(home)
    if server is not None and started:
        # Registered before Prefect is imported, and so run after Prefect has written its last logs.
        atexit.register(server.stop)
    migrate(urls.owner_url)
    processes = Processes(home)
    prefect, api = processes.running("prefect"), processes.running("api")
    settings = compose(home, urls, api_port=api.port if api else None)
    told = environ(
        settings,
        prefect_api_url=f"{prefect.page}/api" if prefect else None,
        prefect_database_url=None if prefect else urls.prefect_url,
    )
    adopt(told)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="propensity", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str, *, takes_campaign: bool = True) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run, needs_stores=takes_campaign)
        if takes_campaign:
            sub.add_argument("campaign", help="name of the campaign, as in term-deposit")
        return sub

    ingest = command("ingest", _ingest, "read, check and snapshot a data set")
    retrain = command("retrain", _retrain, "ingest, train and promote")
    for sub in (ingest, retrain):
        sub.add_argument("--source", help="public, kaggle, synthetic[:rows[:seed]], a path, an address, postgresql://..., s3://...")
    train = command("train", _train, "train a model on a snapshot and register it")
    train.add_argument("--snapshot", help="snapshot id; the newest where none is given")
    train.add_argument("--candidates", help=f"what to try: {', '.join(SETS)}, or names joined by commas; else what the campaign declares")
    train.add_argument("--search", type=int, metavar="N", help="search N settings for each candidate that has some")
    promote = command("promote", _promote, "judge a trained model and put it live if its gates pass")
    promote.add_argument("--model", help="package digest; the newest where none is given")
    promote.add_argument("--override", action="store_true", help="put it live whatever was said of it before; without gates")
    promote.add_argument("--reason", default=promotions.ASKED, help="for the record, with --override")
    score = command("score", _score, "score a file of customers with the live model and log every prediction")
    score.add_argument("file", type=Path, help="CSV or Parquet")
    score.add_argument("--out", type=Path, help="where the call sheet goes (Parquet: .parquet); FILE.call-sheet.csv where none is given")
    score.add_argument("--reasons", type=int, choices=range(11), default=3, metavar="N", help="reasons per customer, 0 to 10; 0 is fastest")
    outcomes = command("outcomes", _outcomes, "take a file of what happened later: each outcome, and each file, once", takes_campaign=False)
    outcomes.set_defaults(needs_stores=True)
    outcomes.add_argument("file", type=Path, help="CSV or Parquet, with label and either prediction_id or customer_id")
    outcomes.add_argument("--campaign", required=True, help="name of the campaign, as in term-deposit")
    outcomes.add_argument("--errors", type=Path, help="where refused rows are listed; FILE.errors.csv where none is given")
    monitor = command("monitor", _monitor, "compare logged predictions with the training data")
    monitor.add_argument("--since", help="start of the window, RFC 3339")
    monitor.add_argument("--until", help="end of the window, RFC 3339")
    report = command("report", _report, "make the campaign's report: whom it contacted, what was expected, what it brought")
    report.add_argument("--since", help="start of the window, RFC 3339; the first prediction where none is given")
    report.add_argument("--until", help="end of the window, RFC 3339; now where none is given")
    report.add_argument("--out", type=Path, help="where the page goes; report-CAMPAIGN.html where none is given")
    for sub in (ingest, retrain, train, promote, monitor, outcomes):
        sub.add_argument("--json", action="store_true", help="print everything that was found, as JSON")
    promotions.add_commands(command)
    command("fill-year", _fill_year, "fill a platform that was never used with a replayed year, as make up does", takes_campaign=False)
    command("campaigns", _campaigns, "list the campaigns of this installation", takes_campaign=False)
    alert_commands.add_commands(commands)
    contact.add_commands(commands)
    trial.add_commands(commands)
    keys.add_commands(commands)
    return parser


def _ingest(args: argparse.Namespace) -> int:
    name = args.campaign
    from flows.ingest import ingest

    return _tell(args, ingest(name, args.source), of_ingest)


def _retrain(args: argparse.Namespace) -> int:
    name = args.campaign
    from flows.retrain import retrain

    return _tell(args, retrain(name, args.source, getpass.getuser()), of_retraining)


def _train(args: argparse.Namespace) -> int:
    name = args.campaign
    from flows.train import train

    chosen = None if args.candidates is None else SETS.get(args.candidates, tuple(args.candidates.split(",")))
    return _tell(args, train(name, args.snapshot, None if chosen is None else list(chosen), args.search), of_training)


def _promote(args: argparse.Namespace) -> int:
    name = args.campaign
    if args.override:
        return promotions.promote_by_hand(name, args.model, args.reason)
    from flows.promote import promote

    return _tell(args, promote(name, args.model, getpass.getuser()), of_promotion)


def _score(args: argparse.Namespace) -> int:
    name = args.campaign
    from flows.score import score_to_file
    from propensity.adapters.platform import platform

    out: Path = args.out or args.file.with_name(args.file.name + ".call-sheet.csv")
    started = time.monotonic()
    with list_progress() as watch:
        result = score_to_file(platform(), name, args.file, out, top_reasons=args.reasons, watch=watch)
    show_list(result, out, time.monotonic() - started)
    return 0


def _outcomes(args: argparse.Namespace) -> int:
    name = args.campaign
    from flows.outcomes import take_file
    from propensity.adapters.platform import platform
    from propensity.callsheet import error_sheet

    errors: Path = args.errors or args.file.with_name(args.file.name + ".errors.csv")
    result = take_file(platform(), name, args.file, f"file:{args.file.name}")
    issues = result.pop("issues")
    if issues:
        errors.write_bytes(error_sheet(issues))
        result["errors"] = str(errors)
    return _tell(args, result, of_outcomes)


def _monitor(args: argparse.Namespace) -> int:
    name = args.campaign
    from monitoring.flow import monitor

    return _tell(args, monitor(name, _time(args.since), _time(args.until)), of_monitoring)


def _report(args: argparse.Namespace) -> int:
    name = args.campaign
    from local.report import write_report

    return write_report(name, _time(args.since), _time(args.until), args.out or Path(f"report-{name}.html"))


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise Malformed("--since and --until take RFC 3339 times, as in 2026-01-31T22:00:00+00:00") from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _fill_year(_: argparse.Namespace) -> int:
    return fill_running(home_folder())


def _campaigns(_: argparse.Namespace) -> int:
    for declared in all_campaigns().values():
        print(f"{declared.name:<22} {declared.question}")
    return 0


def _tell(args: argparse.Namespace, result: dict[str, Any], sentences: Callable[[dict[str, Any]], list[str]]) -> int:
    """Print a flow's result: as sentences, or whole as JSON."""
    print(json.dumps(result, indent=2, default=str) if args.json else "\n".join(sentences(result)))
    return 0


def _show_steps() -> None:
    """Print the steps of long work to standard error, so that a person sees that it goes on."""
    steps = logging.getLogger("propensity.flows.steps")
    steps.setLevel(logging.INFO)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s ..."))
    steps.addHandler(handler)


if __name__ == "__main__":
    sys.exit(main())
