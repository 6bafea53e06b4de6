from __future__ import annotations

import os
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from local import pids
from local.postgres import EmbeddedPostgres
from local.postgres_account import elsewhere_path
from propensity.errors import DatabaseUnavailable, SettingsInvalid


def quiet(_: str) -> None:
    """Nobody reads these lines."""


@pytest.fixture
def server(home: Path) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(home, fsync=False, say=quiet)
    yield made
    made.remove()


def whoami(url: str) -> tuple[str, str]:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_user, current_database()").fetchone()
    assert row is not None
    return row[0], row[1]


def test_every_role_reaches_its_database_and_the_application_no_other(server: EmbeddedPostgres) -> None:
    assert server.start()
    urls = server.urls()

    assert whoami(urls.app_url) == ("propensity_app", "propensity")
    assert whoami(urls.owner_url) == ("propensity_owner", "propensity")
    assert whoami(urls.mlflow_url.replace("+psycopg", "")) == ("mlflow", "mlflow")
    assert whoami(urls.prefect_url.replace("+asyncpg", "")) == ("prefect", "prefect")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(urls.app_url.replace("/propensity", "/mlflow"))
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(urls.app_url.replace("propensity_app:", "propensity_app:x"))


def test_a_second_start_finds_the_first_and_keeps_it_running(server: EmbeddedPostgres, home: Path) -> None:
    server.start()
    pid = server.pid()

    with EmbeddedPostgres(home, say=quiet) as second:
        assert second.pid() == pid
    assert server.running()


def test_two_starters_at_once_make_one_server(home: Path) -> None:
    starters = [EmbeddedPostgres(home, fsync=False, say=quiet) for _ in range(2)]
    started: list[bool] = []
    threads = [threading.Thread(target=lambda s=s: started.append(s.start())) for s in starters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert sorted(started) == [False, True]
        assert starters[0].pid() == starters[1].pid()
    finally:
        starters[0].remove()


def test_committed_rows_survive_kill_9_and_the_port_stays(server: EmbeddedPostgres) -> None:
    server.start()
    port = server.port()
    with psycopg.connect(server.urls().owner_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    pid = server.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    assert server.start()
    assert server.pid() != pid
    assert server.port() == port
    with psycopg.connect(server.urls().owner_url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1000,)


def test_stop_ends_the_server_once(server: EmbeddedPostgres) -> None:
    server.start()
    assert server.stop()
    assert not server.running()
    assert not server.stop()


def test_a_port_that_was_asked_for_and_is_taken_is_named(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = EmbeddedPostgres(home, port=port, fsync=False, say=quiet)
        with pytest.raises(SettingsInvalid, match=str(port)):
            server.start()
        assert server.pid() is None
    server.remove()


def test_a_remembered_port_that_is_taken_is_replaced(server: EmbeddedPostgres) -> None:
    server.start()
    before = server.port()
    server.stop()
    with socket.create_server(("127.0.0.1", before)):
        server.start()
        assert server.port() != before
        assert whoami(server.urls().app_url) == ("propensity_app", "propensity")


def test_the_pid_of_another_program_in_the_pid_file_does_not_matter(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    pid_file = server.log_file().with_name("data") / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n")

    assert server.pid() is None
    assert server.start()
    assert pids.identity(os.getpid()) is not None


def test_a_server_that_cannot_come_up_quotes_its_log(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    server.start()
    server.stop()
    monkeypatch.setattr("local.postgres.ATTEMPTS", 1)
    configuration = server.log_file().with_name("data") / "postgresql.conf"
    text = configuration.read_text()
    configuration.write_text(text + "\nno_such_setting = 1\n")

    with pytest.raises(DatabaseUnavailable, match="no_such_setting"):
        server.start()
    configuration.write_text(text)
    assert server.start()


def test_a_home_that_is_closed_to_the_server_stays_closed(home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    said: list[str] = []
    server = EmbeddedPostgres(closed / "home", fsync=False, say=said.append)
    try:
        server.start()
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        assert server.running()
        if os.geteuid() == 0:  # only root's server runs as somebody else
            assert str(elsewhere_path(server.home)) in said[0]
    finally:
        server.remove()
    assert not elsewhere_path(server.home).exists()


def test_passwords_can_be_read_by_their_owner_only_and_are_in_no_command(server: EmbeddedPostgres, home: Path) -> None:
    server.start()
    assert stat.S_IMODE((home / "postgres.json").stat().st_mode) == 0o600
    assert "propensity_app:" not in repr(server.urls())
    password = server.urls().app_url.split(":")[2].partition("@")[0]
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert password.encode() not in command.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue


def test_lost_data_and_lost_passwords_are_not_replaced_silently(server: EmbeddedPostgres, home: Path) -> None:
    server.start()
    server.stop()
    state = (home / "postgres.json").read_bytes()
    (home / "postgres.json").unlink()
    with pytest.raises(SettingsInvalid, match="passwords"):
        server.start()
    (home / "postgres.json").write_bytes(state)
    data = server.log_file().with_name("data")
    data.rename(data.with_name("away"))
    with pytest.raises(SettingsInvalid, match="gone"):
        server.start()
    data.with_name("away").rename(data)
    assert server.start()


def test_addresses_before_the_first_start_are_refused(home: Path) -> None:
    with pytest.raises(SettingsInvalid):
        EmbeddedPostgres(home).urls()


def test_the_log_does_not_repeat_values(server: EmbeddedPostgres) -> None:
    server.start()
    with psycopg.connect(server.urls().owner_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE ids (id text PRIMARY KEY)")
        connection.execute("INSERT INTO ids VALUES ('canary-7f3a')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO ids VALUES ('canary-7f3a')")
    log = server.log_file().read_text()
    assert "duplicate key" in log
    assert "canary-7f3a" not in log
