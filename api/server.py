"""Waitress, with an end of our own: asked to stop, it finishes every request in flight and only then ends.

Waitress' own shutdown waits a fixed time and then drops what is queued. Here the main loop goes on while the process drains: it takes
in what already waits to be accepted, closes each connection with its last reply, and gives idle ones a moment to be heard.
"""

from __future__ import annotations

import errno
import logging
import select
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from http import HTTPStatus
from types import FrameType
from typing import Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import ErrorTask, WSGITask

from api.media import MAX_BODY_BYTES, PROBLEM, body_too_large
from api.problems import problem
from propensity.errors import SettingsInvalid

CONNECTION_LIMIT = 10_000
LOOP_S = 1.0
DRAIN_LOOP_S = 0.02
# An idle connection may carry a request that is already on its way; it is given so long to arrive.
IDLE_GRACE_S = 0.5
logger = logging.getLogger("propensity.api.access")
# What a refused caller may still send while the reply travels, and for how long.
LINGER_S = 5.0
LINGER_BYTES = 64 * 2**20
_REFUSALS = {
    400: ("malformed", "the request is not HTTP as it should be"),
    413: ("too_large", body_too_large()),
    431: ("header_too_large", "the request's header is too large"),
}


class _Task(WSGITask):  # type: ignore[misc]
    """A request. Once the server drains, its reply says that the connection ends with it."""

    def build_response_header(self) -> bytes:
        if self.channel.server.draining.is_set():
            self.request.headers["CONNECTION"] = "close"
        header: bytes = super().build_response_header()
        return header


class _ErrorTask(ErrorTask):  # type: ignore[misc]
    """A request that Waitress itself refuses (too large, not HTTP), answered like every other error."""

    def execute(self) -> None:
        status = int(self.request.error.code)
        code, detail = _REFUSALS.get(status, ("internal_error", HTTPStatus(status).description))
        request_id = str(uuid.uuid4())
        body = problem(status, code, detail, request_id)
        self.channel.linger = True
        self.status = f"{status} {HTTPStatus(status).phrase}"
        self.response_headers += [("Content-Type", PROBLEM), ("X-Request-Id", request_id)]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)
        fields = {"event": "refused", "request_id": request_id, "status": status, "code": code}
        logger.info("request refused before it was read", extra={"fields": fields})


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection. After a refusal it reads on for a while before it closes: a caller still sending a body over the limit would
    otherwise meet a reset instead of the reply.
    """

    task_class = _Task
    error_task_class = _ErrorTask
    linger = False
    _until_s: float | None = None
    _to_discard = LINGER_BYTES

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


class Server:
    """One listening socket and its threads.

    Parameters
    ----------
    app : WSGI application
    host, port : where to listen; port 0 takes a free one
    threads : requests worked on at once
    draining : Event that is set when the end begins
    drain_s : float
        Seconds that requests in flight are given to finish.

    Raises
    ------
    SettingsInvalid
        Another process listens there, or the address is not one of this machine.
    """

    def __init__(
        self, app: Callable[..., Any], host: str, port: int, threads: int, draining: threading.Event, *, drain_s: float = 25.0
    ) -> None:
        self._map: dict[int, Any] = {}
        self._draining = draining
        self._ended = False
        self._drain_s = drain_s
        self._server = _listen(app, host, port, threads, self._map)
        self._server.channel_class = _Channel
        self._server.draining = draining

    @property
    def address(self) -> str:
        """Where it listens, as ``http://127.0.0.1:8700``."""
        host = self._server.effective_host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._server.effective_port}"

    def stop(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Begin to drain. May be called from a signal handler or from any thread; returns at once."""
        self._draining.set()
        if not self._ended:
            self._server.pull_trigger()

    def stop_on_signals(self) -> None:
        """Drain on SIGTERM and SIGINT. For the main thread alone."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)

    def run(self) -> bool:
        """Serve until `stop`, then drain. Returns whether every request in flight was finished in time."""
        while not self._draining.is_set():
            self._poll(LOOP_S)
        return self._drain()

    def _poll(self, timeout_s: float) -> None:
        wasyncore.loop(timeout=timeout_s, use_poll=True, map=self._map, count=1)

    def _drain(self) -> bool:
        started = time.monotonic()
        self._accept_waiting()
        wasyncore.dispatcher.close(self._server)
        while self._busy() or (self._server.active_channels and time.monotonic() < started + IDLE_GRACE_S):
            if time.monotonic() > started + self._drain_s:
                break
            self._poll(DRAIN_LOOP_S)
        finished = not self._busy()
        self._close()
        return finished

    def _accept_waiting(self) -> None:
        """Take in what the kernel has accepted on our behalf: closing the socket would reset it."""
        waiting = select.poll()
        waiting.register(self._server.socket.fileno(), select.POLLIN)
        while waiting.poll(0):
            self._server.handle_accept()

    def _busy(self) -> bool:
        """Whether a request is being received, worked on or answered."""
        channels = list(self._server.active_channels.values())
        return any(c.requests or c.request is not None or c.total_outbufs_len or c.close_when_flushed for c in channels)

    def _close(self) -> None:
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()
        self._server.task_dispatcher.shutdown(timeout=1)
        self._ended = True
        self._server.trigger.close()


def _listen(app: Callable[..., Any], host: str, port: int, threads: int, channels: dict[int, Any]) -> Any:
    return create_server(
        app,
        map=channels,
        sockets=[_bound(host, port)],
        threads=threads,
        ident=None,
        # One request is read ahead: without it the main loop spins while workers wait for the log.
        channel_request_lookahead=1,
        asyncore_use_poll=True,
        connection_limit=CONNECTION_LIMIT,
        backlog=1024,
        max_request_body_size=MAX_BODY_BYTES + 1,  # Waitress refuses what reaches its limit
    )


def _bound(host: str, port: int) -> socket.socket:
    """A socket at the address. Ours and not Waitress' own: it leaves threads behind where it cannot bind."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as exc:
        raise SettingsInvalid(f"PROPENSITY_API_HOST {host!r} with PROPENSITY_API_PORT {port} is not an address to listen on") from exc
    try:
        # A port that was left a moment ago may be taken at once; one that somebody listens on may not.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except OSError as exc:
        listening.close()
        why = "another process listens there" if exc.errno == errno.EADDRINUSE else exc.strerror or type(exc).__name__
        raise SettingsInvalid(f"cannot listen on port {port} of {host}: {why}; set PROPENSITY_API_PORT to a free port, or to 0") from exc
    return listening
