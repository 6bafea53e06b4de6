"""Databases and roles as the migration task makes them, by an administrator who is no superuser, as that of RDS."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors as pg
from psycopg import sql

from flows.databases import ADMIN_PASSWORD, ADMIN_URL, DATABASES, main, password_variable, prepare, roles
from infra.constructs.database import ADMIN, ROLES
from local.postgres import SUPERUSER, EmbeddedPostgres
from propensity.errors import DatabaseUnavailable, SettingsInvalid

CONNECTS = {(owner, name) for name, (owner, _) in DATABASES.items()} | {
    (r, name) for name, (_, readers) in DATABASES.items() for r in readers
}


class Server:
    """A Postgres on which nothing of the platform exists yet."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._postgres = postgres
        superuser = postgres._url(SUPERUSER, "postgres")
        self.port = postgres.port()
        self.environ = {password_variable(role): secrets.token_hex(16) for role in roles()}
        self.environ[ADMIN_PASSWORD] = secrets.token_hex(16)
        self.environ[ADMIN_URL] = f"postgresql://{ADMIN}@127.0.0.1:{self.port}/postgres?sslmode=prefer"
        with psycopg.connect(superuser, autocommit=True) as connection:
            for name in DATABASES:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
            for role in roles():
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
            made = sql.SQL("CREATE ROLE {} LOGIN CREATEROLE CREATEDB PASSWORD {}")
            connection.execute(made.format(sql.Identifier(ADMIN), sql.Literal(self.environ[ADMIN_PASSWORD])))

    def connect(self, role: str, database: str, password: str | None = None) -> psycopg.Connection:
        given = self.environ[password_variable(role)] if password is None else password
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=role, password=given, dbname=database, autocommit=True, connect_timeout=5
        )


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="propensity-databases-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o711)  # as root, the server's own user must be able to pass
        with EmbeddedPostgres(home, fsync=False) as postgres:
            made = Server(postgres)
            prepare(made.environ)
            yield made


def test_the_templates_and_the_task_speak_of_the_same_roles() -> None:
    assert sorted(roles()) == sorted(ROLES)


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(SettingsInvalid, match="PROPENSITY_PASSWORD_GRAFANA"):
        prepare({name: "x" for name in (ADMIN_URL, ADMIN_PASSWORD, *map(password_variable, roles())) if "GRAFANA" not in name})


@pytest.mark.parametrize("role", roles())
def test_a_role_logs_in_to_its_own_database_and_to_no_other(server: Server, role: str) -> None:
    for name in DATABASES:
        if (role, name) in CONNECTS:
            server.connect(role, name).close()
        else:
            with pytest.raises(psycopg.OperationalError, match="permission denied"):
                server.connect(role, name)


@pytest.mark.parametrize("role", ["mlflow", "prefect", "grafana"])
def test_an_owner_makes_its_tables(server: Server, role: str) -> None:
    with server.connect(role, role) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        connection.execute("CREATE TABLE own (n integer)")


def test_the_service_may_insert_and_never_change(server: Server) -> None:
    with server.connect("propensity_app", "propensity") as connection:
        connection.execute("SELECT count(*) FROM prediction")
        for statement in ("UPDATE outcome SET source = ''", "DELETE FROM prediction_request", "CREATE TABLE mine (n integer)"):
            with pytest.raises(pg.InsufficientPrivilege):
                connection.execute(statement)


def test_dashboards_read_views_and_nothing_else(server: Server) -> None:
    with server.connect("propensity_reader", "propensity") as connection:
        listed = connection.execute(
            "select table_schema, table_name from information_schema.table_privileges"
            " where grantee in ('propensity_reader', 'PUBLIC') and table_schema not in ('pg_catalog', 'information_schema')"
        ).fetchall()
        assert {schema for schema, _ in listed} == {"panels"}
        for _, view in listed:
            found = connection.execute(sql.SQL("SELECT * FROM panels.{}").format(sql.Identifier(view)))
            named = {column.name for column in found.description or ()}
            assert not named & {"customer_id", "customer_ids", "caller", "features", "prediction_id", "request_id"}
        for table in ("prediction", "prediction_request", "outcome", "api_key", "monitor_metric", "prediction_hour", "prediction_counts"):
            with pytest.raises(pg.InsufficientPrivilege):
                connection.execute(sql.SQL("SELECT 1 FROM {}").format(sql.Identifier(table)))
        for function in ("count_panel_hours()", "recount_panel_hours()", "forget_service_minutes(now())", "panels.campaigns_seen()"):
            with pytest.raises(pg.InsufficientPrivilege):
                connection.execute(f"SELECT {function}")
        assert connection.execute("show statement_timeout").fetchall() == [("10s",)]
        with pytest.raises(pg.ReadOnlySqlTransaction):
            connection.execute("create temporary table mine (n integer)")


def test_running_again_changes_passwords_and_nothing_else(server: Server) -> None:
    old = server.environ[password_variable("mlflow")]
    with server.connect("mlflow", "mlflow") as connection:
        connection.execute("CREATE TABLE kept (n integer)")
    server.environ[password_variable("mlflow")] = secrets.token_hex(16)
    prepare(server.environ)
    with pytest.raises(psycopg.OperationalError, match="password"):
        server.connect("mlflow", "mlflow", old)
    with server.connect("mlflow", "mlflow") as connection:
        connection.execute("SELECT count(*) FROM kept")


def test_an_older_version_can_be_deployed_again(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with server.connect("propensity_owner", "propensity") as connection:
        ((at,),) = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        connection.execute("UPDATE alembic_version SET version_num = 'v9999'")
        prepare(server.environ)
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("v9999",)]
        connection.execute("UPDATE alembic_version SET version_num = %s", (at,))
    assert "newer version" in capsys.readouterr().out


def test_a_wrong_password_ends_the_task_without_showing_it(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {**server.environ, ADMIN_PASSWORD: "not-the-password"}.items():
        monkeypatch.setenv(name, value)
    assert main() == DatabaseUnavailable.exit_code
    told = capsys.readouterr()
    assert "not-the-password" not in told.err + told.out
    assert told.err.startswith("databases: ")
