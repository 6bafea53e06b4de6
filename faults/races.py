"""R13: of many who promote at once one wins, and every reply is of one model."""

from __future__ import annotations

import json
import threading
from collections import Counter

from faults.crashes import lost
from faults.load import Load, scores_digest
from faults.promise import Result, Scale
from faults.samples import as_table
from faults.world import CAMPAIGN, Service, World
from propensity.adapters.database import Database
from propensity.adapters.promotions import PostgresPromotionLedger
from propensity.errors import PromotionConflict
from propensity.model import Model, save_package
from propensity.ports import Promotion

AT_ONCE = 50
ROWS = 20


class _Race:
    """Fifty who read the history and promote on what they saw, at the same moment."""

    def __init__(self, database: Database, models: list[Model]) -> None:
        self.won: list[str] = []
        self.conflicts = 0
        self.other: Counter[str] = Counter()
        self._ledger = PostgresPromotionLedger(database)
        self._models = models
        self._lock = threading.Lock()

    def run(self) -> None:
        # All see the same history: what is raced for is the place after it.
        sequence = len(self._ledger.history(CAMPAIGN)) + 1
        together = threading.Barrier(AT_ONCE)
        threads = [
            threading.Thread(target=self._promote, args=(self._models[at % len(self._models)], sequence, at, together))
            for at in range(AT_ONCE)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _promote(self, model: Model, sequence: int, at: int, together: threading.Barrier) -> None:
        row = Promotion(CAMPAIGN, sequence, "promote", model.digest, model.version, None, [], {}, f"racer {at}")
        together.wait(60)
        try:
            self._ledger.append(row)
        except PromotionConflict:
            with self._lock:
                self.conflicts += 1
        except Exception as exc:  # noqa: BLE001 - whatever else comes is the finding
            with self._lock:
                self.other[type(exc).__name__] += 1
        else:
            with self._lock:
                self.won.append(model.digest)


def _expected(models: list[Model], world: World) -> tuple[list[bytes], dict[tuple[str, int], str]]:
    """Bodies, and the digest of their scores by model and body."""
    groups = [world.rows[at * ROWS : (at + 1) * ROWS] for at in range(20)]
    bodies = [json.dumps({"customers": rows, "reasons": 0}).encode() for rows in groups]
    tables = [as_table(world.campaign, rows) for rows in groups]
    return bodies, {(m.digest, at): scores_digest(m.score(table).tolist()) for m in models for at, table in enumerate(tables)}


def _rounds(world: World, service: Service, models: list[Model], rounds: int, load: Load) -> tuple[list[_Race], int]:
    """Race after race; how often the winner went live."""
    races, live = [], 0
    racing = Database(service.urls.app_url, pool_size=AT_ONCE, timeout_s=30.0)
    try:
        for number in range(rounds):
            race = _Race(racing, models)
            race.run()
            races.append(race)
            if race.won:
                service.wait_live(race.won[0])
                live += 1
            load.more(20)
            world.say(f"  race {number + 1} of {rounds}: {len(race.won)} won, {race.conflicts} told that another did")
    finally:
        racing.close()
    return races, live


def r13(world: World, scale: Scale) -> Result:
    """Races under load."""
    rounds = scale.of(full=20, short=3)
    models = [world.model, world.rival]
    bodies, expected = _expected(models, world)
    with world.service(PROPENSITY_RELOAD_S="0.05") as service:
        for model in models:
            save_package(service.store, model)
        with Load(service, bodies, callers=4, again=False) as load:
            races, live = _rounds(world, service, models, rounds, load)
            answers = load.stop()
        history = service.ledger.history(CAMPAIGN)
        missing, partial, _ = lost(service, answers)
    single = sum(len(race.won) == 1 and race.conflicts == AT_ONCE - 1 for race in races)
    replies = [answer for answer in answers if answer.status == 200]
    mixed = sum(expected.get((answer.model, answer.body)) != answer.scores for answer in replies)
    failed = len(answers) - len(replies)
    seen = len({answer.model for answer in replies})
    other = sum((race.other for race in races), Counter[str]())
    return Result(
        single == live == rounds and mixed == failed == missing == partial == 0 and len(history) == rounds + 1 and seen == 2,
        f"one winner in {single} of {rounds} races of {AT_ONCE}, live {live} times; {mixed} of {len(replies):,} replies not of the one "
        f"model that they name, {failed} failed{f'; other errors {dict(other)}' if other else ''}",
        f"{AT_ONCE} promoters at once for the same place in the ledger, {rounds} times, each promoting one of two models, under 4 callers",
    )
