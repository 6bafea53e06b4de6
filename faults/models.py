"""R11 R12: a damaged or a wrong model never serves, and the good one answers on with the same scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from faults.client import Client
from faults.packages import Package, damaged, wrong
from faults.processes import wait_until
from faults.promise import Result, Scale
from faults.world import CAMPAIGN, PREDICTIONS, Service, World
from propensity.model import package_key
from propensity.ports import Promotion


class _Trial:
    """Puts packages live that must not be, one after the other, and looks at what the service makes of each."""

    def __init__(self, world: World, service: Service) -> None:
        self._world = world
        self._service = service
        self._client: Client = service.client()
        self._sequence = len(service.ledger.history(CAMPAIGN))
        self._pid = service.pid
        self.good = self.scores()
        self.refused = 0
        self.served: list[str] = []
        self.changed = 0
        self.reasons: Counter[str] = Counter()

    def scores(self) -> tuple[str, tuple[float, ...]]:
        """Digest of the answering model, and fifty scores."""
        found = self._client.post_json(PREDICTIONS, {"customers": self._world.rows[:50], "reasons": 0}).json()
        return found["model"]["digest"], tuple(p["score"] for p in found["predictions"])

    def put_live(self, package: Package) -> None:
        """Write the files as they are and record the promotion."""
        for name, data in (("model.json", package.model_json), ("manifest.json", package.manifest)):
            self._service.store.put(package_key(CAMPAIGN, package.digest, name), data)
        self._sequence += 1
        row = Promotion(CAMPAIGN, self._sequence, "promote", package.digest, package.digest[:12], None, [], {}, "faults")
        self._service.ledger.append(row)

    def run(self, packages: Iterable[tuple[str, Package]]) -> None:
        """Every package; each must be refused by name, in the same process."""
        for number, (what, package) in enumerate(packages, start=1):
            self.put_live(package)
            reason = self._judged(package)
            if reason is None:
                self.served.append(what)
            else:
                self.refused += 1
                self.reasons[reason.partition(": ")[2][:80]] += 1
            if number % 20 == 0 or number < 60:
                self.changed += self.scores() != self.good
            if number % 100 == 0:
                self._world.say(f"  {self.refused:,} refused of {number:,}")
        self.changed += self.scores() != self.good
        self._client.close()

    def _judged(self, package: Package) -> str | None:
        """Why the service did not take the package; None where it answers with it."""
        told: list[str | None] = []

        def decided() -> bool:
            state = (self._client.get("/readyz").json() or {}).get("models", {}).get(CAMPAIGN, {})
            if state.get("version") == package.digest[:12]:
                told.append(None)
            elif package.digest[:12] in (state.get("problem") or ""):
                told.append(str(state["problem"]))
            return bool(told)

        wait_until(decided, f"a judgement of package {package.digest[:12]}", timeout_s=60, pause_s=0.01)
        return told[0]

    def result(self, tried: str) -> Result:
        every = self.refused + len(self.served)
        return Result(
            not self.served and self.changed == 0 and self._service.running() and self._service.pid == self._pid,
            f"{self.refused:,} of {every:,} refused{', served: ' if self.served else ''}{', '.join(self.served)}; scores changed "
            f"{self.changed} times; the process lives: {self._service.running()}",
            tried,
        )


def r11(world: World, scale: Scale) -> Result:
    """One file of a promoted package is damaged."""
    with world.service(PROPENSITY_RELOAD_S="0.02") as service:
        trial = _Trial(world, service)
        trial.run(damaged(world.model, scale.of(full=1_000, short=40), seed=11))
        return trial.result(
            "packages promoted with one file damaged after its digest was taken: bits, digits, cuts, holes, zeros, noise, in the manifest "
            f"and in the trees by turns; told reasons: {len(trial.reasons)} kinds"
        )


def r12(world: World, scale: Scale) -> Result:  # noqa: ARG001
    """The package is whole, and of a model that must not answer."""
    packages = wrong(world.model, world.rival)
    with world.service(PROPENSITY_RELOAD_S="0.02") as service:
        trial = _Trial(world, service)
        trial.run(packages.items())
        return trial.result(f"promoted with digests that agree: {', '.join(packages)}")
