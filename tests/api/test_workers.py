"""Which thread takes the next request."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from api.workers import Workers

WAIT_S = 10.0


class Work:
    """A request that says which thread took it, and holds that thread until told."""

    def __init__(self, *, held: bool = False) -> None:
        self.thread = ""
        self.begun, self.let_go = threading.Event(), threading.Event()
        if not held:
            self.let_go.set()

    def service(self) -> None:
        self.thread = threading.current_thread().name
        self.begun.set()
        assert self.let_go.wait(WAIT_S)

    def cancel(self) -> None:
        """Asked by a dispatcher that ends."""


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(4)
    until_idle(made)
    yield made
    made.shutdown(timeout=1)


def until_idle(workers: Workers) -> None:
    deadline = time.monotonic() + WAIT_S
    while workers.active_count and time.monotonic() < deadline:
        time.sleep(0.001)
    assert workers.active_count == 0


def test_one_request_after_another_is_worked_on_by_one_thread(workers: Workers) -> None:
    seen = set()
    for _ in range(50):
        work = Work()
        workers.add_task(work)
        assert work.begun.wait(WAIT_S)
        until_idle(workers)
        seen.add(work.thread)
    assert len(seen) == 1


def test_requests_at_once_have_a_thread_each(workers: Workers) -> None:
    held = [Work(held=True) for _ in range(4)]
    for work in held:
        workers.add_task(work)
    assert all(work.begun.wait(WAIT_S) for work in held)
    assert len({work.thread for work in held}) == 4
    for work in held:
        work.let_go.set()


def test_what_waits_is_taken_in_the_order_in_which_it_came(workers: Workers) -> None:
    held = [Work(held=True) for _ in range(4)]
    waiting = [Work(held=True) for _ in range(3)]
    for work in (*held, *waiting):
        workers.add_task(work)
    assert all(work.begun.wait(WAIT_S) for work in held)
    assert not any(work.begun.is_set() for work in waiting)
    for free, next_one, later in zip(held, waiting, (waiting[1:], waiting[2:], []), strict=False):
        free.let_go.set()
        assert next_one.begun.wait(WAIT_S)
        assert not any(work.begun.is_set() for work in later)
    for work in (*held, *waiting):
        work.let_go.set()


def test_every_thread_ends(workers: Workers) -> None:
    workers.shutdown(timeout=WAIT_S)
    assert not workers.threads
