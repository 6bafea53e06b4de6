"""A real PostgreSQL server for one machine: made, started and stopped by this program, without an installation by hand.

It keeps its promises as a server in production does (``fsync`` stays on), listens on 127.0.0.1 alone, and asks everybody for a
password. Files in the state folder: ``postgres.json`` (port and passwords, readable by its owner only), ``postgres.lock``, and
``postgres/`` with data and log, unless `local.postgres_account` had to put those elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from local import pids, ports
from local.postgres_account import Account, elsewhere_path, reachable_binaries, server_account, server_folder
from local.postgres_binaries import Binaries, find_binaries
from local.postgres_urls import DatabaseUrls
from local.state import locked, make_home, read_state, write_state
from propensity.errors import DatabaseUnavailable, SettingsInvalid

SUPERUSER = "postgres"
OWNER, APP = "propensity_owner", "propensity_app"
DATABASES = {"propensity": OWNER, "mlflow": "mlflow", "prefect": "prefect", "grafana": "grafana"}
ATTEMPTS = 12  # after `kill -9` the old server's children need a moment to notice: the first start fails
PAUSE_S = 0.5


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


class EmbeddedPostgres:
    """The Postgres server of one state folder.

    Parameters
    ----------
    home : Path
        State folder; made where it does not exist.
    port : int, optional
        Listen here and nowhere else. By default the port used last, if it is free, else any free one.
    fsync : bool
        Whether a commit waits for the disk. Only tests, whose data nobody needs, turn it off.
    wait_s : float
        How long a start may take, recovery after a crash included.
    say : callable
        Called with lines for people.

    Examples
    --------
    >>> with EmbeddedPostgres(Path(".propensity")) as server:  # doctest: +SKIP
    ...     connect(server.urls().app_url)
    """

    def __init__(
        self, home: Path, *, port: int | None = None, fsync: bool = True, wait_s: float = 60.0, say: Callable[[str], None] = _to_stderr
    ) -> None:
        self.home = home.expanduser().absolute()
        self._fixed_port = port
        self._fsync = fsync
        self._wait_s = wait_s
        self._say = say
        self._started_here = False

    def start(self) -> bool:
        """Make sure that the server runs and has its databases; say whether it had to be started.

        Raises
        ------
        SettingsInvalid
            No server programs, an unusable state folder, or the port asked for is taken.
        DatabaseUnavailable
            The server did not come up; the message quotes the end of its log.
        """
        make_home(self.home)
        with locked(self._file("lock"), wait_s=self._wait_s, what="starting Postgres"):
            state = self._prepared()
            if self.running():
                self._say_unlike(state["port"])
                return False
            with contextlib.ExitStack() as undo:
                undo.callback(self._stop)
                self._launch(state)
                self._ensure_databases()
                undo.pop_all()
            self._started_here = True
            return True

    def stop(self) -> bool:
        """Stop the server of this home, let transactions under way end as rolled back; say whether it ran.

        Raises
        ------
        DatabaseUnavailable
            It did not stop.
        """
        if not self._file("json").exists():
            return False
        with locked(self._file("lock"), wait_s=self._wait_s, what="starting or stopping Postgres"):
            return self._stop()

    def remove(self) -> None:
        """Stop the server and delete its data, passwords and whatever lies outside the home. Raises DatabaseUnavailable."""
        self.stop()
        folder = self._folder() if self._file("json").exists() else self.home / "postgres"
        for path in (folder, elsewhere_path(self.home)):
            shutil.rmtree(path, ignore_errors=True)
        self._file("json").unlink(missing_ok=True)

    def running(self) -> bool:
        """True where the server of this home answers to this home's password."""
        if self.pid() is None:
            return False
        try:
            self.version()
        except DatabaseUnavailable:
            return False
        return True

    def pid(self) -> int | None:
        """Process id of this home's server; None where none lives."""
        pid = self._recorded_pid()
        return pid if pid is not None and pids.identity(pid) and "postgres" in pids.program(pid) else None

    def port(self) -> int:
        """Port of the server. Raises SettingsInvalid before the first start."""
        port: int = self._state()["port"]
        return port

    def version(self) -> str:
        """Version of the running server. Raises DatabaseUnavailable."""
        from propensity.adapters.postgres_admin import server_version

        return server_version(self._url(SUPERUSER, "postgres"))

    def urls(self) -> DatabaseUrls:
        """Addresses of the platform's databases. Raises SettingsInvalid before the first start."""
        return DatabaseUrls(
            app_url=self._url(APP, "propensity"),
            owner_url=self._url(OWNER, "propensity"),
            mlflow_url=self._url("mlflow", "mlflow", driver="+psycopg"),
            prefect_url=self._url("prefect", "prefect", driver="+asyncpg"),
        )

    def create_database(self, name: str) -> DatabaseUrls:
        """Make another database like ``propensity`` on this server and return its addresses, those of MLflow and Prefect unchanged."""
        from propensity.adapters.postgres_admin import ensure_database

        ensure_database(self._url(SUPERUSER, "postgres"), name, OWNER, readers=(APP,))
        urls = self.urls()
        return DatabaseUrls(self._url(APP, name), self._url(OWNER, name), urls.mlflow_url, urls.prefect_url)

    def drop_database(self, name: str) -> None:
        """Remove a database with whoever is connected to it. Raises DatabaseUnavailable."""
        from propensity.adapters.postgres_admin import drop_database

        drop_database(self._url(SUPERUSER, "postgres"), name)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server where this object started it; leave it running where it ran before."""
        if self._started_here:
            self.stop()
            self._started_here = False

    # -- what lies in the state folder

    def _file(self, suffix: str) -> Path:
        return self.home / f"postgres.{suffix}"

    def _state(self) -> dict[str, Any]:
        state = read_state(self._file("json"))
        if not state:
            raise SettingsInvalid(f"no Postgres was started in {self.home} yet: run `make up`")
        return state

    def _folder(self) -> Path:
        """Where data and log lie; kept relative in the state, so that a home can be moved."""
        return self.home / str(self._state()["folder"])

    def log_file(self) -> Path:
        """The server's log."""
        return self._folder() / "log"

    def _url(self, role: str, database: str, *, driver: str = "") -> str:
        state = self._state()
        return f"postgresql{driver}://{role}:{state['passwords'][role]}@{ports.HOST}:{state['port']}/{database}"

    def _recorded_pid(self) -> int | None:
        try:
            text = (self._folder() / "data" / "postmaster.pid").read_text(encoding="utf-8")
        except (FileNotFoundError, SettingsInvalid):
            return None
        first = text.partition("\n")[0].strip()
        return int(first) if first.isdigit() else None

    def _say_unlike(self, port: int) -> None:
        if self._fixed_port not in (None, port):
            self._say(f"Postgres of {self.home} runs already, on port {port}")

    # -- making

    def _prepared(self) -> dict[str, Any]:
        """State of an initialised server; the first call makes passwords and data."""
        state = read_state(self._file("json"))
        if state:
            data, partial = self._folder() / "data", self._folder() / "data.partial"
            if partial.exists() and not data.exists():
                partial.rename(data)  # the first start was killed between its last two steps
            if not (data / "PG_VERSION").exists():
                raise SettingsInvalid(
                    f"the database files in {self._folder()} are gone: put them back, "
                    f"or remove {self._file('json')} to begin with an empty database"
                )
            return state
        account = server_account()
        binaries = find_binaries()
        folder = server_folder(self.home, account, self._say)
        passwords = {role: secrets.token_urlsafe(24) for role in (SUPERUSER, OWNER, APP, "mlflow", "prefect", "grafana")}
        if (folder / "data").exists():
            raise SettingsInvalid(
                f"{folder} holds a database, but its passwords in {self._file('json')} are gone: put them back, or remove {folder}"
            )
        self._say(f"making a database in {folder} with {binaries}")
        self._initialise(binaries, account, folder, passwords[SUPERUSER])
        kept = "postgres" if folder.parent == self.home else str(folder)
        state = {"folder": kept, "account": account.name, "port": 0, "passwords": passwords}
        write_state(self._file("json"), state)
        # Last: data appear only once their passwords are safe.
        (folder / "data.partial").rename(folder / "data")
        return state

    def _initialise(self, binaries: Binaries, account: Account, folder: Path, password: str) -> None:
        partial, password_file = folder / "data.partial", folder / "password"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            password_file.touch(mode=0o600)
            password_file.write_text(password, encoding="ascii")
            account.own(password_file)
            programs = reachable_binaries(binaries, self.home, account, self._say)
            made = account.run(
                [
                    *(programs / "initdb", "-D", partial, "-U", SUPERUSER, f"--pwfile={password_file}", "--auth=scram-sha-256"),
                    # One sorting order on every machine; checksums, because a damaged page must not be read as data.
                    *("--encoding=UTF8", "--locale=C", "--data-checksums"),
                    *(() if self._fsync else ("--no-sync",)),
                ]
            )
        finally:
            password_file.unlink(missing_ok=True)
        if made.returncode:
            raise DatabaseUnavailable(f"Postgres could not make its files in {folder}: {_last_lines(made.stderr)}")

    def _ensure_databases(self) -> None:
        from propensity.adapters.postgres_admin import ensure_database, ensure_role

        admin, passwords = self._url(SUPERUSER, "postgres"), self._state()["passwords"]
        for role in (OWNER, APP, "mlflow", "prefect", "grafana"):
            ensure_role(admin, role, passwords[role])
        for name, owner in DATABASES.items():
            ensure_database(admin, name, owner, readers=(APP,) if name == "propensity" else ())

    # -- starting and stopping

    def _launch(self, state: dict[str, Any]) -> None:
        account, data = server_account(), self._folder() / "data"
        major = int((data / "PG_VERSION").read_text(encoding="ascii"))
        programs = reachable_binaries(find_binaries(major=major), self.home, account, self._say)
        if self.log_file().exists():
            self.log_file().replace(self.log_file().with_name("log.previous"))
        deadline = time.monotonic() + self._wait_s
        for _ in range(ATTEMPTS):
            self._choose_port(state)
            self._drop_stale_pid_file()
            left_s = max(1, int(deadline - time.monotonic()))
            account.run(
                [
                    programs / "pg_ctl",
                    "start",
                    "-w",
                    "-t",
                    str(left_s),
                    "-D",
                    data,
                    "-l",
                    self.log_file(),
                    "-o",
                    self._options(state["port"]),
                ],
                timeout_s=left_s + 30,
            )
            if self.running():
                return
            if time.monotonic() > deadline:
                break
            time.sleep(PAUSE_S)
        raise DatabaseUnavailable(f"Postgres did not come up on port {state['port']}; its log {self.log_file()} ends: {self._log_end()}")

    def _choose_port(self, state: dict[str, Any]) -> None:
        """Take the port asked for, else the one used last, else a free one; remember it."""
        if self._fixed_port is not None and not ports.is_free(self._fixed_port):
            raise SettingsInvalid(f"port {self._fixed_port}, asked for Postgres, is taken: end the program that uses it or ask for another")
        port = self._fixed_port or state["port"]
        if not port or not ports.is_free(port):
            port = ports.any_free()
        if port != state["port"]:
            state["port"] = port
            write_state(self._file("json"), state)

    def _options(self, port: int) -> str:
        settings = {
            "listen_addresses": ports.HOST,
            "port": port,
            "unix_socket_directories": "",  # a socket's path is limited to 107 bytes, and nobody needs one
            "fsync": "on" if self._fsync else "off",
            "shared_buffers": "64MB",
            "max_connections": 100,
            "jit": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # The log must not repeat customers' values: no statements, no details such as "Key (id)=(...) exists".
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
        }
        return " ".join(f"-c {name}={value}" for name, value in settings.items())

    def _drop_stale_pid_file(self) -> None:
        """Postgres takes any living process with the recorded number for itself, even one that reused it or only waits to be collected."""
        pid = self._recorded_pid()
        if pid is not None and self.pid() is None:
            (self._folder() / "data" / "postmaster.pid").unlink(missing_ok=True)

    def _stop(self) -> bool:
        pid = self.pid()
        if pid is None:
            return False
        born = pids.identity(pid)
        data = self._folder() / "data"
        major = int((data / "PG_VERSION").read_text(encoding="ascii"))
        account = server_account()
        programs = reachable_binaries(find_binaries(major=major), self.home, account, self._say)
        account.run([programs / "pg_ctl", "stop", "-m", "fast", "-w", "-t", "60", "-D", data])
        if born is not None and not pids.wait_gone(pid, born, timeout_s=5):
            raise DatabaseUnavailable(f"Postgres (process {pid}) did not stop; its log {self.log_file()} ends: {self._log_end()}")
        return True

    def _log_end(self) -> str:
        try:
            return _last_lines(self.log_file().read_text(encoding="utf-8", errors="replace"))
        except FileNotFoundError:
            return "(empty)"


def _last_lines(text: str, count: int = 4) -> str:
    """The end of a program's output in one line."""
    return " | ".join(line.strip() for line in text.strip().splitlines()[-count:]) or "(empty)"


def main() -> None:
    """Start the server of ``PROPENSITY_HOME`` and print its version and port."""
    server = EmbeddedPostgres(Path(os.environ.get("PROPENSITY_HOME", ".propensity")))
    server.start()
    print(f"PostgreSQL {server.version()} on {ports.HOST}:{server.port()}")


if __name__ == "__main__":
    main()
