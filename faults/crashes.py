"""R1 R2 R3 R15: what was acknowledged is in the log, however the service and Postgres end."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from faults.load import Answer, Load, scores_digest
from faults.promise import Result, Scale
from faults.world import Service, World, crash_postgres


def bodies_of(world: World, rows: int, count: int = 40) -> list[bytes]:
    """Different JSON bodies of ``rows`` customers each, without reasons."""
    return [
        json.dumps({"customers": [world.rows[(at * rows + n) % len(world.rows)] for n in range(rows)], "reasons": 0}).encode()
        for at in range(count)
    ]


def lost(service: Service, answers: Sequence[Answer]) -> tuple[int, int, int]:
    """Acknowledged requests that the log does not hold, that it holds otherwise than answered, and requests it holds too often."""
    logged = service.logged()
    acknowledged = [answer for answer in answers if answer.status == 200]
    missing = sum(answer.request_id not in logged for answer in acknowledged)
    partial = sum(
        len(entry.scores) != answer.scored or scores_digest(entry.scores.tolist()) != answer.scores
        for answer in acknowledged
        if (entry := logged.get(answer.request_id)) is not None
    )
    surplus = max(0, len(logged) - len({answer.key for answer in answers}))
    return missing, partial, surplus


def _crash(world: World, scale: Scale, kills: int, each: int, once: Callable[[Service], None], what: str) -> Result:
    with world.service() as service:
        with Load(service, bodies_of(world, 3)) as load:
            for number in range(kills):
                load.more(each)
                once(service)
                world.say(f"  kill {number + 1} of {kills}, {load.acknowledged():,} acknowledged")
            load.more(each)
            answers = load.stop()
        missing, partial, surplus = lost(service, answers)
    acknowledged = sum(answer.status == 200 for answer in answers)
    unforeseen = Counter(answer.status for answer in answers if answer.status not in (0, 200, 409, 503))
    enough = acknowledged >= scale.of(full=10_000, short=1)
    return Result(
        missing == partial == surplus == 0 and not unforeseen and enough,
        f"{missing} missing, {partial} partial, {surplus} logged twice of {acknowledged:,} acknowledged"
        + (f"; statuses not foreseen: {dict(unforeseen)}" if unforeseen else ""),
        f"kill -9 of {what} {kills} times under 8 callers with lists of 3, each asking again with its key until it is answered; Postgres "
        "with fsync on. The kernel survives: a power cut is not part of it",
    )


def _kill_service(service: Service) -> None:
    service.kill()
    service.restart()


def _kill_postgres(service: Service) -> None:
    crash_postgres(service.postgres)
    service.postgres.start()


def _kill_both(service: Service) -> None:
    service.kill()
    crash_postgres(service.postgres)
    service.postgres.start()
    service.restart()


def r1(world: World, scale: Scale) -> Result:
    """The service is killed."""
    return _crash(world, scale, scale.of(full=20, short=2), scale.of(full=500, short=40), _kill_service, "the service")


def r2(world: World, scale: Scale) -> Result:
    """Postgres is killed, every process of it."""
    return _crash(world, scale, scale.of(full=20, short=2), scale.of(full=500, short=40), _kill_postgres, "every process of Postgres")


def r3(world: World, scale: Scale) -> Result:
    """Both are killed."""
    return _crash(world, scale, scale.of(full=15, short=1), scale.of(full=680, short=40), _kill_both, "the service and Postgres together")


def r15(world: World, scale: Scale) -> Result:
    """The service is asked to end, and another one takes its place: a deployment, or a task that is moved."""
    times = scale.of(full=20, short=2)
    codes: list[int] = []
    with world.service() as first, Load(first, bodies_of(world, 20), pause_s=0.02) as load:
        old = first
        with ExitStack() as closing:
            for number in range(times):
                new = closing.enter_context(old.twin())
                load.more(scale.of(full=100, short=20))
                load.turn_to(new)
                time.sleep(0.1)  # a caller that has just read the old address connects
                codes.append(old.terminate())
                old = new
                world.say(f"  end {number + 1} of {times}, {load.acknowledged():,} acknowledged")
            load.more(30)
            answers = load.stop()
        missing, partial, surplus = lost(first, answers)
    resets = Counter(answer.code for answer in answers if answer.status == 0)
    errors = Counter(answer.status for answer in answers if answer.status >= 500)
    clean = codes == [0] * times
    return Result(
        not resets and not errors and clean and missing == partial == surplus == 0,
        f"{sum(resets.values())} without a reply {dict(resets) or ''}, {sum(errors.values())} x 5xx, {missing} missing of "
        f"{sum(a.status == 200 for a in answers):,} acknowledged, exit code 0 at {codes.count(0)} of {times} ends",
        f"SIGTERM {times} times under 8 callers with kept connections and lists of 20, as in a deployment: the next process is ready and "
        "new connections go to it",
    )
