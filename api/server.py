"""Waitress, with an end of our own: asked to stop, it finishes every request in flight and only then ends.

Waitress' own shutdown waits a fixed time and then drops what is queued. Here the main loop goes on while the process drains: it takes
in what already waits to be accepted, closes each connection with its last reply, and gives idle ones a moment to be heard.
"""

from __future__ import annotations

import errno
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

from waitress import wasyncore
from waitress.server import create_server

from api.channel import Admission, Channel, wake_where_needed
from api.media import MAX_BODY_BYTES
from api.memory import GiveBack
from api.workers import Workers
from propensity.errors import SettingsInvalid

CONNECTION_LIMIT = 10_000
LOOP_S = 1.0
# While requests wait for threads already, nothing is gained by listening at once: each round looks at every connection, and takes
# Python's lock from the threads that work (32 connections: eight rounds a request, and a quarter of the requests a second).
PAUSE_S = 0.002
DRAIN_LOOP_S = 0.02
# An idle connection may carry a request that is already on its way; it is given so long to arrive.
IDLE_GRACE_S = 0.5


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
        self._give_back = GiveBack()
        self._server = _listen(app, host, port, threads, self._map)
        self._server.channel_class = Channel
        workers = self._server.task_dispatcher
        self.admission = Admission(draining, queue=lambda: workers.queue)
        self._server.admission = self.admission
        self._server.pull_trigger = partial(wake_where_needed, self._server.pull_trigger)
        self._server.add_task = lambda channel: channel.put_in_line(workers.add_task)

    @property
    def address(self) -> str:
        """Where it listens, as ``http://127.0.0.1:8700``."""
        host = self._server.effective_host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._server.effective_port}"

    @property
    def waiting(self) -> int:
        """Requests that wait for a thread."""
        return len(self._server.task_dispatcher.queue)

    @property
    def in_flight(self) -> int:
        """Requests that are worked on."""
        return int(self._server.task_dispatcher.active_count)

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
        self.admission.loop = threading.get_ident()
        while not self._draining.is_set():
            self._poll(LOOP_S)
            self._give_back.after(self.in_flight > 0)
            if self.waiting > 1:
                time.sleep(PAUSE_S)
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
        _dispatcher=Workers(threads),
        ident=None,
        # One request is read ahead: without it the main loop spins while workers wait for the log.
        channel_request_lookahead=1,
        asyncore_use_poll=True,
        connection_limit=CONNECTION_LIMIT,
        backlog=1024,
        max_request_body_size=MAX_BODY_BYTES + 1,  # Waitress refuses what reaches its limit
        # Lists are large: read and written in large pieces, and kept in memory rather than in a temporary file.
        recv_bytes=256 * 1024,
        inbuf_overflow=MAX_BODY_BYTES + 1,
        outbuf_overflow=64 * 2**20,
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
