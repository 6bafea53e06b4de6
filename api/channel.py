"""A connection under Waitress: its end, its refusals, and what it may cost the others.

Waitress' own queue grows without end, its health check waits in it, and bodies that arrive slowly fill the memory. Here a request that
would wait too long is refused at once, ``/livez`` is answered by the loop itself, and unfinished bodies share one budget.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask

from api.codes import STATUSES
from api.media import MAX_BODY_BYTES, PROBLEM, body_too_large
from api.problems import RETRY_AFTER_S, problem

logger = logging.getLogger("propensity.api.access")
# What a refused caller may still send while the reply travels, and for how long.
LINGER_S = 5.0
LINGER_BYTES = 64 * 2**20
# Requests that wait for a thread: so many, and bodies of so many bytes in all, which stands for the work in them.
MOST_WAITING = 256
MOST_WAITING_BYTES = 3 * MAX_BODY_BYTES
# A copy of so much costs less than a second packet.
JOINED_BYTES = 64 * 1024
# Of bodies that have not arrived whole.
MOST_UNFINISHED_BYTES = 128 * 2**20
_BUSY = "more requests wait than can be answered in time; nothing was scored; try again"
_REFUSALS = {
    400: ("malformed", "the request is not HTTP as it should be"),
    413: ("too_large", body_too_large()),
    431: ("header_too_large", "the request's header is too large"),
    503: ("overloaded", _BUSY),
}


# Whoever asks these decides whether the process gets requests, or lives on: they must not wait behind others.
AT_ONCE = ("/livez", "/startupz")


class _Serving(threading.local):
    channel: Any = None


_SERVING = _Serving()


def wake_where_needed(wake: Callable[[], None]) -> None:
    """Wake the main loop, unless all that happened is that a request was answered: it listens to that connection already."""
    channel = _SERVING.channel
    if channel is None or channel.writable() or not channel.connected:
        wake()


class Busy:
    """Why a request is refused, in the form in which Waitress keeps what is wrong with one."""

    code = 503


@dataclass
class Admission:
    """What waits, and what may still come in. Everything but ``draining`` belongs to the thread of the main loop.

    Attributes
    ----------
    queue : callable
        The channels that wait for a thread.
    refused : callable
        Told the code of every request that is refused here.
    """

    draining: threading.Event
    queue: Callable[[], deque[Any]] = deque
    refused: Callable[[str], None] = lambda _code: None
    unfinished_bytes: int = 0
    loop: int = field(default_factory=threading.get_ident)

    def admits(self, size_bytes: int) -> bool:
        """Whether a request with such a body may wait for a thread."""
        if not self.queue():
            return True
        waiting = self.queue().copy()
        held = sum(body_bytes(channel.requests[0]) for channel in waiting if channel.requests)
        return len(waiting) < MOST_WAITING and held + size_bytes <= MOST_WAITING_BYTES


def body_bytes(request: Any) -> int:
    """Of the body of a request so far."""
    return int(request.body_bytes_received)


class Task(WSGITask):  # type: ignore[misc]
    """A request. Once the server drains, its reply says that the connection ends with it."""

    wrote_header: bool

    def build_response_header(self) -> bytes:
        if self.channel.server.admission.draining.is_set():
            self.request.headers["CONNECTION"] = "close"
        header: bytes = super().build_response_header()
        return header

    def write(self, data: bytes) -> None:
        """Send a piece of the reply; a small reply goes out together with its header."""
        if self.wrote_header or not self.complete or len(data) > JOINED_BYTES:
            super().write(data)
            return
        header = self.build_response_header()
        self.wrote_header = True
        if self.chunked_response or not self.has_body or self.content_length != len(data):
            self.channel.write_soon(header)
            super().write(data)
            return
        self.content_bytes_written += len(data)
        self.channel.write_soon(header + data)


class RefusedTask(ErrorTask):  # type: ignore[misc]
    """A request that Waitress itself refuses (too large, not HTTP), answered like every other error."""

    def execute(self) -> None:
        status = int(self.request.error.code)
        code, detail = _REFUSALS.get(status) or (STATUSES[status].code, STATUSES[status].meaning)
        request_id = str(uuid.uuid4())
        body = problem(status, code, detail, request_id)
        self.status = f"{status} {HTTPStatus(status).phrase}"
        self.response_headers += [("Content-Type", PROBLEM), ("X-Request-Id", request_id)]
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.response_headers.append(("Retry-After", str(RETRY_AFTER_S)))
        if not getattr(self.request, "whole", False):
            self.channel.linger = True
            self.set_close_on_finish()
        self.channel.server.admission.refused(code)
        self.content_length = len(body)
        self.write(body)
        fields = {"event": "refused", "request_id": request_id, "status": status, "code": code}
        logger.info("request refused before it was read", extra={"fields": fields})


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection. After a refusal it reads on for a while before it closes: a caller still sending a body over the limit would
    otherwise meet a reset instead of the reply.
    """

    task_class = Task
    error_task_class = RefusedTask
    linger = False
    request: Any = None
    _until_s: float | None = None
    _to_discard = LINGER_BYTES
    _at_once = False
    _unfinished = 0

    def received(self, data: bytes) -> bool:
        """Take in what came; answer what must not wait."""
        going_on = bool(super().received(data))
        unfinished = 0 if self.request is None else body_bytes(self.request)
        self._account(unfinished)
        if unfinished and self.server.admission.unfinished_bytes > MOST_UNFINISHED_BYTES:
            self._refuse_unfinished()
        if self._at_once:
            self._at_once = False
            self.service()
        return going_on

    def _account(self, unfinished: int) -> None:
        self.server.admission.unfinished_bytes += unfinished - self._unfinished
        self._unfinished = unfinished

    def _refuse_unfinished(self) -> None:
        with self.requests_lock:
            if self.requests:
                return  # its earlier request is worked on; the budget is looked at again with the next piece
            self.request.error = Busy()
            self.requests.append(self.request)
            self.request = None
        self._account(0)
        self._at_once = True

    def service(self) -> None:
        """Work on the request at the front, in a thread of the pool."""
        _SERVING.channel = self
        try:
            super().service()
        finally:
            _SERVING.channel = None

    def put_in_line(self, wait: Callable[[Any], None]) -> None:
        """Let the request at the front wait for a thread, or mark it as answered at once: `AT_ONCE`, and what is too much."""
        request = self.requests[0]
        in_loop = threading.get_ident() == self.server.admission.loop
        # What is not HTTP has no path.
        alive = request.error is None and request.path in AT_ONCE
        if request.error is None and not alive and not self.server.admission.admits(body_bytes(request)):
            request.error = Busy()
            request.whole = True
        if in_loop and (alive or isinstance(request.error, Busy)):
            self._at_once = True
        else:
            wait(self)

    def del_channel(self, map: Any = None) -> None:
        """Forget the connection, and what it had sent of a body."""
        self._account(0)
        super().del_channel(map)

    def readable(self) -> bool:
        if self._until_s is None:
            return bool(super().readable())
        if time.monotonic() < self._until_s:
            return True
        super().handle_close()
        return False

    def writable(self) -> bool:
        return self._until_s is None and bool(super().writable())

    def handle_read(self) -> None:
        if self._until_s is None:
            super().handle_read()
            return
        # An empty read closes the channel by itself.
        self._to_discard -= len(self.recv(self.adj.recv_bytes))
        if self._to_discard <= 0 and self.connected:
            super().handle_close()

    def handle_close(self) -> None:
        if not self.linger or self._until_s is not None or not self.connected:
            super().handle_close()
            return
        self._until_s = time.monotonic() + LINGER_S
        self.will_close = self.close_when_flushed = False
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            super().handle_close()
