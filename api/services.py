"""Everything that the web layer asks of the rest of the platform, as one value."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from api.auth import ApiKeys
from api.metrics import Metrics
from api.models import LiveModels
from api.pages.session import Sessions
from api.rows import ListReader
from api.telemetry import Telemetry
from api.tracing import Tracing
from propensity.alerting import AlertStore
from propensity.campaign import Campaign
from propensity.errors import NotFound
from propensity.flow_health import HeartbeatStore
from propensity.gate import ContactGate
from propensity.gate_ports import ArmStore, ErasureStore, SuppressionStore
from propensity.ports import OutcomeStore, PanelReader, PredictionLog

if TYPE_CHECKING:
    from api.lists import ListDesk


class Pingable(Protocol):
    """Something that can be asked for a sign of life."""

    def ping(self) -> None:
        """Raises StoreError where there is none."""


def utc_now() -> datetime:
    """The present time, in UTC."""
    return datetime.now(UTC)


class RandomIds:
    """Random UUIDs (version 4). Random bytes are fetched for many at once: the system call costs more than the rest of a UUID."""

    def __init__(self, together: int = 256) -> None:
        self._together = together
        self._lock = threading.Lock()
        self._left: list[bytes] = []

    def __call__(self) -> str:
        """A fresh one, in lower case."""
        with self._lock:
            if not self._left:
                drawn = os.urandom(16 * self._together)
                self._left = [drawn[at : at + 16] for at in range(0, len(drawn), 16)]
            mine = self._left.pop()
        return str(uuid.UUID(bytes=mine, version=4))


MOST_CORES = 4


class Turn:
    """Lets one thread at a time do what keeps Python's lock busy.

    NumPy lets go of that lock dozens of times a request; where several threads wait for it each time is a switch of threads (400 a
    request were seen with 32 connections), and lists of 1,000 rows in Arrow took half as long again.
    """

    def __init__(self, cores: int | None = None) -> None:
        self._lock = threading.Lock()
        self._cores = min(len(os.sched_getaffinity(0)), MOST_CORES) if cores is None else cores
        self._counting = threading.Lock()
        self._near = 0

    def __enter__(self) -> Turn:
        self._come(1)
        self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._come(-1)
        self._lock.release()

    def _come(self, threads: int) -> None:
        # A lock of its own: a count that lost an update would be wrong for ever.
        with self._counting:
            self._near += threads

    @property
    def cores(self) -> int:
        """How many cores the thread in its turn may use: all of them where no other is in its turn or waits for one."""
        return self._cores if self._near == 1 else 1

    @contextmanager
    def away(self) -> Iterator[None]:
        """Within the turn: let others have theirs while this thread waits, or works without Python's lock."""
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()


@dataclass(frozen=True)
class GateServices:
    """The contact gate, and the stores behind it that routes show and change."""

    gate: ContactGate
    suppressions: SuppressionStore
    arms: ArmStore
    erasures: ErasureStore


@dataclass(frozen=True)
class Services:
    """What a request needs. Tests put fakes in the place of stores, and a fixed clock.

    Attributes
    ----------
    campaigns : mapping of name to Campaign
    models : LiveModels
        The live model of each campaign.
    log, outcomes : the stores of predictions and of what happened later
    database : Pingable
        The Postgres behind both, for ``/readyz``.
    keys : ApiKeys
        Who may call.
    alerts, heartbeats : the stores of alerts and of what flows did
    gate : GateServices
        Who may be contacted.
    draining : Event
        Set once the process was asked to end: ``/readyz`` then refuses.
    started : Event
        Set once the process could first answer: ``/startupz`` tells.
    turn : Turn
        Whose turn it is among the threads that score.
    metrics : Metrics
        What is counted, for ``/metrics``.
    tracing : Tracing or None
        Where spans go; None where nobody asked for them.
    panels : PanelReader or None
        What the monitoring page reads; None where there is nothing to read.
    telemetry : Telemetry or None
        What writes this process' counts where panels are made from; None where nobody keeps them.
    sessions : Sessions
        Who is signed in to the pages.
    lists : ListDesk or None
        Where lists of any size lie; None where this process takes none.
    notice : str
        A line on every page; empty for none.
    """

    campaigns: Mapping[str, Campaign]
    models: LiveModels
    log: PredictionLog
    outcomes: OutcomeStore
    database: Pingable
    keys: ApiKeys
    alerts: AlertStore
    heartbeats: HeartbeatStore
    gate: GateServices
    clock: Callable[[], datetime] = utc_now
    new_request_id: Callable[[], str] = field(default_factory=RandomIds)
    draining: threading.Event = field(default_factory=threading.Event)
    started: threading.Event = field(default_factory=threading.Event)
    turn: Turn = field(default_factory=Turn)
    metrics: Metrics = field(default_factory=Metrics)
    tracing: Tracing | None = None
    panels: PanelReader | None = None
    telemetry: Telemetry | None = None
    sessions: Sessions = field(default_factory=Sessions)
    lists: ListDesk | None = None
    notice: str = ""

    def __post_init__(self) -> None:
        self.metrics.watch_models(self.campaigns, self.models, self.clock)

    def campaign(self, name: str) -> Campaign:
        """The campaign of that name. Raises NotFound, naming those that exist."""
        if name not in self.campaigns:
            raise NotFound(f"there is no campaign of that name; there are: {', '.join(self.campaigns)}")
        return self.campaigns[name]

    @cached_property
    def readers(self) -> Mapping[str, ListReader]:
        """What reads the lists of each campaign."""
        return {name: ListReader(campaign) for name, campaign in self.campaigns.items()}

    @cached_property
    def declarations(self) -> Mapping[str, str]:
        """Digest of each campaign's declaration."""
        return {name: campaign.digest() for name, campaign in self.campaigns.items()}
