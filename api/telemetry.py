"""What this process counted, written to Postgres every minute, so that panels need no other store; and the log, counted ahead for them.

No request waits for it, and no prediction depends on it: where Postgres does not answer, the counts stay and are written a minute
later.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

from api.metrics import SECONDS
from api.pages import is_page
from propensity.errors import PropensityError
from propensity.ports import PanelKeeper, ServiceSample, ServiceTraffic

logger = logging.getLogger("propensity.api.telemetry")
EVERY_S = 60.0
RECOUNT_EVERY, FORGET_EVERY = 60, 1_440
# A long log is counted a day at a time; so many days at most between two looks at the clock.
DAYS_AT_ONCE = 40
_BINS = len(SECONDS) + 1
_SECONDS, _COMMITS = "propensity_http_request_seconds", "propensity_log_commit_seconds"


@dataclass
class _Counts:
    """Cumulative counts of one kind and status: by duration, and seconds."""

    bins: list[float] = field(default_factory=lambda: [0.0] * _BINS)
    seconds: float = 0.0


@dataclass(frozen=True)
class _Seen:
    """What the registry held at one moment."""

    traffic: dict[tuple[str, int], _Counts]
    numbers: dict[str, float]


class Telemetry:
    """Writes what a registry holds; ``process`` names this process in the tables, and says nothing of the machine."""

    def __init__(self, registry: CollectorRegistry, keeper: PanelKeeper, *, every_s: float = EVERY_S) -> None:
        self._registry = registry
        self._keeper = keeper
        self._every_s = every_s
        self.process = str(uuid.uuid4())
        self._last = _Seen({}, {})
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, with the first writing after a minute."""
        self._thread = threading.Thread(target=self._watch, name="telemetry", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is left and end; returns after a few seconds at most."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def write(self) -> None:
        """Write what was counted since the last time. Raises StoreError, and keeps the counts."""
        now = _look(self._registry)
        traffic = [row for key, counts in now.traffic.items() if (row := _grown(key, counts, self._last.traffic.get(key)))]
        self._keeper.add(self.process, traffic, _sample(now.numbers, self._last.numbers))
        self._last = now

    def keep(self, turn: int) -> None:
        """Count ahead; in its turn also look for what was counted wrongly, and drop what is old. Raises StoreError."""
        if turn % RECOUNT_EVERY == 0:
            self._keeper.recount()
        if turn % FORGET_EVERY == 0:
            self._keeper.forget()
        until = time.monotonic() + self._every_s / 2
        for _ in range(DAYS_AT_ONCE):
            if not self._keeper.count_ahead() or time.monotonic() > until or self._stop.is_set():
                return

    def _watch(self) -> None:
        turn = 0
        while not self._stop.wait(self._every_s):
            self._try(turn)
            turn += 1
        self._try(None)

    def _try(self, turn: int | None) -> None:
        try:
            self.write()
            if turn is not None:
                self.keep(turn)
        except PropensityError as exc:
            logger.warning(str(exc), extra={"fields": {"event": "telemetry_kept_back", "code": exc.code}})
        except Exception:
            # The edge of this thread: it goes on, whatever happened once.
            logger.exception("writing what was counted failed")


def kind_of(route: str, method: str) -> str:
    """What a request was about: ``predictions``, ``outcomes``, ``records`` (the rest of the interface), ``pages``, ``operations``."""
    if route.startswith("/v1/"):
        last = route.rpartition("/")[2]
        return last if method == "POST" and last in ("predictions", "outcomes") else "records"
    return "pages" if is_page(route) else "operations"


def _look(registry: CollectorRegistry) -> _Seen:
    traffic: dict[tuple[str, int], _Counts] = {}
    numbers: dict[str, float] = {}
    for sample in _samples(registry):
        if sample.name.startswith(_SECONDS):
            key = (kind_of(sample.labels["route"], sample.labels["method"]), int(sample.labels["status"][0]))
            counts = traffic.setdefault(key, _Counts())
            if sample.name == f"{_SECONDS}_sum":
                counts.seconds += sample.value
            elif sample.name == f"{_SECONDS}_bucket":
                bound = sample.labels["le"]
                counts.bins[_BINS - 1 if bound == "+Inf" else SECONDS.index(float(bound))] += sample.value
        elif not sample.labels:
            numbers[sample.name] = sample.value
    for counts in traffic.values():
        # Prometheus counts everything up to a bound; here each request stands in one bin.
        counts.bins = [upto - (counts.bins[at - 1] if at else 0.0) for at, upto in enumerate(counts.bins)]
    return _Seen(traffic, numbers)


def _samples(registry: CollectorRegistry) -> Iterator[Sample]:
    for metric in registry.collect():
        yield from metric.samples


def _grown(key: tuple[str, int], now: _Counts, before: _Counts | None) -> ServiceTraffic | None:
    bins = [round(count - (before.bins[at] if before else 0.0)) for at, count in enumerate(now.bins)]
    seconds = now.seconds - (before.seconds if before else 0.0)
    return ServiceTraffic(key[0], key[1], sum(bins), max(0.0, seconds), bins) if sum(bins) else None


def _sample(now: dict[str, float], before: dict[str, float]) -> ServiceSample:
    def grown(name: str) -> float:
        return max(0.0, now.get(name, 0.0) - before.get(name, 0.0))

    return ServiceSample(
        started_at=now.get("process_start_time_seconds", 0.0),
        resident_bytes=int(now.get("process_resident_memory_bytes", 0.0)),
        # Of the first minute of a process, the start is left out.
        cpu_seconds=grown("process_cpu_seconds_total") if before else 0.0,
        waiting=int(now.get("propensity_admission_queue_depth", 0.0)),
        commits=round(grown(f"{_COMMITS}_count")),
        commit_seconds=grown(f"{_COMMITS}_sum"),
    )
