"""``make demo``: the main job from nothing to a scored list, its outcomes and its drift, told as it happens."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local.cli import fail
from local.client import Api
from local.demo_summary import print_summary, write_report
from local.environment import adopt, compose, databases, environ, home_folder, start_databases
from local.keys import machine_key, machine_keys
from local.processes import Processes
from local.programs import ports_of, prefect_server, scoring_service
from local.story import Clock, held_out, months_to_post, post_list, post_outcomes, wait_live, worth
from propensity.access import Role
from propensity.campaign import Campaign
from propensity.campaigns import campaign
from propensity.errors import PropensityError, StoreError
from propensity.settings import Settings

PROGRAMS = ("api", "prefect")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; return the exit code. The state of an earlier demo is replaced."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.splitlines()[0])
    parser.add_argument("--campaign", default=os.environ.get("CAMPAIGN") or "term-deposit")
    parser.add_argument("--source", help="public or synthetic[:rows[:seed]]; by default public where it can be had")
    args = parser.parse_args(argv)
    # A polite kill cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        declared = campaign(args.campaign)
        home = home_folder() / "demo"
        clock = Clock(say=lambda line: print(line, flush=True))
        source = args.source or choose_source(declared, home)
        print(first_line(declared, source), flush=True)
        _run(declared, source, _fresh(home), clock)
    except PropensityError as exc:
        return fail(exc)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def choose_source(declared: Campaign, home: Path) -> str:
    """``public`` where the real data is at hand or can be fetched, else ``synthetic``."""
    from propensity.adapters.sources import read_source

    if declared.source is None:
        return "synthetic"
    folder = os.environ.get("PROPENSITY_DATA_DIR")
    if folder:
        return "public"
    try:
        read_source("public", declared, home=home.parent)
    except (StoreError, PropensityError):
        return "synthetic"
    return "public"


def first_line(declared: Campaign, source: str) -> str:
    """Says which data is used, and why where it is not the real one."""
    if source.startswith("synthetic"):
        why = "" if declared.source is None else " (the real file is neither in PROPENSITY_DATA_DIR nor can it be fetched)"
        return f"{declared.title}: SYNTHETIC data, drawn from the campaign's recipe{why}; its figures say nothing about real customers"
    return f"{declared.title}: real data, {declared.source.file if declared.source else source}"


def _fresh(home: Path) -> Path:
    """An empty state folder: a demo that ran before, or was killed, leaves nothing behind."""
    if home.exists():
        Processes(home).stop(PROGRAMS)
        _, server = databases(home)
        if server is not None:
            server.remove()
        shutil.rmtree(home)
    return home


def _run(declared: Campaign, source: str, home: Path, clock: Clock) -> None:
    with ExitStack() as closing:
        with clock.step("start", "starting Postgres, the scoring service and Prefect"):
            settings = _start(home, closing)
        found = _tell(declared, source, settings, clock)
        with clock.step("stop", "stopping what was started"):
            closing.close()
    found["seconds"] = {"total": clock.total(), **clock.seconds}
    write_report(found)
    print_summary(declared, found)


def _start(home: Path, closing: ExitStack) -> Settings:
    """Start what the story needs; undone by ``closing``. This process is told where everything is."""
    from propensity.adapters.migrate import migrate

    urls, server, started = start_databases(home)
    if server is not None and started:
        closing.callback(server.stop)
    processes = Processes(home)
    api_port, prefect_port, _ = ports_of(processes, os.environ)
    settings = compose(home, urls, api_port=api_port)
    prefect = prefect_server(settings, urls, prefect_port)
    closing.callback(processes.stop, PROGRAMS)
    processes.start(prefect)
    migrate(urls.owner_url)
    machine_keys(home, urls.owner_url)
    processes.start(scoring_service(settings))
    adopt(environ(settings, prefect_api_url=f"{prefect.page}/api"))
    warm = threading.Thread(target=_import_slowly, daemon=True)
    warm.start()
    processes.wait_ready([prefect])
    warm.join()
    return settings


def _import_slowly() -> None:
    """Load what the story needs while the servers start."""
    from importlib import import_module

    for name in ("flows.retrain", "monitoring.flow", "mlflow.pyfunc", "sklearn.linear_model", "evidently"):
        import_module(name)


def _tell(declared: Campaign, source: str, settings: Settings, clock: Clock) -> dict[str, Any]:
    """The story itself: each step as a platform would do it, through the running service and the flows."""
    from flows.ingest import ingest
    from flows.promote import promote
    from flows.train import train
    from propensity.adapters.platform import platform

    name = declared.name
    api = Api(f"http://{settings.api_host}:{settings.api_port}", machine_key(settings.home, Role.MARKETING))
    with clock.step("ingest", "ingest: reading, checking and snapshotting the data"):
        ingested = ingest(name, source)
    with clock.step("train", "train: random split for the record, then on the past alone"):
        trained = train(name, ingested["snapshot_id"])
    with clock.step("promote", "promote: gates, on customers that the model never saw"):
        promoted = promote(name, trained["digest"], "demo")
    if promoted["decision"] != "promote":
        # Refused by its gates, or on trial, or waiting for a person, as the campaign declares.
        raise PropensityError(f"the model of campaign {name!r} is not live ({promoted['decision']}): {'; '.join(promoted['reasons'])}")
    with clock.step("pick_up", "serve: waiting until the running service has picked up the new model"):
        wait_live(api, name, trained["digest"])
    at = platform()
    data, test = held_out(at, declared, ingested["snapshot_id"])
    (first_month, first), (later_month, later) = months_to_post(data, test)
    with clock.step("score", f"score: posting {int(first.sum()):,} customers of {first_month}"):
        posted = post_list(api, data, first_month, first)
    with clock.step("outcomes", "outcomes: posting what happened to them"):
        outcomes = post_outcomes(api, name, posted)
    with clock.step("score_later", f"score: posting {int(later.sum()):,} customers of {later_month}"):
        posted_later = post_list(api, data, later_month, later)
        post_outcomes(api, name, posted_later)
    with clock.step("monitor", "monitor: comparing both lists with the training data (Evidently)"):
        monitored = _monitor(name, posted.since, posted.until, posted_later.since, posted_later.until)
    answered = posted.counts["scored"] + posted_later.counts["scored"]
    return {
        "campaign": name,
        "data": {
            "source": ingested["source"].get("name") or source,
            "kind": ingested["source"].get("kind"),
            "synthetic": source.startswith("synthetic"),
            "rows": ingested["rows"],
            "positives": ingested["positives"],
            "first_month": ingested["first_month"],
            "last_month": ingested["last_month"],
            "sha256": ingested["source"].get("sha256"),
            "snapshot_id": ingested["snapshot_id"],
            "dropped_columns": ingested["dropped_columns"],
        },
        "metrics": {
            "random_split": trained["random_split"],
            "time_split": {
                **trained["metrics"],
                "split": trained["split_text"],
                "kind": trained["split"],
                "trained_months": trained["trained_months"],
            },
        },
        "promotion": {"decision": promoted["decision"], "reasons": promoted["reasons"], "model_digest": trained["digest"]},
        "list": {"month": posted.month, **posted.counts, "expected_profit": posted.expected_profit, "best": posted.best(10)},
        "worth": worth(posted, declared),
        "outcomes": outcomes,
        "predictions": {"answered": answered, "logged": at.log.count(name)},
        "drift": {
            **_drift(monitored["later"]["drift"], later_month),
            "first_list": _drift(monitored["first"]["drift"], first_month),
            "empty_window": monitored["empty"]["drift"]["verdict"],
        },
        "performance": monitored["first"]["performance"],
        "places": _places(at, settings, name, trained, monitored),
    }


def _monitor(name: str, since: datetime, until: datetime, later_since: datetime, later_until: datetime) -> dict[str, Any]:
    from monitoring.flow import monitor

    tomorrow = datetime.now(UTC) + timedelta(days=1)
    return {
        "first": monitor(name, since, until),
        "later": monitor(name, later_since, later_until),
        "empty": monitor(name, tomorrow, tomorrow + timedelta(days=1)),
    }


def _drift(run: dict[str, Any], month: str) -> dict[str, Any]:
    return {
        "month": month,
        "verdict": run["verdict"],
        "rows": run["rows"],
        "columns_drifted": len(run["drifted"]),
        "columns": run["columns"],
        "drifted": run["drifted"],
        "metrics": run["metrics"],
        "report_key": run["report_key"],
    }


def _places(at: Any, settings: Settings, name: str, trained: dict[str, Any], monitored: dict[str, Any]) -> dict[str, str]:
    show: Callable[[str], str] = lambda key: str(at.store.uri(key)).removeprefix("file://")  # noqa: E731
    return {
        "model package": show(f"models/{name}/{trained['digest']}"),
        "training report and figures": show(f"trainings/{name}/{trained['digest']}"),
        "drift report": show(monitored["later"]["drift"]["report_key"]),
        "MLflow": f"experiment {name}, model version {trained['mlflow_version']}",
        "prediction log": "table prediction_request and view prediction in the database propensity",
        "state folder": str(settings.home),
    }


if __name__ == "__main__":
    sys.exit(main())
