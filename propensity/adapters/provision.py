"""Roles and databases on a Postgres whose administrator is no superuser, as that of RDS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from propensity.adapters.postgres_admin import ensure_database, ensure_role
from propensity.errors import DatabaseUnavailable, SettingsInvalid

CONNECT_TIMEOUT_S = 10


def address(url: str, **changed: str) -> str:
    """A connection string like ``url`` but for ``user``, ``password``, ``dbname``. Raises SettingsInvalid where ``url`` is none."""
    try:
        return make_conninfo(url, **changed)
    except psycopg.ProgrammingError:
        # Without the cause: it quotes the address.
        raise SettingsInvalid("the database address cannot be read; it looks like postgresql://user@host:5432/postgres") from None


def ensure_roles(admin: str, passwords: Mapping[str, str], owners: Sequence[str]) -> None:
    """Let each role log in with its password; the administrator becomes a member of ``owners``, without which he could give them nothing.

    Raises DatabaseUnavailable.
    """
    for role, password in passwords.items():
        ensure_role(admin, role, password)
    with _refused(), psycopg.connect(admin, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        for owner in owners:
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(owner)))


def ensure_databases(admin: str, databases: Mapping[str, tuple[str, Sequence[str]]]) -> None:
    """Create what is missing; only the owner and those named with it can connect. Raises DatabaseUnavailable.

    Parameters
    ----------
    databases : mapping of str to (str, sequence of str)
        By name: the owner, and roles that may connect.
    """
    for name, (owner, readers) in databases.items():
        ensure_database(admin, name, owner, readers=tuple(readers))


def let_read(owner: str, role: str, schema: str) -> None:
    """Let a role read every view of this schema, and nothing else of the owner's database. Raises DatabaseUnavailable."""
    names = {"schema": sql.Identifier(schema), "role": sql.Identifier(role)}
    with _refused(), psycopg.connect(owner, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {schema} TO {role}").format(**names))
        connection.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}").format(**names))


def limit_role(admin: str, role: str, limits: Mapping[str, str]) -> None:
    """Settings with which every session of a role begins, as ``statement_timeout``. Raises DatabaseUnavailable."""
    with _refused(), psycopg.connect(admin, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        for name, value in limits.items():
            statement = sql.SQL("ALTER ROLE {} SET {} = {}").format(sql.Identifier(role), sql.Identifier(name), sql.Literal(value))
            connection.execute(statement)


@contextmanager
def _refused() -> Iterator[None]:
    """psycopg's errors as the platform's own."""
    try:
        yield
    except psycopg.Error as exc:
        # libpq's words name host, port and role, never a password.
        raise DatabaseUnavailable(f"Postgres refused: {str(exc).strip().splitlines()[-1]}") from exc
