"""R4 R5: a request asked again is neither scored nor logged again, and a key belongs to one body."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence

from faults.client import Client, Reply
from faults.promise import Result, Scale
from faults.world import PREDICTIONS, World

AT_ONCE = 10
ATTEMPTS = 20


class _Group:
    """Ten callers that ask the same thing in the same moment, key after key."""

    def __init__(self, clients: Sequence[Client], bodies: Sequence[bytes]) -> None:
        self.bodies = bodies
        self.replies: list[list[Reply]] = [[] for _ in bodies]
        self.refusals: Counter[int] = Counter()
        self._clients = clients
        self._lock = threading.Lock()
        self._together = threading.Barrier(len(clients))

    def run(self) -> None:
        threads = [threading.Thread(target=self._ask, args=(client,)) for client in self._clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _ask(self, client: Client) -> None:
        for number, body in enumerate(self.bodies):
            self._together.wait(120)
            for _ in range(ATTEMPTS):
                reply = client.call("POST", PREDICTIONS, body, _headers(number))
                with self._lock:
                    if reply.status in (409, 503):
                        self.refusals[reply.status] += 1
                        continue
                    self.replies[number].append(reply)
                break


def _headers(number: int) -> dict[str, str]:
    return {"Content-Type": "application/json", "Idempotency-Key": f"key-{number}"}


def r4_r5(world: World, scale: Scale) -> Result:
    """A thousand keys, each asked by ten at once; then each with another body."""
    keys = scale.of(full=1_000, short=40)
    bodies = [json.dumps({"customers": [world.rows[n % 900], world.rows[n % 900 + 1]], "reasons": 0}).encode() for n in range(keys)]
    with world.service() as service:
        clients = [service.client() for _ in range(AT_ONCE)]
        group = _Group(clients, bodies)
        group.run()
        world.say(f"  {keys:,} keys asked {AT_ONCE} times each")
        others = Counter(
            clients[0].call("POST", PREDICTIONS, json.dumps(world.rows[-1]).encode(), _headers(number)).status for number in range(keys)
        )
        logged = service.logged()
        for client in clients:
            client.close()
    unlike = sum(
        len(replies) != AT_ONCE or {r.status for r in replies} != {200} or len({r.body for r in replies}) != 1 for replies in group.replies
    )
    first = [sum("idempotent-replay" not in r.headers for r in replies) for replies in group.replies]
    once = first.count(1)
    answered = {reply.json()["request_id"] for replies in group.replies for reply in replies if reply.status == 200}
    return Result(
        unlike == 0 and once == keys and set(logged) == answered and len(logged) == keys and others == {422: keys},
        f"{keys - unlike:,} of {keys:,} keys answered {AT_ONCE} times with the same bytes, scored once: {once:,}, requests in the log: "
        f"{len(logged):,}; asked to wait {sum(group.refusals.values())} times; another body: {dict(others)}",
        f"{keys:,} keys, {AT_ONCE} callers at once each, over kept connections; then every key with another body",
    )
