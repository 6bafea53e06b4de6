"""A few Postgres connections that are shared by threads, and the clock that takes a connection away from a server that fell silent.

Not psycopg_pool: connecting in the borrower's time shows a refused connection at once (its workers retry behind a waiting caller, with a
backoff that outlives the recovery), and a connection that died while idle is noticed by one poll of its socket, not by a failed request.
"""

from __future__ import annotations

import re
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import psycopg
from psycopg.pq import ConnStatus, ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import RowFactory, tuple_row

from propensity.adapters.pg_arrays import dump, register

_PLACEHOLDER = re.compile(r"%[sb]")


class Clocked(psycopg.Connection[tuple[Any, ...]]):
    """A connection that knows how its server's clock stands to this process' monotonic one: no wall clock here is asked, and none set
    wrong does harm.
    """

    _ahead_s = 0.0
    distrusted = False

    def __init__(self, pgconn: PGconn, row_factory: RowFactory[Any] = tuple_row) -> None:
        super().__init__(pgconn, row_factory)
        self._named: dict[str, bytes] = {}
        # A duplicate of the descriptor, for whoever takes the connection away: the number itself is another socket's once it is closed.
        self.twin = socket.fromfd(self.fileno(), socket.AF_INET, socket.SOCK_STREAM)

    def close(self) -> None:
        """Close the connection."""
        super().close()
        self.twin.close()

    def run(self, statement: str, values: Sequence[object]) -> int:
        """Run a statement that is its own transaction; return how many rows it wrote, or found. Raises psycopg.Error.

        One call of libpq, which waits without Python's lock: half the work of a cursor, a tenth of all for a request of one customer.
        """
        dumped = [dump(value) for value in values]
        types: list[int] = [one.oid for one in dumped]
        sent: list[Any] = [one.data for one in dumped]
        try:
            return self._run(statement, types, sent)
        except psycopg.errors.InvalidSqlStatementName:
            # psycopg drops every prepared statement of a connection after some rollbacks, ours as well. Nothing ran.
            self._named.clear()
            return self._run(statement, types, sent)

    def _run(self, statement: str, types: Sequence[int], sent: Sequence[Any]) -> int:
        name = self._named.get(statement) or self._prepare(statement, types)
        result = self.pgconn.exec_prepared(name, sent, [Format.BINARY] * len(sent))
        return self._checked(result).command_tuples or 0

    def _prepare(self, statement: str, types: Sequence[int]) -> bytes:
        name = b"run%d" % len(self._named)
        numbers = count(1)
        text = _PLACEHOLDER.sub(lambda _: f"${next(numbers)}", statement)
        self._checked(self.pgconn.prepare(name, text.encode(), types))
        self._named[statement] = name
        return name

    def _checked(self, result: PGresult) -> PGresult:
        if result.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
            return result
        if self.pgconn.status == ConnStatus.BAD:
            raise psycopg.OperationalError("the connection is lost")
        raise psycopg.errors.error_from_result(result)

    def read_clock(self) -> None:
        """Ask the server for its time. The answer's way back counts as the server being behind: a deadline never comes too late."""
        row = self.execute("select extract(epoch from clock_timestamp())::float8").fetchone()
        assert row is not None, "a select without a table has one row"
        self._ahead_s = row[0] - time.monotonic()

    def server_time(self, monotonic: float) -> float:
        """Seconds since 1970 on the server's clock when the monotonic clock here shows this."""
        return monotonic + self._ahead_s

    def distrust(self) -> None:
        """Use this connection no further once it is given back."""
        self.distrusted = True


class OutOfTime(psycopg.OperationalError):
    """No connection could be had before the deadline; nothing was sent."""


class Breaker:
    """Refuses at once what would only wait: after a deadline was missed, one at a time tries whether the server answers again.

    Without it every request that comes while a server is frozen would wait for its own deadline, and those behind them for theirs.
    """

    def __init__(self) -> None:
        self._open = False
        self._trial = threading.Lock()

    @contextmanager
    def guard(self, deadline: float) -> Iterator[None]:
        """Raises OutOfTime where the server has not answered since it missed a deadline and somebody else is trying already."""
        trying = self._open and self._trial.acquire(blocking=False)
        if self._open and not trying:
            raise OutOfTime("the server missed a deadline and did not answer since")
        try:
            yield
        except psycopg.OperationalError as exc:
            # An error with a state is an answer.
            self._open = self._open or (exc.sqlstate is None and time.monotonic() >= deadline)
            raise
        else:
            self._open = False
        finally:
            if trying:
                self._trial.release()


class Deadlines:
    """Shuts the socket of every connection whose deadline has passed.

    Statement and TCP timeouts do not help against a frozen server: its kernel still acknowledges packets while no process reads them.
    Shutting the socket down wakes the waiting thread with an ordinary connection error. A thread that ticks costs less than
    a worker thread per statement, and less than waking a clock for each.
    """

    def __init__(self, tick_s: float = 0.1) -> None:
        self._tick_s = tick_s
        self._lock = threading.Lock()
        self._watched: dict[int, tuple[float, socket.socket]] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def until(self, connection: Clocked, deadline: float) -> Iterator[None]:
        """Abandon the connection when the monotonic clock passes ``deadline`` (seconds) within this block."""
        with self._lock:
            self._watched[id(connection)] = (deadline, connection.twin)
            self._start()
        try:
            yield
        finally:
            with self._lock:
                del self._watched[id(connection)]

    def stop(self) -> None:
        """End the clock's thread."""
        self._stopped.set()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="postgres-deadlines", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(self._tick_s):
            now = time.monotonic()
            with self._lock:
                for deadline, twin in self._watched.values():
                    if now >= deadline:
                        # OSError: the server has hung up in the same moment.
                        with suppress(OSError):
                            twin.shutdown(socket.SHUT_RDWR)


class Connections:
    """At most ``size`` connections in autocommit mode, made when needed and kept for the next borrower."""

    def __init__(self, conninfo: dict[str, Any], size: int) -> None:
        self._conninfo = conninfo
        self._slots = threading.BoundedSemaphore(size)
        self._idle: list[Clocked] = []
        self._closed = False
        # Connecting has a thread of its own, for only that way it can be left behind at the deadline: libpq's limit is whole seconds,
        # two at least, and counts anew for every address of the host. Twice the size, so that those left behind do not block a recovery.
        self._connectors = ThreadPoolExecutor(2 * size, thread_name_prefix="postgres-connect")

    @contextmanager
    def borrow(self, deadline: float) -> Iterator[Clocked]:
        """A working, idle connection. Raises OutOfTime at ``deadline`` (monotonic seconds), OperationalError where it is refused."""
        if not self._slots.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise OutOfTime("every connection was in use")
        try:
            connection = self._take() or self._connect(deadline)
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            self._slots.release()

    def close(self) -> None:
        """Close every connection; those in use are closed when they come back."""
        self._closed = True
        self._connectors.shutdown(wait=False, cancel_futures=True)
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> Clocked | None:
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if not _hung_up(connection):
                    return connection
                connection.close()
        return None

    def _give_back(self, connection: Clocked) -> None:
        if connection.pgconn.transaction_status == TransactionStatus.IDLE and not self._closed and not connection.distrusted:
            self._idle.append(connection)
        else:
            connection.close()

    def _connect(self, deadline: float) -> Clocked:
        if self._closed:
            raise psycopg.InterfaceError("the database was closed")
        pending: Future[Clocked] = self._connectors.submit(_open, self._conninfo)
        try:
            return pending.result(max(0.0, deadline - time.monotonic()))
        except FutureTimeout as exc:
            if not pending.cancel():
                pending.add_done_callback(_discard)
            raise OutOfTime("no connection was made") from exc


def _open(conninfo: dict[str, Any]) -> Clocked:
    connection = Clocked.connect(autocommit=True, **conninfo)
    register(connection)
    connection.read_clock()
    return connection


def _hung_up(connection: Clocked) -> bool:
    """Whether an idle connection has something to read: its end, since a server says nothing unasked."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _discard(pending: Future[Clocked]) -> None:
    if not pending.cancelled() and pending.exception() is None:
        pending.result().close()
