"""In-memory stand-ins for every port, for unit tests. ``down = True`` makes a store fail as a real one does."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from propensity.access import ApiKey, KnownKeys, NewKey, Role, parse_key
from propensity.adapters.outcome_reading import labelled
from propensity.errors import (
    DatabaseUnavailable,
    DataError,
    Forbidden,
    IdempotencyMismatch,
    NotFound,
    ObjectStoreUnavailable,
    PromotionConflict,
    RegistryUnavailable,
)
from propensity.outcome_rules import OutcomeRules
from propensity.outcomes import UNMATCHED, History, counted, judge, recorded
from propensity.ports import (
    RULES,
    Answer,
    Cohort,
    Failure,
    Json,
    LabelledPrediction,
    LabelledRequest,
    LoggedRequest,
    MonitorRun,
    Outcome,
    OutcomeBatch,
    Promotion,
    Recorded,
    StoredReply,
    TrainingRun,
)
from propensity.prediction_id import parse_prediction_id, prediction_id

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class FakeObjectStore:
    """Objects in a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.down = False

    def _ask(self) -> None:
        if self.down:
            raise ObjectStoreUnavailable("object storage did not answer")

    def put(self, key: str, data: bytes) -> None:
        self._ask()
        self.objects[key] = bytes(data)

    def create(self, key: str, data: bytes) -> bool:
        self._ask()
        if key in self.objects:
            return False
        self.objects[key] = bytes(data)
        return True

    def fetch(self, key: str, path: Path, version: str | None = None) -> None:
        path.write_bytes(self.get(key if version is None else f"{key}?version={version}"))

    def get(self, key: str) -> bytes:
        self._ask()
        if key not in self.objects:
            raise NotFound(f"the object store has no object {key!r}")
        return self.objects[key]

    def pieces(self, key: str) -> Iterator[bytes]:
        yield self.get(key)

    def open_at(self, key: str, version: str | None = None) -> BinaryIO:
        return BytesIO(self.get(key if version is None else f"{key}?version={version}"))

    def put_file(self, key: str, path: Path) -> None:
        self.put(key, path.read_bytes())

    def exists(self, key: str) -> bool:
        self._ask()
        return key in self.objects

    def keys(self, prefix: str) -> Iterator[str]:
        self._ask()
        return iter(sorted(key for key in self.objects if key.startswith(prefix)))

    def uri(self, key: str) -> str:
        return f"memory:///{key}"


@dataclass
class FakeDatabase:
    """What the fakes of one database share: whether it answers, and a clock."""

    down: bool = False
    now: datetime = NOW
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ping(self) -> None:
        if self.down:
            raise DatabaseUnavailable("Postgres did not answer; nothing was stored")


class FakePredictionLog:
    """`propensity.ports.PredictionLog`."""

    def __init__(self, database: FakeDatabase | None = None) -> None:
        self.database = database or FakeDatabase()
        self.entries: list[LoggedRequest] = []
        self.replies: dict[tuple[str, str, str], StoredReply] = {}

    def append(self, entry: LoggedRequest, *, idempotency_key: str | None, body_sha256: str, reply: bytes) -> StoredReply | None:
        self.database.ping()
        with self.database.lock:
            if idempotency_key is not None:
                stored = self.replies.get((entry.campaign, entry.caller, idempotency_key))
                if stored is not None and stored.body_sha256 != body_sha256:
                    raise IdempotencyMismatch("this idempotency key was used before with another body")
                if stored is not None:
                    return stored
                self.replies[entry.campaign, entry.caller, idempotency_key] = StoredReply(body_sha256, reply, entry.request_id)
            if all(known.request_id != entry.request_id for known in self.entries[-100:]):
                self.entries.append(replace(entry, received_at=self.database.now))
        return None

    def stored_reply(self, campaign: str, caller: str, idempotency_key: str) -> StoredReply | None:
        self.database.ping()
        return self.replies.get((campaign, caller, idempotency_key))

    def request(self, request_id: str) -> LoggedRequest:
        self.database.ping()
        found = next((entry for entry in self.entries if entry.request_id == request_id), None)
        if found is None:
            raise NotFound("no request with this id was logged")
        return found

    def window(self, campaign: str, since: datetime, until: datetime) -> Iterator[LoggedRequest]:
        self.database.ping()
        return iter([e for e in self.entries if e.campaign == campaign and e.received_at is not None and since <= e.received_at < until])

    def count(self, campaign: str) -> int:
        self.database.ping()
        return sum(len(entry.scores) for entry in self.entries if entry.campaign == campaign)

    def make_partitions(self) -> int:
        self.database.ping()
        return 0


class FakeOutcomeStore:
    """`propensity.ports.OutcomeStore` over the predictions of a `FakePredictionLog`."""

    def __init__(self, log: FakePredictionLog) -> None:
        self.log = log
        self.histories: dict[str, History] = {}
        self.kept: list[tuple[str | None, str]] = []
        self.posted: list[Outcome] = []
        self.sources: set[str] = set()
        self.batches: dict[tuple[str, OutcomeBatch], Recorded] = {}

    def record(
        self, campaign: str, outcomes: Sequence[Outcome], source: str, *, rules: OutcomeRules = RULES, batch: OutcomeBatch | None = None
    ) -> Recorded:
        self.log.database.ping()
        if batch is not None and (campaign, batch) in self.batches:
            return Recorded(self.batches[campaign, batch].counts)
        found = recorded([self._status(campaign, outcome, rules) for outcome in outcomes])
        self.posted += outcomes
        self.sources.add(source)
        if batch is not None:
            self.batches[campaign, batch] = found
        return found

    def rematch(self, campaign: str, *, rules: OutcomeRules = RULES, since: datetime | None = None) -> Recorded:  # noqa: ARG002 (nothing waits here)
        return recorded([])

    def _status(self, campaign: str, outcome: Outcome, rules: OutcomeRules) -> str:
        found = self._match(campaign, outcome)
        status = UNMATCHED
        if found is not None:
            name, predicted_at = found
            history = self.histories.setdefault(name, History())
            at = outcome.observed_at or self.log.database.now
            status, counts = judge(outcome, history, predicted_at, at, rules)
            history.add(outcome.label, outcome.observed_at, at, status, counts)
        self.kept.append((found and found[0], status))
        return status

    def _match(self, campaign: str, outcome: Outcome) -> tuple[str, datetime] | None:
        for entry in reversed([e for e in self.log.entries if e.campaign == campaign]):
            assert entry.received_at is not None
            if outcome.prediction_id is not None:
                request_id, position = parse_prediction_id(outcome.prediction_id)
                if entry.request_id == request_id and position <= len(entry.scores):
                    return outcome.prediction_id, entry.received_at
            elif outcome.observed_at is None or entry.received_at <= outcome.observed_at:
                positions = [at for at, customer in enumerate(entry.customer_ids, start=1) if customer == outcome.customer_id]
                if positions:
                    return prediction_id(entry.request_id, positions[-1]), entry.received_at
        return None

    def labelled(self, campaign: str, since: datetime, until: datetime) -> list[LabelledPrediction]:
        return [found for request in self.requests(campaign, since, until) for found in labelled(request)]

    def requests(self, campaign: str, since: datetime, until: datetime, *, rules: OutcomeRules | None = None) -> Iterator[LabelledRequest]:
        for e in self.log.window(campaign, since, until):
            histories = [self.histories.get(prediction_id(e.request_id, at + 1), History()) for at in range(len(e.scores))]
            told = np.array([h.label is not None for h in histories])
            absent = rules is not None and rules.absent_means != "unknown"
            known = told | (np.array([not h.counted for h in histories]) & absent)
            times = [h.at.replace(tzinfo=None) if h.at and h.label is not None else "NaT" for h in histories]
            assert e.received_at is not None
            yield LabelledRequest(
                e.request_id, e.received_at, e.model_digest, e.scores, e.contact, np.array([bool(h.label) for h in histories]), known, told,
                np.array(times, dtype="datetime64[us]"),
            )  # fmt: skip

    def cohorts(self, campaign: str, since: datetime, until: datetime) -> list[Cohort]:
        self.log.database.ping()
        found: dict[date, list[LabelledRequest]] = {}
        for request in self.requests(campaign, since, until):
            found.setdefault(request.received_at.date(), []).append(request)
        return [
            Cohort(
                day, sum(len(r.scores) for r in of), sum(int(r.told.sum()) for r in of), sum(int(r.labels.sum()) for r in of), counted(())
            )
            for day, of in found.items()
        ]

    def arrivals(self, campaign: str, since: datetime, until: datetime) -> dict[date, dict[str, int]]:  # noqa: ARG002 (all come now)
        return {self.log.database.now.date(): counted(status for _, status in self.kept)} if self.kept else {}


class FakePromotionLedger:
    """`propensity.ports.PromotionLedger`."""

    def __init__(self, database: FakeDatabase | None = None) -> None:
        self.database = database or FakeDatabase()
        self.rows: list[Promotion] = []

    def history(self, campaign: str) -> list[Promotion]:
        self.database.ping()
        return [row for row in self.rows if row.campaign == campaign]

    def page(self, campaign: str, before: int | None, limit: int) -> list[Promotion]:
        rows = [row for row in self.history(campaign) if before is None or row.sequence < before]
        return rows[::-1][:limit]

    def live(self, campaign: str) -> Promotion | None:
        standing = [row for row in self.history(campaign) if row.action in ("promote", "rollback")]
        return standing[-1] if standing else None

    def marks(self) -> Mapping[str, Hashable]:
        self.database.ping()
        return {row.campaign: row.sequence for row in self.rows}

    def append(self, promotion: Promotion) -> Promotion:
        self.database.ping()
        with self.database.lock:
            if any(row.campaign == promotion.campaign and row.sequence == promotion.sequence for row in self.rows):
                raise PromotionConflict("somebody else decided first")
            self.rows.append(replace(promotion, created_at=self.database.now))
            return self.rows[-1]


class FakeApiKeyStore:
    """`propensity.ports.ApiKeyStore`."""

    def __init__(self, database: FakeDatabase | None = None) -> None:
        self.database = database or FakeDatabase()
        self.keys: dict[str, ApiKey] = {}

    def known(self) -> KnownKeys:
        self.database.ping()
        return KnownKeys(self.database.now, tuple(self.keys.values()))

    def add(self, new: NewKey) -> ApiKey:
        self.database.ping()
        now = self.database.now
        expires_at = None if new.lifetime_s is None else now + timedelta(seconds=new.lifetime_s)
        stored = (new.key_id, new.name, new.role, new.secret_sha256, now, new.created_by, new.rate_per_s, expires_at)
        self.keys[new.key_id] = ApiKey(*stored)
        return self.keys[new.key_id]

    def rotate(self, key_id: str, new: NewKey, *, overlap_s: float) -> ApiKey:
        old = self._one(key_id)
        if old.revoked_at is not None or not old.accepted(self.database.now):
            raise DataError("the key has ended or its end is settled already")
        self._end(key_id, overlap_s, f"replaced by {new.key_id}")
        return self.add(new)

    def revoke(self, key_id: str, *, reason: str, by: str) -> ApiKey:
        return self._end(key_id, 0.0, f"{reason} ({by})")

    def add_by(self, operator_key: str, new: NewKey) -> ApiKey:
        return self.add(replace(new, created_by=self._operator(operator_key)))

    def revoke_by(self, operator_key: str, key_id: str, *, reason: str) -> ApiKey:
        return self.revoke(key_id, reason=reason, by=self._operator(operator_key))

    def _operator(self, text: str) -> str:
        parsed = parse_key(text)
        found = self.keys.get(parsed[0]) if parsed else None
        if (
            parsed is None
            or found is None
            or not found.holds(parsed[1])
            or found.role != Role.OPERATOR
            or not found.accepted(self.database.now)
        ):
            raise Forbidden("that is not the key of an operator, or it has ended")
        return found.name

    def _one(self, key_id: str) -> ApiKey:
        self.database.ping()
        if key_id not in self.keys:
            raise NotFound("there is no key with this id")
        return self.keys[key_id]

    def _end(self, key_id: str, after_s: float, reason: str) -> ApiKey:
        key, at = self._one(key_id), self.database.now + timedelta(seconds=after_s)
        if key.revoked_at is None or at < key.revoked_at:
            self.keys[key_id] = replace(key, revoked_at=at, reason=reason)
        return self.keys[key_id]


class FakeMonitorStore:
    """`propensity.ports.MonitorStore`."""

    def __init__(self, database: FakeDatabase | None = None) -> None:
        self.database = database or FakeDatabase()
        self.recorded: list[MonitorRun] = []

    def record(self, run: MonitorRun) -> None:
        self.database.ping()
        if all(known.run_id != run.run_id for known in self.recorded):
            self.recorded.append(replace(run, created_at=self.database.now))

    def runs(self, campaign: str) -> list[MonitorRun]:
        self.database.ping()
        return [run for run in self.recorded if run.campaign == campaign]


class FakePeriodStore:
    """`propensity.ports.PeriodStore`."""

    def __init__(self, database: FakeDatabase | None = None) -> None:
        self.database = database or FakeDatabase()
        self.results: dict[tuple[str, str, str], Json] = {}

    def finished(self, flow: str, campaign: str, period: str) -> Json | None:
        self.database.ping()
        return self.results.get((flow, campaign, period))

    def finish(self, flow: str, campaign: str, period: str, result: Json) -> None:
        self.database.ping()
        self.results.setdefault((flow, campaign, period), result)


class FakeModelRegistry:
    """`propensity.ports.ModelRegistry`."""

    def __init__(self) -> None:
        self.logged: list[TrainingRun] = []
        self.aliases: dict[tuple[str, str], str] = {}
        self.down = False

    def log(self, run: TrainingRun) -> tuple[str, str]:
        self._ask()
        self.logged.append(run)
        version = str(sum(known.campaign == run.campaign for known in self.logged))
        self.aliases[run.campaign, "challenger"] = version
        return f"run-{len(self.logged)}", version

    def find(self, campaign: str, digest: str) -> str | None:
        self._ask()
        known = [run.tags["model_digest"] for run in self.logged if run.campaign == campaign]
        return str(known.index(digest) + 1) if digest in known else None

    def newest(self, campaign: str) -> str | None:
        self._ask()
        known = [run.tags["model_digest"] for run in self.logged if run.campaign == campaign]
        return known[-1] if known else None

    def set_alias(self, campaign: str, alias: str, version: str) -> None:
        self._ask()
        self.aliases[campaign, alias] = version

    def _ask(self) -> None:
        if self.down:
            raise RegistryUnavailable("MLflow did not answer")


class FakePanels:
    """`propensity.ports.PanelReader`: every statement gives ``rows``, none unless a test says otherwise."""

    def __init__(self, database: FakeDatabase) -> None:
        self._database = database
        self.asked: list[str] = []
        self.rows: list[tuple[Any, ...]] = []

    def read(self, statements: Sequence[str]) -> list[Answer | Failure]:
        self._database.ping()
        self.asked += statements
        return [Answer((), self.rows) for _ in statements]
