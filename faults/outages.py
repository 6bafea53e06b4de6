"""R6 R7 R9 R10: what stands behind the service is gone, or says nothing any more."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from faults.crashes import bodies_of, lost
from faults.load import Answer, Load
from faults.processes import wait_until
from faults.promise import Result, Scale
from faults.watching import Watch
from faults.world import CAMPAIGN, PREDICTIONS, Service, World, frozen_postgres

SLOWEST_S = 5.0
BACK_S = 5.0
CALLERS = 32


@contextmanager
def _stopped(service: Service) -> Iterator[None]:
    service.postgres.stop()
    try:
        yield
    finally:
        service.postgres.start()


@contextmanager
def _frozen(service: Service) -> Iterator[None]:
    with frozen_postgres(service.postgres):
        yield


def _outage(world: World, scale: Scale, out: Callable[[Service], AbstractContextManager[None]], what: str) -> Result:
    rounds, lasts_s = scale.of(full=3, short=1), scale.of(full=15, short=3)
    down: list[Answer] = []
    backs_s: list[float] = []
    readies: list[int] = []
    with world.service() as service:
        with Watch(service, "/livez") as livez, Load(service, bodies_of(world, 3), callers=CALLERS) as load:
            for number in range(rounds):
                load.more(30)
                with out(service):
                    since = time.time()
                    time.sleep(lasts_s)
                    readies.append(service.status("/readyz"))
                    until = time.time()
                back = time.time()
                backs_s.append(_first_200(load, back) - back)
                down += [a for a in load.answers() if a.began_s >= since and a.began_s + a.took_s <= until]
                world.say(f"  outage {number + 1} of {rounds}: {len(down):,} refusals, back after {backs_s[-1]:.2f} s")
            answers = load.stop()
        missing, partial, surplus = lost(service, answers)
    statuses = Counter(answer.status for answer in down)
    slowest_s = max(answer.took_s for answer in answers)
    others = {status for status in Counter(answer.status for answer in answers) if status not in (200, 503)}
    passed = (
        set(statuses) == {503}
        and not others
        and slowest_s < SLOWEST_S
        and max(backs_s) < BACK_S
        and set(livez.counts()) == {200}
        and set(readies) == {503}
        and missing == partial == surplus == 0
    )
    return Result(
        passed,
        f"while down {dict(statuses)}, slowest of all {slowest_s:.2f} s, 200 again after {max(backs_s):.2f} s, livez {livez.counts()} "
        f"(slowest {max(livez.took_s):.2f} s), readyz {sorted(set(readies))}, {missing} acknowledged missing",
        f"Postgres {what} {rounds} times for {lasts_s} s under {CALLERS} callers",
    )


def _first_200(load: Load, since: float) -> float:
    """When the first reply with 200 to a request asked after ``since`` was complete."""
    found: list[float] = []

    def come() -> bool:
        found.extend(a.began_s + a.took_s for a in load.answers() if a.status == 200 and a.began_s + a.took_s >= since)
        return bool(found)

    wait_until(come, "an answer after the outage", timeout_s=60.0)
    return min(found)


def r6(world: World, scale: Scale) -> Result:
    """Postgres is stopped."""
    return _outage(world, scale, _stopped, "stopped")


def r7(world: World, scale: Scale) -> Result:
    """Postgres is frozen: it listens, and never answers."""
    return _outage(world, scale, _frozen, "frozen by SIGSTOP to every process of it")


class _Counting(threading.Thread):
    """Listens where MLflow would, and counts who comes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.visits = 0

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.visits += 1
            connection.close()


def r9(world: World, scale: Scale) -> Result:
    """MLflow is down, at the start too."""
    counting = _Counting()
    counting.start()
    address = f"http://127.0.0.1:{counting.port}"
    with world.service(start=False, PROPENSITY_MLFLOW_URL=address, MLFLOW_TRACKING_URI=address) as service:
        service.restart()
        with Load(service, bodies_of(world, 3), again=False) as load:
            load.more(scale.of(full=1_000, short=100))
            service.promote(world.rival)
            service.wait_live(world.rival.digest)
            counting.socket.close()
            load.more(scale.of(full=1_000, short=100))
            answers = load.stop()
        service.kill()
        service.restart()  # MLflow's address is dead at this start
        again = service.once("POST", PREDICTIONS, bodies_of(world, 3)[0]).status
    failed = sum(answer.status != 200 for answer in answers)
    return Result(
        failed == 0 and counting.visits == 0 and again == 200,
        f"{failed} failed of {len(answers):,} predictions, {counting.visits} connections to MLflow's address, a start without it serves: "
        f"{again == 200}",
        "the service was told an MLflow address where a listener counted its visitors; a promotion while it stood, then it was closed, "
        "then the service was started anew",
    )


def r10(world: World, scale: Scale) -> Result:
    """Object storage is gone while serving, and at a cold start."""
    with world.service() as service:
        away = service.store_path.with_name("away")
        with Load(service, bodies_of(world, 3), again=False) as load:
            load.more(scale.of(full=500, short=50))
            service.store_path.rename(away)
            load.more(scale.of(full=2_000, short=100))
            service.record_promotion(world.rival.digest)
            wait_until(
                lambda: bool((service.readiness() or {}).get("models", {}).get(CAMPAIGN, {}).get("problem")), "the problem's telling"
            )
            load.more(scale.of(full=1_000, short=50))
            answers = load.stop()
        ready_without = service.status("/readyz")
        service.record_promotion(world.model.digest)
        service.kill()
        service.start()
        wait_until(lambda: service.status("/livez") == 200, "a cold start")
        time.sleep(scale.of(full=5, short=1))
        cold, why = service.status("/readyz"), (service.readiness() or {}).get("models", {}).get(CAMPAIGN, {}).get("problem")
        away.rename(service.store_path)
        back_s = service.wait_ready(timeout_s=90)
    failed = Counter(answer.status for answer in answers if answer.status != 200)
    return Result(
        not failed and ready_without == 200 and cold == 503 and bool(why) and back_s < BACK_S,
        f"{sum(failed.values())} failed of {len(answers):,} predictions without storage, readyz {ready_without}; cold start without it: "
        f"readyz {cold}, ready {back_s:.1f} s after it came back (at most {BACK_S:g})",
        "the folder that is the object store was moved away under 8 callers, a promotion was recorded meanwhile; then a start without it",
    )
