"""The real service on a real Postgres, made to be broken: a process of its own, a database of its own, a folder as object storage."""

from __future__ import annotations

import copy
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from faults.access import make_keys
from faults.client import Client, Reply
from faults.processes import family, gone, quiet_port, send, wait_until
from faults.samples import Row, make_model, make_rows
from local.postgres import EmbeddedPostgres
from local.postgres_urls import DatabaseUrls
from propensity.adapters.database import Database
from propensity.adapters.migrate import migrate
from propensity.adapters.object_store import FolderStore
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.adapters.promotions import PostgresPromotionLedger
from propensity.campaign import Campaign
from propensity.campaigns import campaign
from propensity.model import Model, save_package
from propensity.ports import LoggedRequest, Promotion

ROOT = Path(__file__).resolve().parents[1]
CAMPAIGN = "term-deposit"
PREDICTIONS = f"/v1/campaigns/{CAMPAIGN}/predictions"
DAY = timedelta(days=1)


class World:
    """What all experiments share: one Postgres that waits for its disk (``fsync`` on), models, rows, and a voice.

    Parameters
    ----------
    folder : Path
        Empty folder that any user may pass through: as root, Postgres runs as another user.
    """

    def __init__(self, folder: Path, say: Callable[[str], None] = print) -> None:
        self.folder = folder
        self.say = say
        self.postgres = EmbeddedPostgres(folder / "shared", port=quiet_port(), fsync=True, say=say)

    @cached_property
    def campaign(self) -> Campaign:
        return campaign(CAMPAIGN)

    @cached_property
    def model(self) -> Model:
        """The model that is live when a service starts."""
        return make_model(self.campaign)

    @cached_property
    def rival(self) -> Model:
        """Another sound model of the campaign, with other scores."""
        return make_model(self.campaign, seed=7)

    @cached_property
    def rows(self) -> list[Row]:
        """A thousand customers."""
        return make_rows(self.campaign, 1_000, seed=3)

    @contextmanager
    def service(self, postgres: EmbeddedPostgres | None = None, *, start: bool = True, **settings: str) -> Iterator[Service]:
        """A service with a database and a store of its own and a live model; ready, unless ``start`` is False."""
        server = postgres or self.postgres
        server.start()
        name = f"faults_{secrets.token_hex(4)}"
        urls = server.create_database(name)
        folder = self.folder / name
        folder.mkdir()
        migrate(urls.owner_url)
        service = Service(folder, urls, server, settings)
        try:
            service.promote(self.model)
            if start:
                service.start()
                service.wait_ready()
            yield service
        finally:
            service.close()
            if postgres is None and server.running():
                server.drop_database(name)
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def open_world(say: Callable[[str], None] = print) -> Iterator[World]:
    """A world in a temporary folder, with Postgres running; everything is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="propensity-faults-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        world = World(folder, say)
        try:
            world.postgres.start()
            yield world
        finally:
            world.postgres.remove()


class Service:
    """``python -m api`` as a process that can be killed and started again at the same address."""

    def __init__(self, folder: Path, urls: DatabaseUrls, postgres: EmbeddedPostgres, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.urls = urls
        self.postgres = postgres
        self.port = quiet_port()
        self.log_path = folder / "service.log"
        self.store_path = folder / "store"
        self.store_path.mkdir()
        self.keys = make_keys(urls.owner_url)
        self.database = Database(urls.app_url, pool_size=4, timeout_s=30.0)
        self._settings = dict(settings)
        self._process: subprocess.Popen[bytes] | None = None

    # -- the process

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was started"
        return self._process.pid

    def environ(self) -> dict[str, str]:
        """What the process is told: nothing of this program's own PROPENSITY_ variables."""
        plain = {k: v for k, v in os.environ.items() if not k.startswith("PROPENSITY_")}
        given = {
            "PROPENSITY_DATABASE_URL": self.urls.app_url,
            "PROPENSITY_STORE_URL": self.store_path.as_uri(),
            "PROPENSITY_API_PORT": str(self.port),
            "PROPENSITY_RELOAD_S": "0.2",
        }
        return {**plain, **given, **self._settings}

    def start(self) -> None:
        """Start the process; does not wait until it is ready."""
        with self.log_path.open("ab") as log:
            command = [sys.executable, "-m", "api"]
            self._process = subprocess.Popen(command, cwd=ROOT, env=self.environ(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        """``kill -9``."""
        assert self._process is not None, "it was started"
        self._process.kill()
        self._process.wait()

    def terminate(self, *, timeout_s: float = 60.0) -> int:
        """SIGTERM; returns the exit code of the process."""
        assert self._process is not None, "it was started"
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout_s)

    def restart(self) -> None:
        """Start again and wait until it is ready."""
        self.start()
        self.wait_ready()

    @contextmanager
    def twin(self) -> Iterator[Service]:
        """Another process over the same stores, at an address of its own, ready; its end is the caller's affair."""
        other = copy.copy(self)
        other.port = quiet_port()
        other._process = None
        try:
            other.restart()
            yield other
        finally:
            other._end()

    def close(self) -> None:
        """End what still runs."""
        self._end()
        self.database.close()

    def _end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self.kill()

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    # -- asking it

    def client(self, role: str = "operator", *, timeout_s: float = 30.0) -> Client:
        """A connection of its own with the key of that role."""
        return Client(self.port, self.keys[role], timeout_s=timeout_s)

    def once(self, method: str, path: str, body: bytes | None = None, mimetype: str = "application/json") -> Reply:
        """One request on a connection of its own. Raises OSError where nobody answers."""
        client = self.client(timeout_s=60.0)
        try:
            return client.call(method, path, body, {} if body is None else {"Content-Type": mimetype})
        finally:
            client.close()

    def status(self, path: str) -> int:
        """Status of a GET, 0 where nobody answers."""
        client = self.client(timeout_s=10.0)
        try:
            return client.get(path).status
        except OSError:
            return 0
        finally:
            client.close()

    def readiness(self) -> Any:
        """The body of ``/readyz``, None where nobody answers."""
        client = self.client(timeout_s=10.0)
        try:
            return client.get("/readyz").json()
        except OSError:
            return None
        finally:
            client.close()

    def wait_ready(self, *, timeout_s: float = 60.0) -> float:
        """Wait until ``/readyz`` says 200; returns the seconds it took."""

        def ready() -> bool:
            if not self.running():
                raise RuntimeError(f"the service ended while it started: {self.log_path.read_text(errors='replace')[-500:]}")
            return self.status("/readyz") == 200

        return wait_until(ready, "being ready", timeout_s=timeout_s, pause_s=0.05)

    # -- what lies behind it

    @property
    def store(self) -> FolderStore:
        return FolderStore(self.store_path)

    @property
    def ledger(self) -> PostgresPromotionLedger:
        return PostgresPromotionLedger(self.database)

    def promote(self, model: Model) -> None:
        """Write the package and put it live."""
        save_package(self.store, model)
        self.record_promotion(model.digest, model.campaign.name)

    def record_promotion(self, digest: str, name: str = CAMPAIGN) -> None:
        """Put a digest live, whatever lies in the store."""
        history = self.ledger.history(name)
        self.ledger.append(Promotion(name, len(history) + 1, "promote", digest, digest[:12], None, [], {}, "faults"))

    def wait_live(self, digest: str) -> float:
        """Wait until the service answers with that model."""

        def live() -> bool:
            found = self.readiness()
            return found is not None and found["models"][CAMPAIGN]["version"] == digest[:12]

        return wait_until(live, f"model {digest[:12]} going live")

    def logged(self) -> dict[str, LoggedRequest]:
        """Every request in the log, by id, read through the platform's own reader."""
        now = datetime.now(UTC)
        log = PostgresPredictionLog(self.database)
        return {entry.request_id: entry for entry in log.window(CAMPAIGN, now - DAY, now + DAY)}

    def logged_requests(self) -> int:
        """How many requests the log holds, counted by Postgres."""
        with self.database.transaction(30.0) as cursor:
            row = cursor.execute("select count(*) from prediction_request").fetchone()
        return int(row[0]) if row else 0


def crash_postgres(server: EmbeddedPostgres) -> None:
    """``kill -9`` to the server and all its processes."""
    pid = server.pid()
    assert pid is not None, "it runs"
    pids = family(pid)
    send(pids, signal.SIGKILL)
    wait_until(lambda: gone(pids), "the end of Postgres")
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


@contextmanager
def frozen_postgres(server: EmbeddedPostgres) -> Iterator[None]:
    """The server with every process of it stopped in its tracks, connections open."""
    pid = server.pid()
    assert pid is not None, "it runs"
    pids = family(pid)
    send(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        send(pids, signal.SIGCONT)
