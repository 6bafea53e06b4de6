"""Commits of several threads in one transaction: one wait for the disk instead of one each.

The first thread that finds nobody at work leads: it commits its own statements and those that wait, and hands the lead on. A thread alone
pays nothing for it. Nobody waits longer than the database's own limit, and a statement that fails takes no other with it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from propensity.adapters.database import Database
from propensity.errors import DatabaseUnavailable, LockedTooLong

# Two transactions at once: while one waits for the disk, the next is put together.
LEADERS = 2
MOST_TOGETHER = 64
MOST_BYTES = 4 * 2**20


@dataclass(eq=False)
class _Waiting:
    """One statement and what became of it. ``woken`` is released when it is done, or when its thread must lead."""

    values: Sequence[Any]
    size_bytes: int
    order: str
    deadline: float
    woken: threading.Lock = field(default_factory=threading.Lock)
    leads: bool = False
    rows: int | None = None
    error: BaseException | None = None


class GroupCommit:
    """Runs one statement with different values for many threads.

    Parameters
    ----------
    statement : str
        An INSERT that says by its row count whether it wrote.
    timeout_s : float
        A statement is committed or refused within this time, waiting for others included.
    """

    def __init__(self, database: Database, statement: str, *, timeout_s: float) -> None:
        self._database = database
        self._statement = statement
        self._timeout_s = timeout_s
        self._mutex = threading.Lock()
        self._queue: deque[_Waiting] = deque()
        self._leaders = 0

    def run(self, values: Sequence[Any], *, size_bytes: int, order: str = "") -> int:
        """Rows written, once that is committed.

        Parameters
        ----------
        order : str
            Statements of one transaction run in this order: two transactions that wait for each other's keys would never end.

        Raises
        ------
        DatabaseUnavailable, DataError
            As `Database.transaction`.
        """
        mine = _Waiting(values, size_bytes, order, time.monotonic() + self._timeout_s)
        mine.woken.acquire()
        with self._mutex:
            self._queue.append(mine)
            mine.leads = self._leaders < LEADERS
            self._leaders += mine.leads
        if not mine.leads:
            self._await(mine)
        if mine.leads:
            self._lead(mine)
        if mine.error is not None:
            raise mine.error
        assert mine.rows is not None, "a statement that was not refused wrote or did not"
        return mine.rows

    def _await(self, mine: _Waiting) -> None:
        if mine.woken.acquire(timeout=self._timeout_s):
            return
        with self._mutex:
            # Between the end of the wait and this line the lead, or the answer, may have come.
            if mine in self._queue and not mine.leads:
                self._queue.remove(mine)
                raise DatabaseUnavailable("Postgres did not commit in time; nothing was stored; try again")
        # It is in a transaction under way, which has a deadline of its own.
        mine.woken.acquire()

    def _lead(self, mine: _Waiting) -> None:
        together = [mine]
        size = mine.size_bytes
        with self._mutex:
            self._queue.remove(mine)
            while self._queue and len(together) < MOST_TOGETHER and size + self._queue[0].size_bytes <= MOST_BYTES:
                if self._queue[0].leads:
                    break
                together.append(self._queue.popleft())
                size += together[-1].size_bytes
        try:
            self._commit(sorted(together, key=lambda one: one.order))
        finally:
            self._hand_on()
            for one in together:
                if one is not mine:
                    one.woken.release()

    def _hand_on(self) -> None:
        with self._mutex:
            self._leaders -= 1
            following = next((one for one in self._queue if not one.leads), None)
            if following is not None:
                following.leads = True
                self._leaders += 1
                following.woken.release()

    def _commit(self, together: Sequence[_Waiting]) -> None:
        statements = [(self._statement, one.values) for one in together]
        try:
            counts = self._database.write(statements, deadline=min(one.deadline for one in together))
        except Exception as exc:  # noqa: BLE001 (carried to the thread whose statement it was)
            # The caller of each statement raises it; this thread may be another's.
            if len(together) == 1 or (isinstance(exc, DatabaseUnavailable) and not isinstance(exc, LockedTooLong)):
                for one in together:
                    one.error = exc
            else:
                # One of them is at fault: each for itself, so that the others do not suffer.
                for one in together:
                    self._commit([one])
        else:
            for one, rows in zip(together, counts, strict=True):
                one.rows = rows
