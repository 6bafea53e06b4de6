"""What the domain asks of the outside world. ``propensity.adapters`` answers; tests answer with fakes.

Every method raises a `StoreError` where its store does not answer.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from propensity.access import ApiKey, KnownKeys, NewKey
from propensity.gate_ports import GateRecord
from propensity.outcome_rules import OutcomeRules

Json = dict[str, Any]
RULES = OutcomeRules()


class ObjectStore(Protocol):
    """Immutable objects by key (``a/b/c.json``). An object appears whole or not at all."""

    def put(self, key: str, data: bytes) -> None:
        """Write or replace one object."""

    def create(self, key: str, data: bytes) -> bool:
        """Write one object where there is none of that key; False where there is. Of any number at once, at most one gets True."""

    def get(self, key: str) -> bytes:
        """Read one object. Raises NotFound where there is none."""

    def fetch(self, key: str, path: Path, version: str | None = None) -> None:
        """Copy one object, or one version of it where the store keeps versions, to a file. Raises NotFound."""

    def pieces(self, key: str) -> Iterator[bytes]:
        """One object some megabytes at a time. Raises NotFound where there is none."""

    def open_at(self, key: str, version: str | None = None) -> BinaryIO:
        """One object, or one version of it, to be read at any place. Raises NotFound."""

    def put_file(self, key: str, path: Path) -> None:
        """Write or replace one object with the content of a file, which is not held in memory."""

    def exists(self, key: str) -> bool: ...

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys that begin with ``prefix``, sorted."""

    def uri(self, key: str) -> str:
        """Where an object lies, for people and other programs."""


@dataclass(frozen=True)
class LoggedRequest:
    """One acknowledged request: everything needed to say again what was answered.

    ``features`` holds the raw values by row: numbers exactly as sent (float64), categories as their declared position. ``caller`` is
    the owner of the key that sent it; empty where no key was involved, as for a file. ``gate`` is written with the request and not read
    back with it.
    """

    request_id: str
    campaign: str
    model_digest: str
    model_version: str
    policy: Json
    declaration_digest: str
    customer_ids: Sequence[str]
    rows: npt.NDArray[np.int64]
    features: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    contact: npt.NDArray[np.bool_]
    received: int
    refused: int
    source: str
    received_at: datetime | None = None
    caller: str = ""
    gate: GateRecord | None = None


@dataclass(frozen=True)
class StoredReply:
    """What an idempotency key was answered with before."""

    body_sha256: str
    reply: bytes
    request_id: str


class PredictionLog(Protocol):
    """Append-only record of predictions; committed when `append` returns."""

    def append(self, entry: LoggedRequest, *, idempotency_key: str | None, body_sha256: str, reply: bytes) -> StoredReply | None:
        """Commit a request. Where the key was used before, nothing is written and the stored reply is returned instead.

        Raises SuppressionsChanged, and writes nothing, where a suppression is stored that the request's gate did not look at.
        """

    def stored_reply(self, campaign: str, caller: str, idempotency_key: str) -> StoredReply | None:
        """What the caller's key was answered with, None where it is new."""

    def request(self, request_id: str) -> LoggedRequest:
        """One request by id. Raises NotFound."""

    def window(self, campaign: str, since: datetime, until: datetime) -> Iterator[LoggedRequest]:
        """Requests received in [since, until), oldest first."""

    def count(self, campaign: str) -> int:
        """Predictions ever logged."""

    def make_partitions(self) -> int:
        """Make room for the months to come where it is missing; how many months that were. Any number may do so at once."""


@dataclass(frozen=True)
class Outcome:
    """What happened to one customer. Either ``prediction_id`` or ``customer_id`` is given.

    Attributes
    ----------
    label : bool or None
        None in a correction that withdraws: what was told is wrong, and what is right is not known.
    observed_at, contacted_at : datetime or None
        When it was seen, and when the customer was contacted.
    correction : bool
        Says that what was told before of this prediction is wrong.
    """

    label: bool | None
    observed_at: datetime | None
    prediction_id: str | None = None
    customer_id: str | None = None
    contacted_at: datetime | None = None
    correction: bool = False


@dataclass(frozen=True)
class OutcomeBatch:
    """One part of a file, which is taken once however often it is sent: the file's SHA-256, and the part's number from 0."""

    sha256: str
    number: int


@dataclass(frozen=True, eq=False)
class Recorded(Mapping[str, int]):
    """What became of some outcomes: counts by status, each status among them.

    Attributes
    ----------
    statuses : sequence of str
        One per outcome, in order; empty for a batch that was taken before, whose counts are those of the first time.
    """

    counts: Mapping[str, int]
    statuses: Sequence[str] = ()

    def __getitem__(self, status: str) -> int:
        return self.counts[status]

    def __iter__(self) -> Iterator[str]:
        return iter(self.counts)

    def __len__(self) -> int:
        return len(self.counts)


@dataclass(frozen=True)
class LabelledPrediction:
    """A prediction whose outcome is known. ``outcome_at``: when it was observed, or came where nobody said."""

    prediction_id: str
    received_at: datetime
    model_digest: str
    score: float
    contact: bool
    label: bool
    outcome_at: datetime | None = None


@dataclass(frozen=True)
class LabelledRequest:
    """The predictions of one request and what is known of their outcomes; every array has one element per prediction, in order.

    Attributes
    ----------
    labels : bool array
        The label that counts; False where none is known.
    known : bool array
        Whether there is a label, told or read from its absence.
    told : bool array
        Whether an outcome was told.
    outcome_at : datetime64[us] array
        When it was observed (UTC), or came where nobody said; NaT where none was told.
    """

    request_id: str
    received_at: datetime
    model_digest: str
    scores: npt.NDArray[np.float64]
    contact: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]
    told: npt.NDArray[np.bool_]
    outcome_at: npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class Cohort:
    """The predictions of one day (UTC): how many, how many with a label that was told and how many of these are positive, and how many
    outcomes of each status came for them."""

    day: date
    predicted: int
    labelled: int
    positive: int
    counts: Mapping[str, int]


class OutcomeStore(Protocol):
    """Append-only record of outcomes."""

    def record(
        self, campaign: str, outcomes: Sequence[Outcome], source: str, *, rules: OutcomeRules = RULES, batch: OutcomeBatch | None = None
    ) -> Recorded:
        """Store every outcome, all or none, and say what became of each; `propensity.outcomes` says what the statuses mean.

        A ``batch`` that was stored before is not stored again.
        """

    def rematch(self, campaign: str, *, rules: OutcomeRules = RULES, since: datetime | None = None) -> Recorded:
        """Look again for the predictions of outcomes that wait for one, of those that came from ``since`` on; counts of what was found."""

    def labelled(self, campaign: str, since: datetime, until: datetime) -> list[LabelledPrediction]:
        """Predictions made in [since, until) with an outcome that was told and counts, mature or not, by prediction time."""

    def requests(self, campaign: str, since: datetime, until: datetime, *, rules: OutcomeRules | None = None) -> Iterator[LabelledRequest]:
        """Every request answered in [since, until) with what was told of its predictions, oldest first, some in memory at a time.

        With ``rules``, the absence of an outcome is read as they say: ask for mature cohorts alone (``rules.mature_until``).
        """

    def cohorts(self, campaign: str, since: datetime, until: datetime) -> list[Cohort]:
        """One per day with predictions made in [since, until), oldest first."""

    def arrivals(self, campaign: str, since: datetime, until: datetime) -> dict[date, dict[str, int]]:
        """Outcomes that came in [since, until) by day (UTC) and status. One that waited and was matched since counts as what it became."""


@dataclass(frozen=True)
class Promotion:
    """One row of the promotion history. ``action``: promote, refuse or rollback; ``step`` says how it came about (propensity.promotion)."""

    campaign: str
    sequence: int
    action: str
    model_digest: str
    model_version: str
    replaces: str | None
    reasons: Sequence[str]
    evidence: Json
    actor: str
    created_at: datetime | None = None
    step: str = ""


class PromotionLedger(Protocol):
    """Append-only history of who put which model live on which evidence."""

    def history(self, campaign: str) -> list[Promotion]:
        """Every row, oldest first."""

    def page(self, campaign: str, before: int | None, limit: int) -> list[Promotion]:
        """The newest rows, of those below the sequence number ``before`` where there is one, newest first; at most ``limit``."""

    def live(self, campaign: str) -> Promotion | None:
        """The row that put the live model live; None where nothing was promoted."""

    def marks(self) -> Mapping[str, Hashable]:
        """One value per campaign that was ever decided on; it stays equal until the next decision. Cheap: asked every second."""

    def append(self, promotion: Promotion) -> Promotion:
        """Add a row. Raises PromotionConflict where ``promotion.sequence`` is taken: somebody else decided first."""


@dataclass(frozen=True)
class MonitorMetric:
    """One number of a monitor run. Higher is worse unless the metric says otherwise; ``method`` says how it was computed.

    Attributes
    ----------
    low, high : float or None
        The interval in which the number lies (95 %, or as ``method`` says), where it is an estimate.
    rows : float or None
        Rows that it rests on; of a chance, the effective rows.
    group : str or None
        The group of ``column`` that it is about; None: all rows.
    """

    column: str | None
    metric: str
    method: str
    value: float
    warn: float | None
    alert: float | None
    verdict: str
    low: float | None = None
    high: float | None = None
    rows: float | None = None
    group: str | None = None


@dataclass(frozen=True)
class MonitorRun:
    """What was compared with what, and the verdict: ``no_data``, ``stable``, ``warning`` or ``drift``.

    ``alarm`` says whether somebody is to be called: ``no_data``, ``too_little_data``, ``quiet``, ``watch`` or ``alarm``; None where the run
    raises no alarms.
    """

    run_id: str
    campaign: str
    kind: str
    since: datetime
    until: datetime
    model_digest: str | None
    snapshot_id: str | None
    rows: int
    reference_rows: int
    verdict: str
    report_key: str | None
    metrics: Sequence[MonitorMetric]
    created_at: datetime | None = None
    alarm: str | None = None


@dataclass(frozen=True, eq=False)
class LoggedRows:
    """Predictions of many requests at once: texts and ``sizes`` per request, arrays per prediction, in order.

    ``received``, ``refused`` and ``unreadable`` (predictions with another number of features) are those of the whole page.
    """

    request_ids: Sequence[str]
    received_at: Sequence[datetime]
    model_digests: Sequence[str]
    declaration_digests: Sequence[str]
    sizes: npt.NDArray[np.int64]
    features: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    contact: npt.NDArray[np.bool_]
    received: int
    refused: int
    unreadable: int


class MonitorStore(Protocol):
    """Append-only record of monitor runs and their numbers."""

    def record(self, run: MonitorRun) -> None: ...

    def runs(self, campaign: str) -> list[MonitorRun]:
        """Every run, oldest first, with its metrics."""


class PeriodStore(Protocol):
    """Remembers which flow finished for which period, so that a second run does nothing."""

    def finished(self, flow: str, campaign: str, period: str) -> Json | None:
        """The result of a finished period; None where it has not finished."""

    def finish(self, flow: str, campaign: str, period: str, result: Json) -> None:
        """Record a result; the first one stands."""


@dataclass(frozen=True)
class TrainingRun:
    """What a training run hands to the model registry."""

    campaign: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    package_dir: Path
    figures: Mapping[str, bytes]
    snapshot_id: str
    snapshot_uri: str
    rows: int
    feature_names: Sequence[str]


class ModelRegistry(Protocol):
    """Experiments and registered models (MLflow)."""

    def log(self, run: TrainingRun) -> tuple[str, str]:
        """Log a run, register its model under the campaign's name with the alias ``challenger``; return (run id, version)."""

    def find(self, campaign: str, digest: str) -> str | None:
        """Registered version of the model package with that digest; None where it is not registered."""

    def newest(self, campaign: str) -> str | None:
        """Digest of the package registered last; None where there is none."""

    def set_alias(self, campaign: str, alias: str, version: str) -> None: ...


class ApiKeyStore(Protocol):
    """Append-only record of API keys and their revocations. Only the tables' owner may write it, and an operator with his key at hand."""

    def known(self) -> KnownKeys:
        """Every key, those that ended included."""

    def add(self, new: NewKey) -> ApiKey:
        """Store a key."""

    def rotate(self, key_id: str, new: NewKey, *, overlap_s: float) -> ApiKey:
        """Store the successor of a key, which itself is revoked ``overlap_s`` seconds from now; both or neither.

        Raises NotFound for an id that is not known, DataError where the key has ended or its end is settled already.
        """

    def revoke(self, key_id: str, *, reason: str, by: str) -> ApiKey:
        """Revoke a key now and return it as it then is. Raises NotFound."""

    def add_by(self, operator_key: str, new: NewKey) -> ApiKey:
        """Store a key in the name of the operator whose key (its whole text) that is. Raises Forbidden where it is none that is good."""

    def revoke_by(self, operator_key: str, key_id: str, *, reason: str) -> ApiKey:
        """Revoke a key now, likewise. Raises NotFound, Forbidden."""


@dataclass(frozen=True)
class Answer:
    """What a statement gave: names of its columns, and its rows."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]


@dataclass(frozen=True)
class Failure:
    """Why a statement gave nothing, in a sentence for people."""

    why: str


class PanelReader(Protocol):
    """Reads the views that panels are made of."""

    def read(self, statements: Sequence[str]) -> list[Answer | Failure]:
        """The answer to each statement, in order; one that takes too long fails alone."""


@dataclass(frozen=True)
class ServiceTraffic:
    """Requests that a process answered: kind of address, first digit of the status, how many, their seconds together, and how many
    by duration.
    """

    kind: str
    status: int
    requests: int
    seconds: float
    slower_than: Sequence[int]


@dataclass(frozen=True)
class ServiceSample:
    """A process as it is, and what it spent and committed since the last sample. ``started_at`` in seconds since 1970."""

    started_at: float
    resident_bytes: int
    cpu_seconds: float
    waiting: int
    commits: int
    commit_seconds: float


class PanelKeeper(Protocol):
    """Keeps panels filled, and cheap on a long log."""

    def add(self, process: str, traffic: Sequence[ServiceTraffic], sample: ServiceSample) -> None:
        """Write what a process counted."""

    def count_ahead(self) -> bool:
        """Count a part of what is not counted yet; whether more is left."""

    def recount(self) -> bool:
        """Go back to what is not as counted; whether there was any."""

    def forget(self) -> None:
        """Drop what is too old to be shown."""
