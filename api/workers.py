"""The threads that work on requests: of those that are idle, the one that worked last takes the next request.

Waitress wakes the one that has been idle longest. Callers that ask one after another would then meet a different thread each time: its
stack and its part of the heap have left the processor's cache, and XGBoost keeps helper threads for each thread that ever called it.
"""

from __future__ import annotations

import threading

from waitress.task import ThreadedTaskDispatcher


class NewestFirst:
    """What a Condition is, for as much as Waitress asks of it, but the thread that came last is woken first. Used with ``lock`` held."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._asleep: list[threading.Lock] = []

    def wait(self) -> None:
        """Sleep until woken; the lock is free meanwhile."""
        gate = threading.Lock()
        gate.acquire()
        self._asleep.append(gate)
        self._lock.release()
        try:
            gate.acquire()
        finally:
            self._lock.acquire()

    def notify(self) -> None:
        """Wake the thread that came last, if any sleeps."""
        if self._asleep:
            self._asleep.pop().release()

    def notify_all(self) -> None:
        """Wake every thread."""
        while self._asleep:
            self.notify()


class Workers(ThreadedTaskDispatcher):  # type: ignore[misc]
    """So many threads. Requests are taken in the order in which they came."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.queue_cv = NewestFirst(self.lock)
        self.set_thread_count(threads)
