"""In-memory stand-ins for the stores of the contact gate."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Literal

import numpy as np

from propensity.customer_key import customer_key
from propensity.errors import SuppressionsChanged
from propensity.gate import ContactGate
from propensity.gate_ports import ArmsOfRequest, Contacted, Erased, GateRecord, Suppression
from propensity.ports import LoggedRequest, StoredReply
from tests.fakes import FakeDatabase, FakePredictionLog

SALT = b"salt of the tests"
SECRETS = {"test": b"a secret of the tests alone"}


class FakeSuppressionStore:
    """`propensity.gate_ports.SuppressionStore`."""

    def __init__(self, database: FakeDatabase | None = None) -> None:
        self.database = database or FakeDatabase()
        self.rows: list[Suppression] = []
        self.asked = 0

    def version(self) -> int:
        self.database.ping()
        self.asked += 1
        return len(self.rows)

    def since(self, version: int) -> Iterator[Sequence[tuple[int, str, str | None, str, str]]]:
        self.database.ping()
        self.asked += 1
        newest = {(row.customer_key, row.campaign): row for row in self.rows if row.id > version}
        yield [(row.id, row.customer_key, row.campaign, row.action, row.reason) for row in newest.values()]

    def salt(self) -> bytes:
        self.database.ping()
        return SALT

    def add(
        self,
        customer_ids: Sequence[str],
        *,
        campaign: str | None,
        action: Literal["add", "lift"],
        reason: str,
        note: str | None,
        actor: str,
    ) -> int:
        self.database.ping()
        with self.database.lock:
            for name in customer_ids:
                row = (customer_key(name), name, campaign, action, reason, note, actor, self.database.now)
                self.rows.append(Suppression(len(self.rows) + 1, *row))
        return len(self.rows)

    def listed(self, *, customer_id: str | None, campaign: str | None, limit: int, before: int | None) -> list[Suppression]:
        self.database.ping()
        newest = {(row.customer_key, row.campaign): row for row in self.rows}
        found = [row for row in newest.values() if row.action == "add" and (before is None or row.id < before)]
        found = [row for row in found if campaign is None or row.campaign in (None, campaign)]
        if customer_id is not None:
            found = [row for row in found if row.customer_key == customer_key(customer_id)]
        return sorted(found, key=lambda row: -row.id)[:limit]

    def history(self, customer_id: str) -> list[Suppression]:
        self.database.ping()
        return [row for row in reversed(self.rows) if row.customer_key == customer_key(customer_id)]

    def forget(self, customer_id: str) -> None:
        """Keep the hash alone, as an erasure does."""
        key = customer_key(customer_id)
        hashed = "sha256:" + hashlib.sha256(SALT + key.encode()).hexdigest()
        self.rows = [
            replace(row, customer_key=hashed, customer_id=None, note=None) if row.customer_key == key else row for row in self.rows
        ]


class FakeContactStore:
    """`propensity.gate_ports.ContactStore` and `ArmStore`, over a log that takes what the gate did."""

    def __init__(self, log: FakePredictionLog) -> None:
        self.log = log
        self.contacts: list[tuple[str, str, date]] = []
        self.late: dict[str, dict[int, str]] = {}

    @property
    def today(self) -> date:
        return self.log.database.now.date()

    def contacted(self, campaign: str, customer_keys: Sequence[str], *, within_days: int, longest_days: int) -> Contacted:
        self.log.database.ping()
        assert longest_days >= 1
        own, others = np.full(len(customer_keys), 1_000_000), np.zeros(len(customer_keys), dtype=np.int64)
        for at, key in enumerate(customer_keys):
            mine = {(name, day) for known, name, day in self.contacts if known == key}
            before = [(self.today - day).days for name, day in mine if name == campaign and day < self.today]
            own[at] = min(before, default=1_000_000)
            first = self.today - timedelta(days=within_days)
            others[at] = sum(day > first and (name, day) != (campaign, self.today) for name, day in mine)
        return Contacted(own, others)

    def export(self, request_id: str, campaign: str, record: GateRecord) -> None:
        self.log.database.ping()
        known = self.late.setdefault(request_id, {})
        answered = next((set(e.gate.excluded) for e in self.log.entries if e.request_id == request_id and e.gate), set())
        known |= {at: why for at, why in zip(record.excluded, record.reasons, strict=True) if at not in answered}
        self.contacts += [(key, campaign, self.today) for key in record.contacts]

    def arms(self, campaign: str, since: datetime, until: datetime) -> Iterator[ArmsOfRequest]:
        for e in self.log.window(campaign, since, until):
            gate, held = e.gate or GateRecord(), np.zeros(len(e.scores), dtype=np.bool_)
            held[[at - 1 for at in gate.held_out]] = True
            assert e.received_at is not None
            told = (e.request_id, e.received_at, e.customer_ids, e.contact, held, gate.holdout_key, gate.holdout_share)
            yield ArmsOfRequest(*told, e.model_digest, str(e.policy))

    def excluded(self, campaign: str, since: datetime, until: datetime) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {"answer": {}, "export": {}}
        for e in self.log.window(campaign, since, until):
            for why in e.gate.reasons if e.gate else ():
                found["answer"][why] = found["answer"].get(why, 0) + 1
            for why in self.late.get(e.request_id, {}).values():
                found["export"][why] = found["export"].get(why, 0) + 1
        return found


class GatedLog(FakePredictionLog):
    """A log that looks at the suppressions a last time, and notes contacts, as Postgres does in one statement."""

    def __init__(self, database: FakeDatabase, suppressions: FakeSuppressionStore) -> None:
        super().__init__(database)
        self.suppressions = suppressions
        self.contacts = FakeContactStore(self)

    def append(self, entry: LoggedRequest, *, idempotency_key: str | None, body_sha256: str, reply: bytes) -> StoredReply | None:
        gate = entry.gate
        if gate is not None and gate.version is not None and self.suppressions.version() > gate.version:
            raise SuppressionsChanged("a customer was suppressed meanwhile; nothing was stored; try again")
        stored = super().append(entry, idempotency_key=idempotency_key, body_sha256=body_sha256, reply=reply)
        if stored is None and gate is not None:
            self.contacts.contacts += [(key, entry.campaign, self.contacts.today) for key in gate.contacts]
        return stored


class FakeErasureStore:
    """`propensity.gate_ports.ErasureStore` over the predictions of a log."""

    def __init__(self, log: GatedLog) -> None:
        self.log = log
        self.receipts: dict[str, Erased] = {}

    def erase(self, erasure_id: str, customer_id: str, *, actor: str, reason: str, deadline_s: float) -> Erased:
        self.log.database.ping()
        assert actor
        assert reason
        assert deadline_s > 0
        predictions = requests = 0
        for at, entry in enumerate(self.log.entries):
            found = list(entry.customer_ids).count(customer_id)
            requests, predictions = requests + bool(found), predictions + found
            ids = tuple(f"erased-{erasure_id}" if name == customer_id else name for name in entry.customer_ids)
            self.log.entries[at] = replace(entry, customer_ids=ids)
        listed = len(self.log.suppressions.history(customer_id))
        self.log.suppressions.forget(customer_id)
        self.receipts[erasure_id] = Erased(erasure_id, requests, predictions, 0, 0, listed, 0, True, self.log.database.now)
        return self.receipts[erasure_id]

    def receipt(self, erasure_id: str) -> Erased | None:
        self.log.database.ping()
        return self.receipts.get(erasure_id)


def fake_gate(log: GatedLog, *, counting: bool = False) -> ContactGate:
    """A gate over the stores behind a log."""
    return ContactGate(log.suppressions, log.contacts, SECRETS, counting=counting)
