"""Bring the tables to the newest revision. The only module that imports Alembic and SQLAlchemy; no server process imports it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import errors as pg
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from propensity.adapters.connections import Clocked, Deadlines
from propensity.adapters.database import conninfo, translated
from propensity.errors import DatabaseUnavailable

_SCRIPTS = Path(__file__).with_name("migrations")
# Any constant that nothing else on this database locks with.
_LOCK = 7_150_001


def migrate(owner_url: str, *, timeout_s: float = 60.0) -> None:
    """Create or upgrade all tables, views and rights in one transaction; nothing happens where they are up to date.

    Two at once are safe: the second waits for the first and finds nothing to do.

    Parameters
    ----------
    owner_url : str
        ``postgresql://`` address with the role that owns the tables (and may create roles where ``propensity_app`` is missing).
    timeout_s : float
        All of it, waiting for another migration included.

    Raises
    ------
    DatabaseUnavailable
        Postgres did not answer in time, or its revision is unknown to this program.
    """
    config = _config()
    scripts = ScriptDirectory.from_config(config)
    at = current_revision(owner_url)
    if at == scripts.get_current_head():
        return
    if at is not None and at not in _known(scripts):
        raise DatabaseUnavailable(f"the tables are of revision {at}, newer than this program: deploy the program that made them")
    with _connection(owner_url, timeout_s) as connection:
        _upgrade(config, connection)


def current_revision(url: str, *, timeout_s: float = 5.0) -> str | None:
    """The revision of the tables; None in an empty database. Any role may ask. Raises DatabaseUnavailable."""
    with _connection(url, timeout_s) as connection:
        try:
            row = connection.execute("select version_num from alembic_version").fetchone()
        except pg.UndefinedTable:
            return None
    return None if row is None else str(row[0])


def is_ahead(url: str) -> bool:
    """Whether a newer program than this one made the tables. Raises DatabaseUnavailable."""
    at = current_revision(url)
    return at is not None and at not in _known(ScriptDirectory.from_config(_config()))


def _config() -> Config:
    config = Config()
    # Alembic reads % as the beginning of a reference.
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config


def _known(scripts: ScriptDirectory) -> set[str]:
    return {script.revision for script in scripts.walk_revisions()}


def _upgrade(config: Config, connection: Clocked) -> None:
    connection.autocommit = False
    engine = create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=NullPool)
    try:
        with engine.begin() as transaction:
            transaction.exec_driver_sql(f"select pg_advisory_xact_lock({_LOCK})")
            config.attributes["connection"] = transaction
            command.upgrade(config, "head")
    except DBAPIError as exc:
        # SQLAlchemy's text repeats the statement; psycopg's own error says what is wrong.
        if isinstance(exc.orig, psycopg.Error):
            raise exc.orig from exc
        raise


@contextmanager
def _connection(url: str, timeout_s: float) -> Iterator[Clocked]:
    """A connection that lives for at most ``timeout_s`` seconds, even where Postgres is frozen."""
    deadlines = Deadlines()
    info = conninfo(url, timeout_s) | {"connect_timeout": 5}
    try:
        with (
            translated(),
            Clocked.connect(autocommit=True, **info) as connection,
            deadlines.until(connection, time.monotonic() + timeout_s),
        ):
            yield connection
    finally:
        deadlines.stop()
