"""The programs of the local platform: how each is called, what it is told, and how one sees that it is ready."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

from local.environment import environ as child_environ
from local.environment import prefect_auth
from local.ports import HOST
from local.postgres_urls import DatabaseUrls
from local.processes import Processes, Program, answers
from propensity.errors import SettingsInvalid
from propensity.settings import Settings

API_PORT, PREFECT_PORT, MLFLOW_PORT = 8700, 8710, 8720


def asked_port(environ: Mapping[str, str], name: str) -> int | None:
    """Port that a variable asks for; None where it is not set. Raises SettingsInvalid where it is not a port."""
    text = environ.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise SettingsInvalid(f"{name} must be a port between 1 and 65535")
    return int(text)


def prefect_server(settings: Settings, urls: DatabaseUrls, port: int) -> Program:
    """Orchestration: its API asks for a password, its database is Postgres."""
    if not urls.prefect_url:
        raise SettingsInvalid(
            "PREFECT_SERVER_DATABASE_CONNECTION_URL must be set too (postgresql+asyncpg://...): no Postgres is started here"
        )
    url = f"http://{HOST}:{port}"
    environ = child_environ(settings, mlflow=False, prefect_api_url=f"{url}/api", prefect_database_url=urls.prefect_url)
    return Program(
        name="prefect",
        title="Prefect (flows)",
        command=(sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)),
        environ={k: v for k, v in environ.items() if not k.startswith("PROPENSITY_")},
        port=port,
        page=url,
        ready=_http(f"{url}/api/health"),
    )


def mlflow_server(settings: Settings, urls: DatabaseUrls, port: int) -> Program:
    """Experiments and registered models. The database's address goes through the environment: `ps` shows commands."""
    url = f"http://{HOST}:{port}"
    hosts = f"{HOST}:{port},localhost:{port}"
    environ = {k: v for k, v in child_environ(settings, mlflow=False).items() if not k.startswith(("PROPENSITY_", "PREFECT_"))}
    return Program(
        name="mlflow",
        title="MLflow (models)",
        command=(sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1", "--allowed-hosts", hosts),
        environ=environ
        | {
            "MLFLOW_BACKEND_STORE_URI": urls.mlflow_url,
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": settings.mlflow_artifacts,
            "MLFLOW_ARTIFACTS_DESTINATION": settings.mlflow_artifacts,
        },
        port=port,
        page=url,
        ready=_http(f"{url}/health"),
    )


def scoring_service(settings: Settings) -> Program:
    """The service that scores. It never learns the address of MLflow, nor of the role that owns the tables.

    Alive is enough: it is not ready before a model was promoted, and that is no fault of its start.
    """
    url = f"http://{settings.api_host}:{settings.api_port}"
    return Program(
        name="api",
        title="Scoring service",
        command=(sys.executable, "-m", "api"),
        environ=child_environ(settings, mlflow=False),
        port=settings.api_port,
        page=url,
        ready=_http(f"{url}/livez"),
    )


def lists(settings: Settings) -> Program:
    """Scores the lists that were uploaded to the service or dropped on its pages, and goes on with what was left half done."""
    return Program(
        name="lists",
        title="Lists",
        command=(sys.executable, "-m", "flows.list_job", "--watch"),
        # A flow as any other: without the address of MLflow its stores are not put together, and it would end at once.
        environ=child_environ(settings),
    )


def schedules(settings: Settings, prefect_url: str) -> Program:
    """Registers every schedule with Prefect and runs what falls due; ready once it asked Prefect for work."""
    auth = prefect_auth(settings.home)
    return Program(
        name="schedules",
        title="Schedules",
        command=(sys.executable, "-m", "flows", "serve"),
        environ=child_environ(settings, prefect_api_url=f"{prefect_url}/api")
        | {"PREFECT_LOGGING_LEVEL": "INFO", "PREFECT_LOGGING_EXTRA_LOGGERS": "propensity.flows"},
        ready=lambda started_at: _polled_since(prefect_url, auth, started_at),
    )


def health(settings: Settings, prefect_url: str) -> Program:
    """Watches the flows and tells alerts, beside Prefect and not in it."""
    return Program(
        name="health",
        title="Flow checks",
        command=(sys.executable, "-m", "flows.health"),
        environ=child_environ(settings, prefect_api_url=f"{prefect_url}/api"),
    )


def ports_of(processes: Processes, environ: Mapping[str, str]) -> tuple[int, int, int]:
    """Ports of the scoring service, Prefect and MLflow. Raises SettingsInvalid where one that was asked for is taken."""
    return (
        processes.choose_port("api", "the scoring service (PROPENSITY_API_PORT)", API_PORT, asked_port(environ, "PROPENSITY_API_PORT")),
        processes.choose_port("prefect", "Prefect (PROPENSITY_PREFECT_PORT)", PREFECT_PORT, asked_port(environ, "PROPENSITY_PREFECT_PORT")),
        processes.choose_port("mlflow", "MLflow (PROPENSITY_MLFLOW_PORT)", MLFLOW_PORT, asked_port(environ, "PROPENSITY_MLFLOW_PORT")),
    )


def _http(url: str) -> Callable[[float], bool]:
    return lambda _: answers(url)


def _polled_since(prefect_url: str, auth: str, started_at: float) -> bool:
    """True once Prefect saw the runner ask for the work of some deployment after ``started_at`` (Unix time)."""
    request = Request(  # noqa: S310 - the address is this machine's own Prefect server
        f"{prefect_url}/api/deployments/filter",
        data=b'{"limit": 200}',
        headers={"Content-Type": "application/json", "Authorization": "Basic " + base64.b64encode(auth.encode()).decode()},
    )
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=5) as reply:
            deployments: list[dict[str, Any]] = json.load(reply)
    except (URLError, OSError, ValueError):
        return False
    polled = [datetime.fromisoformat(d["last_polled"]).timestamp() for d in deployments if d.get("last_polled")]
    return bool(polled) and max(polled) >= started_at
