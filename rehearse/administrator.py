"""``python -m rehearse.administrator``: make the administrator that RDS would make. He may make roles and databases and is no superuser."""

from __future__ import annotations

import os

import psycopg
from psycopg import sql


def make(url: str, name: str, password: str) -> None:
    """Make the role, or give it that password. Raises psycopg.Error."""
    may = sql.SQL("LOGIN CREATEROLE CREATEDB NOSUPERUSER PASSWORD {}").format(sql.Literal(password))
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
        verb = sql.SQL("ALTER ROLE" if known else "CREATE ROLE")
        connection.execute(sql.SQL("{} {} {}").format(verb, sql.Identifier(name), may))


if __name__ == "__main__":
    make(os.environ["REHEARSAL_POSTGRES_URL"], os.environ["REHEARSAL_ADMIN"], os.environ["REHEARSAL_ADMIN_PASSWORD"])
