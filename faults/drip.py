"""Many connections that send their request byte by byte, in a process of their own.

``python -m faults.drip`` reads its orders as JSON from the first line of standard input and ends when that is closed.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from typing import Any


def _requests(orders: dict[str, Any]) -> list[bytes]:
    """What is sent: a header that never ends, a body that arrives slowly, and one in chunks."""
    head = f"POST {orders['path']} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: {orders['authorization']}\r\n"
    padding = "X-Slow: " + "a" * 5_000
    body = "[" + " " * 5_000
    return [
        (head + padding).encode(),
        (head + "Content-Length: 100000\r\n\r\n" + body).encode(),
        (head + "Transfer-Encoding: chunked\r\n\r\n1388\r\n" + body).encode(),
    ]


def main() -> None:
    """Open the connections, then send one byte on each every ``every_s`` seconds; tell how many are open at each turn."""
    orders = json.loads(sys.stdin.readline())
    texts = _requests(orders)
    # All but the last byte of the header goes at once, where the body is what drips.
    begun = [text.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if b"\r\n\r\n" in text else text[:20] for text in texts]
    sockets: list[tuple[socket.socket, int]] = []
    for number in range(orders["connections"]):
        connection = socket.create_connection(("127.0.0.1", orders["port"]), timeout=30)
        connection.sendall(begun[number % 3])
        sockets.append((connection, number % 3))
    turn = 0
    while True:
        open_now = 0
        for connection, kind in sockets:
            try:
                connection.sendall(texts[kind][len(begun[kind]) + turn :][:1])
                open_now += 1
            except OSError:
                continue
        print(open_now, flush=True)
        turn += 1
        until = time.monotonic() + orders["every_s"]
        while time.monotonic() < until:
            if select.select([sys.stdin], [], [], max(0.0, until - time.monotonic()))[0] and not sys.stdin.read(1):
                return


if __name__ == "__main__":
    main()
