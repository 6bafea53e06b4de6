"""The scoring service as it runs in production: its own process on a real Postgres whose commits wait for the disk."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import process_tree
from benchmarks.package import CAMPAIGNS, NAME
from benchmarks.servers import PROJECT, Launch, Server, start
from local.environment import compose
from local.environment import environ as child_environ
from local.postgres import EmbeddedPostgres
from propensity.access import Role, new_key
from propensity.adapters.api_keys import open_key_store
from propensity.adapters.database import Database
from propensity.adapters.migrate import migrate
from propensity.adapters.object_store import FolderStore
from propensity.adapters.promotions import PostgresPromotionLedger
from propensity.model import Model, save_package
from propensity.ports import Promotion

READY = "/readyz"
RATE_PER_S = 1e6
OURS, NO_LOG = "propensity", "propensity-no-log"


@dataclass(frozen=True)
class Home:
    """A state folder with a running Postgres, the model promoted, and what a service process must be told."""

    folder: Path
    postgres: EmbeddedPostgres
    environ: Mapping[str, str]
    headers: Mapping[str, str]

    def launch(self, name: str) -> Launch:
        """``propensity``: the service; ``propensity-no-log``: the same with a log that keeps nothing."""
        module = "api" if name == OURS else "benchmarks.no_log"
        return Launch(name, (sys.executable, "-m", module), READY, {**self.environ, "PROPENSITY_API_PORT": "{port}"})

    @property
    def postgres_cpu_s(self) -> float:
        """Processor time of the database server so far, its ended connections included."""
        pid = self.postgres.pid()
        return 0.0 if pid is None else process_tree.cpu_s(pid)


@contextmanager
def home(folder: Path, model: Model) -> Iterator[Home]:
    """A fresh database and store with this model live; Postgres is stopped and the folder removed at the end."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # As root, the database server runs as another user, who must be able to pass.
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder, fsync=True, say=lambda _: None)
    try:
        with server:
            yield _prepared(folder, server, model)
    finally:
        server.remove()
        shutil.rmtree(folder, ignore_errors=True)


def _prepared(folder: Path, server: EmbeddedPostgres, model: Model) -> Home:
    urls = server.urls()
    migrate(urls.owner_url)
    given = {name: value for name, value in os.environ.items() if not name.startswith("PROPENSITY_")}
    given["PROPENSITY_CAMPAIGNS_DIR"] = str(CAMPAIGNS)
    settings = compose(folder, urls, given, api_port=0)
    save_package(FolderStore(folder / "store"), model)
    database = Database(urls.app_url, pool_size=1, timeout_s=10.0)
    PostgresPromotionLedger(database).append(
        Promotion(NAME, 1, "promote", model.digest, model.version, None, ["benchmark"], {}, "benchmark")
    )
    database.close()
    environ = child_environ(settings, mlflow=False, base=given)
    return Home(folder, server, {**environ, "PYTHONPATH": str(PROJECT)}, authorization(urls.owner_url))


def authorization(owner_url: str) -> dict[str, str]:
    """The header of a caller that may ask for predictions: a key of this database, its rate limit out of reach."""
    text, new = new_key("benchmark", Role.MARKETING, by="benchmark", rate_per_s=RATE_PER_S)
    store, database = open_key_store(owner_url)
    try:
        store.add(new)
    finally:
        database.close()
    return {"Authorization": f"Bearer {text}"}


def cold_start_s(launch: Launch, logs: Path) -> float:
    """Seconds from the start of the process to the first 200 of /readyz."""
    server: Server = start(launch, logs)
    try:
        return server.wait_ready()
    finally:
        server.stop()
