"""Roles and databases of a Postgres server: what its superuser does once, before any migration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from propensity.errors import DatabaseUnavailable

CONNECT_TIMEOUT_S = 5


@contextmanager
def _connection(url: str) -> Iterator[psycopg.Connection]:
    """Autocommit: CREATE DATABASE refuses to run inside a transaction."""
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            yield connection
    except psycopg.Error as exc:
        # libpq's words name host, port and role, never a password.
        raise DatabaseUnavailable(f"Postgres refused: {str(exc).strip().splitlines()[-1]}") from exc


def server_version(url: str) -> str:
    """Version of the server that answers at ``url``, such as ``18.1``. Raises DatabaseUnavailable."""
    with _connection(url) as connection:
        return connection.info.parameter_status("server_version") or "unknown"


def ensure_role(url: str, name: str, password: str) -> None:
    """Make the role able to log in with this password; it is created where it does not exist.

    Raises
    ------
    DatabaseUnavailable
        The server did not answer or refused.
    """
    with _connection(url) as connection:
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
        verb = sql.SQL("ALTER" if known else "CREATE")
        # The verifier, not the password, crosses the wire and may end in a log.
        verifier = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
        connection.execute(
            sql.SQL("{verb} ROLE {name} LOGIN PASSWORD {verifier}").format(
                verb=verb, name=sql.Identifier(name), verifier=sql.Literal(verifier)
            )
        )


def ensure_database(url: str, name: str, owner: str, *, readers: tuple[str, ...] = ()) -> bool:
    """Create a database that only its owner and ``readers`` can connect to; say whether it was new.

    Raises
    ------
    DatabaseUnavailable
        The server did not answer or refused.
    """
    with _connection(url) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            new = False
        else:
            new = True
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner)))
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
        for reader in readers:
            connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(name), sql.Identifier(reader)))
        return new


def drop_database(url: str, name: str) -> None:
    """Drop a database with whoever is connected to it; nothing happens where it does not exist. Raises DatabaseUnavailable."""
    with _connection(url) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
