"""Callers under load, in a process of their own: they post, ask again where no answer came, and write down every answer.

``python -m faults.load`` reads its orders as JSON from the first line of standard input and ends when that is closed.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import secrets
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from faults.client import Client, Reply
from faults.processes import wait_until
from faults.world import PREDICTIONS, ROOT, Service

PAUSE_S = 0.05


@dataclass(frozen=True)
class Answer:
    """One attempt of a caller.

    Attributes
    ----------
    status : int
        0 where no reply came; ``code`` then names the error: ``refused`` where nobody listened.
    key : str
        Idempotency key; attempts with the same key are one request asked again.
    body : int
        Which of the bodies was posted.
    scores, answers : str
        Digests of the scores, and of the whole predictions without their ids.
    """

    began_s: float
    took_s: float
    status: int
    code: str
    key: str
    body: int
    request_id: str = ""
    scored: int = 0
    scores: str = ""
    answers: str = ""
    model: str = ""
    replayed: bool = False


def scores_digest(scores: Sequence[float]) -> str:
    """SHA-256 of scores as float64."""
    return hashlib.sha256(struct.pack(f"<{len(scores)}d", *scores)).hexdigest()


def answers_digest(answers: Sequence[Sequence[Any]]) -> str:
    """SHA-256 of (row, customer, score, decision, band, rank, profit) of every prediction."""
    return hashlib.sha256(json.dumps(answers).encode()).hexdigest()


class Load:
    """Callers of a service.

    Parameters
    ----------
    bodies : sequence of bytes
        Posted in turn, as ``mimetype``.
    callers : int
        How many connections ask at once.
    pause_s : float
        How long a caller rests between two requests.
    requests : int
        How many requests each caller makes; 0: until it is stopped.
    again : bool
        Whether a request without a reply, or refused with 503, is asked again until it is answered.
    """

    def __init__(
        self,
        service: Service,
        bodies: Sequence[bytes],
        *,
        callers: int = 8,
        pause_s: float = 0.0,
        requests: int = 0,
        again: bool = True,
        role: str = "operator",
    ) -> None:
        self._path = service.folder / f"load-{time.monotonic_ns()}.jsonl"
        self._towards = self._path.with_suffix(".port")
        self.turn_to(service)
        self._path.touch()
        self._orders = {
            "towards": str(self._towards),
            "key": service.keys[role],
            "bodies": [base64.b64encode(body).decode() for body in bodies],
            "callers": callers,
            "keys": secrets.token_hex(4),
            "pause_s": pause_s,
            "requests": requests,
            "again": again,
            "out": str(self._path),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._read_to = 0
        self._answers: list[Answer] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen([sys.executable, "-m", "faults.load"], cwd=ROOT, stdin=subprocess.PIPE)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(self._orders).encode() + b"\n")
        self._process.stdin.flush()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def turn_to(self, service: Service) -> None:
        """From now on new connections go there, as a balancer would have it; open ones stay."""
        partial = self._towards.with_suffix(".partial")
        partial.write_text(str(service.port), encoding="ascii")
        partial.replace(self._towards)

    def stop(self) -> list[Answer]:
        """Let each caller finish what it asked, end, and return every answer."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(90)
            finally:
                self._process.kill()
                self._process.wait()
                self._process = None
        return self.answers()

    def finish(self, *, timeout_s: float = 600.0) -> list[Answer]:
        """Wait until every caller has made its requests."""
        assert self._process is not None
        self._process.wait(timeout_s)
        return self.stop()

    def answers(self) -> list[Answer]:
        """Every answer so far."""
        with self._path.open("rb") as file:
            file.seek(self._read_to)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read_to += len(line)
                self._answers.append(Answer(**json.loads(line)))
        return self._answers

    def acknowledged(self) -> int:
        """Replies with 200 so far."""
        return sum(answer.status == 200 for answer in self.answers())

    def more(self, n: int, *, timeout_s: float = 120.0) -> None:
        """Wait until ``n`` more replies with 200 came."""
        goal = self.acknowledged() + n
        wait_until(lambda: self.acknowledged() >= goal, f"{n} more acknowledgements", timeout_s=timeout_s, pause_s=0.1)


# -- within the process


class _Caller:
    """One connection."""

    def __init__(self, number: int, orders: Mapping[str, Any], bodies: Sequence[bytes], out: IO[str], lock: threading.Lock) -> None:
        self._number = number
        self._orders = orders
        self._bodies = bodies
        self._out = out
        self._lock = lock
        self._towards = Path(orders["towards"])
        self._client = Client(0, orders["key"], timeout_s=60.0)

    def run(self, ending: threading.Event) -> None:
        turn = 0
        while not ending.is_set() and (not self._orders["requests"] or turn < self._orders["requests"]):
            self._ask(turn, ending)
            turn += 1
            if self._orders["pause_s"]:
                time.sleep(self._orders["pause_s"])
        self._client.close()

    def _ask(self, turn: int, ending: threading.Event) -> None:
        at = (self._number + turn * self._orders["callers"]) % len(self._bodies)
        key = f"{self._orders['keys']}-{self._number}-{turn}"
        while True:
            answer = self._once(key, at)
            with self._lock:
                self._out.write(json.dumps(asdict(answer)) + "\n")
                self._out.flush()
            if not self._orders["again"] or answer.status not in (0, 409, 503) or ending.is_set():
                return
            time.sleep(PAUSE_S)

    def _once(self, key: str, at: int) -> Answer:
        began_s = time.time()
        started = time.monotonic()
        self._client.move(int(self._towards.read_text(encoding="ascii")))
        try:
            reply = self._client.call("POST", PREDICTIONS, self._bodies[at], {"Content-Type": "application/json", "Idempotency-Key": key})
        except ConnectionRefusedError:
            return Answer(began_s, time.monotonic() - started, 0, "refused", key, at)
        except (OSError, http.client.HTTPException) as exc:
            return Answer(began_s, time.monotonic() - started, 0, type(exc).__name__, key, at)
        if reply.status != 200:
            found = reply.json()
            code = found.get("code", "no code") if isinstance(found, dict) else "no problem"
            return Answer(began_s, reply.took_s, reply.status, code, key, at)
        return _acknowledged(began_s, key, at, reply)


def _acknowledged(began_s: float, key: str, at: int, reply: Reply) -> Answer:
    found = reply.json()
    predictions = found["predictions"]
    columns = ("row", "customer_id", "score", "decision", "band", "rank", "expected_profit")
    return Answer(
        began_s,
        reply.took_s,
        200,
        "",
        key,
        at,
        found["request_id"],
        found["counts"]["scored"] if found["counts"]["scored"] == len(predictions) else -1,
        scores_digest([p["score"] for p in predictions]),
        answers_digest([[p[name] for name in columns] for p in predictions]),
        found["model"]["digest"],
        reply.headers.get("idempotent-replay") == "true",
    )


def main() -> None:
    """Carry out the orders on standard input."""
    orders = json.loads(sys.stdin.readline())
    socket.setdefaulttimeout(60.0)
    bodies = [base64.b64decode(text) for text in orders["bodies"]]
    ending, lock = threading.Event(), threading.Lock()
    with Path(orders["out"]).open("a", encoding="utf-8") as out:
        callers = [_Caller(number, orders, bodies, out, lock) for number in range(orders["callers"])]
        threads = [threading.Thread(target=caller.run, args=(ending,)) for caller in callers]
        for thread in threads:
            thread.start()
        if not orders["requests"]:
            sys.stdin.read()
            ending.set()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
