"""One Postgres database as the stores see it: short transactions that commit by a deadline or say that they did not.

Which error means what::

    DatabaseUnavailable   refused, out of time, lost, shutting down, read-only, without tables: try again
      LockedTooLong       another transaction holds what this one needs
    DataError             a value that Postgres cannot store (NUL, a lone surrogate, NaN in JSON): trying again is useless
    psycopg.Error         everything else, rights and SQL above all: a bug of this program
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict

from propensity.adapters.connections import Breaker, Clocked, Connections, Deadlines, OutOfTime
from propensity.errors import DatabaseUnavailable, DataError, LockedTooLong, SettingsInvalid

Cursor = psycopg.Cursor[tuple[Any, ...]]
_RAISE_LIMITS = "select set_config('statement_timeout', %(limit_ms)s, true), set_config('lock_timeout', %(limit_ms)s, true)"
_NOT_STORABLE = "a value cannot be stored: texts must be free of NUL and lone surrogates, numbers in JSON finite"
_NO_ADDRESS = "the database address cannot be read; it looks like postgresql://user:password@host:5432/propensity"


class Database:
    """Postgres behind a bounded number of connections. Making one connects to nothing: Postgres may be down.

    Parameters
    ----------
    url : str
        ``postgresql://`` address or any libpq connection string.
    pool_size : int
        Connections at most; as many transactions run at once.
    timeout_s : float
        A transaction takes at most so long, waiting for a connection included, whatever state Postgres is in.
    """

    def __init__(self, url: str, *, pool_size: int = 8, timeout_s: float = 2.0) -> None:
        self.timeout_s = timeout_s
        self._deadlines = Deadlines()
        self._breaker = Breaker()
        self._connections = Connections(conninfo(url, timeout_s), pool_size)

    @contextmanager
    def transaction(self, timeout_s: float | None = None) -> Iterator[Cursor]:
        """A cursor in a transaction that is committed when the block ends and rolled back where it raises.

        The commit is sent only after every statement was answered. A caller who gets DatabaseUnavailable therefore almost always has
        nothing stored; only where the answer to the commit itself was lost the rows may be there. Repeating is safe
        with an idempotency key or a natural key.

        Raises
        ------
        DatabaseUnavailable
            Not committed, or not known to be, within ``timeout_s`` (seconds; by default that of the database).
        DataError
            A value cannot be stored.
        """
        with self._cursor(timeout_s) as cursor, cursor.connection.transaction():
            if timeout_s is not None:
                cursor.execute(_RAISE_LIMITS, {"limit_ms": str(max(1, int(1000 * timeout_s)))})
            yield cursor

    @contextmanager
    def statement(self) -> Iterator[Cursor]:
        """A cursor for one statement, which is its own transaction: one round trip instead of three. Raises as `transaction`."""
        with self._cursor(None) as cursor:
            yield cursor

    def write(self, statements: Sequence[tuple[str, Sequence[Any]]], *, deadline: float | None = None) -> list[int]:
        """Run statements in one transaction, in order; return how many rows each wrote, after the commit.

        Every statement must write nothing once the server's clock, as ``extract(epoch from clock_timestamp())``, has passed its first
        parameter, which is added here: a statement alone is its own transaction and takes one round trip, and a server that froze and
        comes back would otherwise carry it out although its caller was told that nothing was stored. Several take two round trips.
        Raises as `transaction`, at ``deadline`` (monotonic seconds) at the latest.
        """
        until = time.monotonic() + self.timeout_s if deadline is None else deadline
        with self._borrowed(until) as connection:
            by_server = connection.server_time(until)
            if len(statements) == 1:
                ((statement, values),) = statements
                counts = [connection.run(statement, (by_server, *values))]
            else:
                cursors = [connection.cursor(binary=True) for _ in range(1 + len(statements))]
                with connection.pipeline():
                    cursors[0].execute("begin")
                    for one, (statement, values) in zip(cursors[1:], statements, strict=True):
                        one.execute(statement, (by_server, *values), prepare=True)
                # Only now: what was not answered in time is never committed.
                self._commit(cursors[0])
                counts = [one.rowcount for one in cursors[1:]]
            if 0 in counts:
                # Too late, perhaps: the server's clock may have been set, and is read anew with a new connection.
                connection.distrust()
            return counts

    def _commit(self, cursor: Cursor) -> None:
        cursor.execute("commit")

    def ping(self) -> None:
        """Ask Postgres for a sign of life. Raises DatabaseUnavailable."""
        with self.statement() as cursor:
            cursor.execute("select 1")

    def close(self) -> None:
        """Close the connections and end the clock."""
        self._connections.close()
        self._deadlines.stop()

    @contextmanager
    def _cursor(self, timeout_s: float | None) -> Iterator[Cursor]:
        until = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        with self._borrowed(until) as connection, connection.cursor(binary=True) as cursor:
            yield cursor

    @contextmanager
    def _borrowed(self, deadline: float) -> Iterator[Clocked]:
        with (
            translated(),
            self._breaker.guard(deadline),
            self._connections.borrow(deadline) as connection,
            self._deadlines.until(connection, deadline),
        ):
            yield connection


def conninfo(url: str, timeout_s: float) -> dict[str, Any]:
    """Connection parameters with every limit that Postgres, libpq and TCP offer. Raises SettingsInvalid where ``url`` is none."""
    try:
        parts: dict[str, Any] = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # Without the cause: it quotes the address, password included.
        raise SettingsInvalid(_NO_ADDRESS) from None
    limit_ms = max(1, int(1000 * timeout_s))
    session = {
        "timezone": "UTC",
        "statement_timeout": limit_ms,
        "lock_timeout": max(1, limit_ms // 2),
        "idle_in_transaction_session_timeout": 60_000,
    }
    options = " ".join([str(parts.get("options") or ""), *(f"-c {name}={value}" for name, value in session.items())]).strip()
    network = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": max(2_000, limit_ms)}
    # libpq raises anything below two seconds to two.
    return {"connect_timeout": max(2, round(timeout_s)), "application_name": "propensity", **network, **parts, "options": options}


@contextmanager
def translated() -> Iterator[None]:
    """Turn psycopg's errors into the platform's, without addresses, passwords or values in their text."""
    try:
        yield
    except (pg.UndefinedTable, pg.InvalidSchemaName) as exc:
        raise DatabaseUnavailable("Postgres has no such table yet; nothing was stored; run the migrations, then try again") from exc
    except pg.LockNotAvailable as exc:
        raise LockedTooLong("Postgres did not finish in time: another transaction holds what this one needs; try again") from exc
    except OutOfTime as exc:
        raise DatabaseUnavailable("Postgres did not take a connection in time; nothing was stored; try again") from exc
    except (psycopg.OperationalError, psycopg.InterfaceError, pg.ReadOnlySqlTransaction) as exc:
        raise DatabaseUnavailable(
            f"Postgres did not {_what(exc)}; nothing was confirmed; try again, with the same Idempotency-Key where one was sent"
        ) from exc
    except pg.CheckViolation as exc:
        if exc.diag.constraint_name is None:
            # No check of ours: a row met a partition that was being made for it.
            raise DatabaseUnavailable("Postgres was making room for this; nothing was stored; try again") from exc
        raise DataError(_NOT_STORABLE) from None
    except (psycopg.DataError, pg.NotNullViolation, UnicodeEncodeError):
        # Without the cause: it quotes the value, and a traceback in a log must not.
        raise DataError(_NOT_STORABLE) from None


def _what(exc: psycopg.Error) -> str:
    if isinstance(exc, pg.QueryCanceled):
        return "finish in time"
    return "answer" if exc.sqlstate is None else f"carry it out (SQLSTATE {exc.sqlstate})"
