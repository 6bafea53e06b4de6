"""Whether this machine's platform is filled with a replayed year, once, and the program that does it: ``python -m local.fill SOURCE``.

``year.json`` in the state folder keeps what became of it: ``filling`` where it was begun and did not end, ``failed``, or ``filled``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from local.client import Api
from local.environment import PROJECT, YEAR_FILE, compose, start_databases
from local.environment import environ as child_environ
from local.keys import machine_key
from local.postgres_urls import DatabaseUrls, given_urls
from local.processes import Processes
from local.state import read_state, write_state
from propensity.access import Role
from propensity.adapters.replayed_times import ReplayedTimes
from propensity.campaigns import all_campaigns
from propensity.errors import DataError, PropensityError, SettingsInvalid, StoreError
from propensity.settings import Settings

CAMPAIGN = "term-deposit"
FILLING, FAILED, FILLED = "filling", "failed", "filled"
Say = Callable[[str], None]


def wanted(answer: str) -> bool:
    """Whether ``YEAR`` asks for it. Raises SettingsInvalid where it says neither yes nor no."""
    if answer not in ("yes", "no"):
        raise SettingsInvalid("YEAR is yes or no: whether a platform that was never used is filled with a replayed year")
    return answer == "yes"


def why_not(home: Path, urls: DatabaseUrls) -> str | None:
    """Why this platform is not filled; None where it is to be."""
    state = read_state(home / YEAR_FILE).get("state")
    if state == FILLED:
        return "the replayed year is there already"
    if state is not None:
        return f"the replayed year was begun and did not end ({state}): what is there is not whole; to start anew: make down, remove {home}"
    if given_urls(os.environ) is not None:
        return "no replayed year: PROPENSITY_DATABASE_URL names a database of your own, and times are set back only in the one made here"
    if CAMPAIGN not in all_campaigns():
        return f"no replayed year: there is no campaign {CAMPAIGN!r}"
    if ReplayedTimes(urls.owner_url).is_used():
        return "no replayed year: this platform is in use already"
    return None


def prepare_year(home: Path, urls: DatabaseUrls, settings: Settings, say: Say) -> str | None:
    """The source to fill it from, noted in the state folder; None where it is not filled, which is told. The tables must be there."""
    reason = why_not(home, urls)
    if reason is not None:
        say(reason)
        return None
    source = choose_source(settings)
    if source.startswith("synthetic"):
        say("replayed year: SYNTHETIC customers (the real file is neither in PROPENSITY_DATA_DIR nor can it be fetched)")
    write_state(home / YEAR_FILE, {"state": FILLING, "source": source, "notice": notice(source)})
    return source


def choose_source(settings: Settings) -> str:
    """The source that flows ingest from by default; ``synthetic`` where that is the public file and it cannot be had."""
    from propensity.adapters.sources import read_source

    if settings.source != "public":
        return settings.source
    try:
        read_source("public", all_campaigns()[CAMPAIGN], data_dir=settings.data_dir, home=settings.home)
    except (StoreError, DataError):
        return "synthetic"
    return "public"


def notice(source: str) -> str:
    """What every page says from then on."""
    of = {"public": "the public data", "synthetic": "SYNTHETIC customers"}.get(source.partition(":")[0], "a data set of this machine")
    return f"Guided demo: a replayed year of {of} (dates shifted). Outcomes are taken to be known a week after the call."


def fill_home(settings: Settings, source: str, prefect: str | None, say: Say) -> bool:
    """Fill it, in a process of its own whose memory is given back; whether that worked. A platform that was not filled goes on."""
    told = child_environ(settings, owner=True, prefect_api_url=f"{prefect}/api" if prefect else None)
    with subprocess.Popen([sys.executable, "-m", "local.fill", source], env=told, cwd=PROJECT) as running:
        try:
            code = running.wait()
        except BaseException:
            running.send_signal(signal.SIGTERM)
            raise
    if code != 0:
        say("replayed year: it was NOT filled, see above; the platform goes on with what is there")
    return code == 0


def fill_running(home: Path) -> int:
    """``propensity fill-year``: fill the platform that runs; the exit code. Raises StoreError where it does not run."""
    processes = Processes(home)
    api, lists, prefect = (processes.running(name) for name in ("api", "lists", "prefect"))
    if api is None or lists is None:
        raise StoreError("the platform does not run: make up starts it, and fills it where it was never used")
    urls, _, _ = start_databases(home)
    settings = compose(home, urls, api_port=api.port)
    reason = why_not(home, urls)
    if reason is not None:
        print(reason)
        return 0 if read_state(home / YEAR_FILE).get("state") == FILLED else 2
    source = prepare_year(home, urls, settings, print)
    assert source is not None, "nothing stood against it"
    filled = fill_home(settings, source, prefect.page if prefect else None, print)
    print("the pages say so after the next make down and make up")
    return 0 if filled else 1


def main(argv: list[str]) -> int:
    """Fill the platform that the environment describes; the exit code."""
    from local.year import fill
    from propensity.adapters.platform import platform

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
    (source,) = argv
    at = platform()
    path = at.settings.home / YEAR_FILE
    state = read_state(path)
    url = f"http://{at.settings.api_host}:{at.settings.api_port}"
    marketing, operator = (Api(url, machine_key(at.settings.home, role)) for role in (Role.MARKETING, Role.OPERATOR))
    assert at.settings.owner_url is not None, "told by fill_home"
    owner = at.settings.owner_url.get_secret_value()
    try:
        told = fill(at, marketing, operator, owner, all_campaigns()[CAMPAIGN], source, lambda line: print(line, flush=True))
    except PropensityError as exc:
        write_state(path, {**state, "state": FAILED, "why": str(exc)})
        print(f"error: {exc}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        print("the replayed year was interrupted", file=sys.stderr)
        return 130
    write_state(path, {**state, "state": FILLED, "told": asdict(told)})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
