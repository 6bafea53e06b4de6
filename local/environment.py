"""What the programs of one machine are told: settings made from a state folder, and the environment of every child."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from local.postgres import EmbeddedPostgres
from local.postgres_urls import DatabaseUrls, given_urls
from local.state import make_home, read_state, write_state
from propensity.campaigns import all_campaigns
from propensity.errors import SettingsInvalid
from propensity.holdout import TRIALS_KEY
from propensity.settings import Settings

PROJECT = Path(__file__).resolve().parent.parent
# Settings of these programs that a person has for other work must not reach the platform's own.
CAMPAIGNS_DIR = "PROPENSITY_CAMPAIGNS_DIR"
_FOREIGN = ("PROPENSITY_", "PREFECT_", "MLFLOW_", "_MLFLOW_")

# What is kept of the replayed year (local/fill.py).
YEAR_FILE = "year.json"
FLOWS_ALONE = {
    "prefect_database_url",
    "prefect_database_password",
    "alerts_webhook_url",
    "alerts_webhook_secret",
    "alerts_slack_url",
    "alerts_smtp_url",
}

# Nothing here talks to the outside by default, and logs stay readable.
QUIET = {
    "DO_NOT_TRACK": "true",  # Prefect, MLflow and Evidently look at it; Evidently asks only whether it is set
    "EVIDENTLY_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "GIT_PYTHON_REFRESH": "quiet",  # MLflow asks for git, which no image has
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # its worker processes serve language-model features
    "PYTHONUNBUFFERED": "1",
}


def home_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The state folder: ``PROPENSITY_HOME``, else ``.propensity`` in the project; absolute, not yet made."""
    return Path(environ.get("PROPENSITY_HOME") or PROJECT / ".propensity").expanduser().absolute()


def databases(home: Path, environ: Mapping[str, str] = os.environ) -> tuple[DatabaseUrls | None, EmbeddedPostgres | None]:
    """Addresses given by the environment, or the embedded server that stands in for them; nothing is made or started.

    Raises
    ------
    SettingsInvalid
        The environment names one database and not the others.
    """
    given = given_urls(environ)
    return given, EmbeddedPostgres(home) if given is None else None


def start_databases(home: Path, environ: Mapping[str, str] = os.environ) -> tuple[DatabaseUrls, EmbeddedPostgres | None, bool]:
    """Addresses of the databases, the embedded server where it is used, and whether it had to be started.

    Raises
    ------
    SettingsInvalid
        The environment names one database and not the others, or no server can be made here.
    DatabaseUnavailable
        The embedded server did not come up.
    """
    given, server = databases(home, environ)
    if server is None:
        assert given is not None
        return given, None, False
    started = server.start()
    return server.urls(), server, started


def compose(home: Path, urls: DatabaseUrls, environ: Mapping[str, str] = os.environ, *, api_port: int | None = None) -> Settings:
    """Settings of the platform on one machine. What the environment sets wins; the rest lies in the state folder.

    Raises
    ------
    SettingsInvalid
        A variable has an unusable value; the message names it and never its value.
    """
    home = make_home(home)
    given = {name: environ[f"PROPENSITY_{name.upper()}"] for name in Settings.model_fields if environ.get(f"PROPENSITY_{name.upper()}")}
    made: dict[str, Any] = {
        "home": home,
        "database_url": SecretStr(urls.app_url),
        "owner_url": SecretStr(urls.owner_url),
        "mlflow_url": SecretStr(urls.mlflow_url),
        **({"prefect_database_url": SecretStr(urls.prefect_url)} if urls.prefect_url else {}),
        "store_url": given.get("store_url", (home / "store").as_uri()),
        "mlflow_artifacts": given.get("mlflow_artifacts", (home / "mlflow").as_uri()),
        "holdout_keys": SecretStr(given.get("holdout_keys") or holdout_keys(home)),
    }
    if "notice" not in given:
        made["notice"] = read_state(home / YEAR_FILE).get("notice", "")
    if api_port is not None:
        made["api_port"] = api_port
    if "data_dir" in given:
        # Scheduled runs work in folders of their own.
        made["data_dir"] = Path(given["data_dir"]).expanduser().absolute()
    try:
        return Settings(**{**given, **made})
    except ValidationError as exc:
        wrong = ", ".join("PROPENSITY_" + "_".join(str(p) for p in e["loc"]).upper() + f" ({e['msg']})" for e in exc.errors())
        raise SettingsInvalid(f"these settings cannot be used: {wrong}") from exc


def environ(
    settings: Settings,
    *,
    owner: bool = False,
    mlflow: bool = True,
    prefect_api_url: str | None = None,
    prefect_database_url: str | None = None,
    base: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Environment of a child process: each is told what it needs and no more.

    Parameters
    ----------
    settings : Settings
        Passed on as ``PROPENSITY_*``.
    owner : bool
        Whether the child may change tables.
    mlflow : bool
        Whether the child may reach MLflow's database. The scoring service may not.
    prefect_api_url : str, optional
        Address of a running Prefect server. Without it a flow starts a short-lived one.
    prefect_database_url : str, optional
        Database of the Prefect server, for the child that is that server.
    base : mapping
        The rest; settings of the same programs in it are dropped.

    Returns
    -------
    dict of str to str
        Holds passwords: never print it.
    """
    hidden = {name for name, wanted in (("owner_url", owner), ("mlflow_url", mlflow)) if not wanted}
    # What runs flows tells of alerts and tidies Prefect's tables; nothing else needs those secrets.
    hidden |= set() if mlflow else FLOWS_ALONE
    told = {f"PROPENSITY_{name.upper()}": _text(value) for name, value in settings if value is not None and name not in hidden}
    auth = prefect_auth(settings.home)
    prefect = {
        "PREFECT_HOME": str(settings.home / "prefect"),
        "PREFECT_API_AUTH_STRING": auth,
        "PREFECT_SERVER_API_AUTH_STRING": auth,
    }
    if prefect_api_url:
        prefect["PREFECT_API_URL"] = prefect_api_url
    if prefect_database_url:
        prefect["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = prefect_database_url
    kept = {k: v for k, v in base.items() if not k.startswith(_FOREIGN)}
    if base.get(CAMPAIGNS_DIR):
        kept[CAMPAIGNS_DIR] = str(Path(base[CAMPAIGNS_DIR]).expanduser().absolute())
    python_path = os.pathsep.join(filter(None, (str(PROJECT), base.get("PYTHONPATH"))))
    return {**kept, **QUIET, **_no_proxy(base), **prefect, **told, "PYTHONPATH": python_path}


def _no_proxy(base: Mapping[str, str]) -> dict[str, str]:
    """A proxy that a person needs for the outside must not be asked for this machine's own servers."""
    spared = ",".join(filter(None, (base.get("no_proxy") or base.get("NO_PROXY"), "127.0.0.1", "localhost")))
    return {"no_proxy": spared, "NO_PROXY": spared}


def adopt(told: Mapping[str, str]) -> None:
    """Let this process itself live in such an environment, as a command that a person waits for.

    Prefect keeps the log of every run; on the terminal an error is the one sentence that the command ends with.
    """
    os.environ.update(told)
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"


def prefect_auth(home: Path) -> str:
    """``user:password`` of the Prefect server, made on first use and kept where only its owner can read it."""
    path = make_home(home) / "secrets.json"
    state = read_state(path)
    if "prefect_auth" not in state:
        state["prefect_auth"] = f"propensity:{secrets.token_urlsafe(24)}"
        write_state(path, state)
    auth: str = state["prefect_auth"]
    return auth


def holdout_keys(home: Path) -> str:
    """Secrets of the control groups that campaigns declare, and of trials, as JSON.

    Made on first use and kept where only their owner can read them.
    """
    path = make_home(home) / "secrets.json"
    state = read_state(path)
    kept: dict[str, str] = state.get("holdout_keys", {})
    names = {TRIALS_KEY} | {declared.holdout.key for declared in all_campaigns().values() if declared.holdout is not None}
    if missing := names - set(kept):
        kept = {**kept, **{name: secrets.token_urlsafe(32) for name in sorted(missing)}}
        write_state(path, {**state, "holdout_keys": kept})
    return json.dumps({name: kept[name] for name in sorted(names)})


def _text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
