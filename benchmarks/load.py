"""The load generator: requests encoded beforehand, kept connections, one epoll loop, a process of its own. Standard library alone.

``python -m benchmarks.load`` reads a `Load` as JSON from standard input and writes a `Result` as JSON. It is a closed loop: each
connection sends its next request when the reply to the last one is complete. A request counts from its first byte sent to the
last byte received. The clock stops with the last reply, so that no work of the server is left out, however slow it is.
"""

from __future__ import annotations

import itertools
import json
import selectors
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RECEIVE_BYTES = 1 << 18
HEAD_LIMIT = 1 << 16


@dataclass(frozen=True)
class Load:
    """What to send.

    Attributes
    ----------
    files : paths of complete HTTP requests, sent in turn
    seconds : float
        New requests are begun for so long, and in any case one on each connection.
    limit_s : float
        After so long the rest is given up and counts as errors.
    warm : int
        Requests sent before the clock starts, one after another.
    """

    host: str
    port: int
    files: tuple[str, ...]
    connections: int
    seconds: float
    limit_s: float = 60.0
    warm: int = 2


@dataclass(frozen=True)
class Result:
    """What came back. ``sent`` counts warm requests too: it is what the server has worked on."""

    completed: int
    errors: int
    sent: int
    seconds: float
    requests_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    client_cpu_share: float
    statuses: dict[str, int]


class Refused(Exception):
    """The server closed the connection or sent what is not HTTP."""


class Connection:
    """One kept connection: at most one request at a time."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self.socket = self._connect()
        self._buffer = bytearray(RECEIVE_BYTES)
        self._unsent = memoryview(b"")
        self._head = bytearray()
        self._left: int | None = None
        self._tail = b""
        self._closes = False
        self.status = 0
        self.started_s = 0.0

    def _connect(self) -> socket.socket:
        made = socket.create_connection(self._address, timeout=10)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setblocking(False)
        return made

    def reopen(self) -> None:
        """A fresh connection in the place of this one."""
        self.socket.close()
        self.socket = self._connect()

    def begin(self, request: bytes) -> None:
        """Start to send. ``unsent`` says whether the socket must still take more."""
        self._head.clear()
        self._left, self.status, self._closes, self._tail = None, 0, False, b""
        self._unsent = memoryview(request)
        self.started_s = time.perf_counter()
        self.send()

    @property
    def unsent(self) -> bool:
        return len(self._unsent) > 0

    def send(self) -> None:
        """Send what the socket takes."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except BlockingIOError:
            return
        except ConnectionError:
            # A server may refuse a body before it has read it: its reply says why.
            self._unsent = memoryview(b"")

    def receive(self) -> bool:
        """Read what is there; True once the reply is complete. Raises Refused."""
        while True:
            try:
                n = self.socket.recv_into(self._buffer)
            except BlockingIOError:
                return False
            except ConnectionError as exc:
                raise Refused("reset") from exc
            if n == 0:
                raise Refused("closed before the reply was complete")
            if self._take(memoryview(self._buffer)[:n]):
                return True
            if n < RECEIVE_BYTES:
                return False

    @property
    def closes(self) -> bool:
        """The server said that it will close the connection."""
        return self._closes

    def _take(self, piece: memoryview) -> bool:
        if self._left is None:
            self._head += piece
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                if len(self._head) > HEAD_LIMIT:
                    raise Refused("no end of the reply's header")
                return False
            piece = memoryview(bytes(self._head[end + 4 :]))
            self._read_head(bytes(self._head[:end]))
        assert self._left is not None
        if self._left < 0:  # chunked: the reply ends with an empty chunk
            self._tail = (self._tail + bytes(piece[-5:]))[-5:]
            return self._tail == b"0\r\n\r\n"
        self._left -= len(piece)
        return self._left <= 0

    def _read_head(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        try:
            self.status = int(first.split(b" ", 2)[1])
        except (IndexError, ValueError) as exc:
            raise Refused("not HTTP") from exc
        fields = {name.strip().lower(): value.strip().lower() for name, _, value in (line.partition(b":") for line in lines)}
        self._closes = fields.get(b"connection") == b"close"
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            self._left = -1
        else:
            self._left = int(fields.get(b"content-length", b"0"))


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that ``share`` of all values do not exceed; None where there are none."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


class _Run:
    """The state of one run."""

    def __init__(self, load: Load, requests: Iterator[bytes]) -> None:
        self.load = load
        self.requests = requests
        self.latencies_s: list[float] = []
        self.statuses: dict[str, int] = {}
        self.selector = selectors.DefaultSelector()
        self.deadline_s = 0.0
        self.last_s = 0.0
        self.begun = 0
        self.in_flight = 0

    def begin(self, connection: Connection) -> None:
        """Send the next request."""
        self.begun += 1
        self.in_flight += 1
        connection.begin(next(self.requests))
        self._watch(connection)

    def _watch(self, connection: Connection) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.unsent else 0)
        try:
            known = self.selector.get_key(connection.socket)
        except KeyError:
            self.selector.register(connection.socket, events, connection)
            return
        if known.events != events:
            self.selector.modify(connection.socket, events, connection)

    def on_event(self, connection: Connection, mask: int) -> None:
        """Go on with one connection."""
        if mask & selectors.EVENT_WRITE:
            connection.send()
            self._watch(connection)
        if not mask & selectors.EVENT_READ:
            return
        try:
            if not connection.receive():
                return
            outcome = str(connection.status)
            lost = connection.closes
        except Refused as exc:
            outcome, lost = str(exc), True
        self._finished(connection, outcome)
        if lost:
            self.selector.unregister(connection.socket)
            connection.reopen()
        if self.last_s < self.deadline_s:
            self.begin(connection)

    def _finished(self, connection: Connection, outcome: str) -> None:
        self.in_flight -= 1
        self.last_s = time.perf_counter()
        self.statuses[outcome] = self.statuses.get(outcome, 0) + 1
        if outcome == "200":
            self.latencies_s.append(self.last_s - connection.started_s)


def run(load: Load, requests: Sequence[bytes]) -> Result:
    """Send ``requests`` in turn as `Load` says and measure. Raises OSError where nobody listens."""
    state = _Run(load, itertools.cycle(requests))
    connections = [Connection(load.host, load.port) for _ in range(load.connections)]
    for _ in range(load.warm):
        state.begin(connections[0])
        _drive(state, time.perf_counter() + load.limit_s)
        if state.in_flight:
            raise TimeoutError(f"a single request had no reply within {load.limit_s:g} s")
    warmed, state.begun = state.begun, 0
    state.latencies_s.clear()
    state.statuses.clear()
    cpu, started = time.process_time(), time.perf_counter()
    state.deadline_s = started + load.seconds
    for connection in connections:
        state.begin(connection)
    _drive(state, started + load.limit_s)
    for connection in connections:
        connection.socket.close()
    if state.in_flight:
        state.statuses["no reply in time"] = state.in_flight
    ended = time.perf_counter() if state.in_flight else state.last_s
    took_s = max(ended - started, 1e-9)
    completed = len(state.latencies_s)
    p50, p99 = (percentile(state.latencies_s, share) for share in (0.5, 0.99))
    return Result(
        completed=completed,
        errors=sum(state.statuses.values()) - completed,
        sent=state.begun + warmed,
        seconds=took_s,
        requests_per_s=completed / took_s,
        p50_ms=None if p50 is None else 1000 * p50,
        p99_ms=None if p99 is None else 1000 * p99,
        client_cpu_share=(time.process_time() - cpu) / took_s,
        statuses=state.statuses,
    )


def _drive(state: _Run, give_up_s: float) -> None:
    """Until nothing is in flight, or it is too late."""
    while state.in_flight and time.perf_counter() < give_up_s:
        for key, mask in state.selector.select(timeout=1.0):
            state.on_event(key.data, mask)


def main() -> None:
    """Standard input to standard output."""
    given = json.load(sys.stdin)
    load = Load(**{**given, "files": tuple(given["files"])})
    result = run(load, [Path(path).read_bytes() for path in load.files])
    json.dump(asdict(result), sys.stdout)


if __name__ == "__main__":
    main()
