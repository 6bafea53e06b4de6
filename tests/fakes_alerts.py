"""In-memory stand-ins for the stores of alerts and of what flows did, and a channel that can fail."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from propensity.alerting import ACKNOWLEDGED, CLAIMED, NOT_SENT, OVER, SENT, AlertEvent, StoredAlert
from propensity.alerts import RAISED, Alert, Finding
from propensity.errors import NotFound, StoreError
from propensity.flow_health import Beat, Schedule
from tests.fakes import FakeDatabase

SINCE, UNTIL = datetime(2026, 2, 20, tzinfo=UTC), datetime(2026, 2, 27, tzinfo=UTC)


def an_alert(**changed: Any) -> Alert:
    """Drift of one column of ``term-deposit``."""
    usual: dict[str, Any] = {
        "campaign": "term-deposit", "kind": "drift", "verdict": "drift", "run_id": "0b5b8a3e-7d0c-5f86-9c1e-3f6f0c1d2a55", "since": SINCE,
        "until": UNTIL, "rows": 1234, "model_digest": "d" * 64, "report_key": "reports/term-deposit/x.html",
        "findings": (Finding("age", "psi", 0.4, 0.1, 0.2, "drift"),),
    }  # fmt: skip
    return Alert(**{**usual, **changed})


def alert_id_of(alert: Alert, episode: int = 1) -> str:
    """As the stores name it."""
    return "a-" + hashlib.sha256(f"{alert.fingerprint}/{episode}".encode()).hexdigest()[:12]


class FakeAlertStore:
    """`propensity.alerting.AlertStore`. Its clock is that of its database."""

    def __init__(self, database: FakeDatabase | None = None) -> None:
        self.database = database or FakeDatabase()
        self.rows: dict[str, StoredAlert] = {}

    def _add(self, alert_id: str, event: str, **more: Any) -> bool:
        self.database.ping()
        found = self.find(alert_id)
        new = AlertEvent(event, self.database.now, **more)

        def same(old: AlertEvent) -> bool:
            if event in (SENT, NOT_SENT):
                alike = old.event in (SENT, NOT_SENT)
            elif event in OVER:
                alike = old.event in OVER
            else:
                alike = old.event == event
            return alike and (old.occasion, old.channel, old.attempt) == (new.occasion, new.channel, new.attempt)

        if any(same(old) for old in found.events):
            return False
        self.rows[alert_id] = replace(found, events=(*found.events, new))
        return True

    def raise_alert(self, alert: Alert) -> tuple[StoredAlert, bool]:
        self.database.ping()
        same = [s for s in self.rows.values() if s.alert.fingerprint == alert.fingerprint]
        if same and same[-1].first(*OVER) is None:
            return same[-1], False
        alert_id = alert_id_of(alert, len(same) + 1)
        self.rows[alert_id] = StoredAlert(alert_id, alert, self.database.now, len(same) + 1, (AlertEvent(RAISED, self.database.now),))
        return self.rows[alert_id], True

    def open_in(self, campaign: str, kind: str, about: str) -> list[StoredAlert]:
        self.database.ping()
        scope = (campaign, kind, about)
        return [s for s in self.rows.values() if (s.alert.campaign, s.alert.kind, s.alert.about) == scope and s.first(*OVER) is None]

    def end(self, alert_id: str, event: str, *, actor: str = "", detail: str = "") -> bool:
        return self._add(alert_id, event, actor=actor, detail=detail)

    def acknowledge(self, alert_id: str, *, actor: str, note: str) -> StoredAlert:
        self._add(alert_id, ACKNOWLEDGED, actor=actor, detail=note)
        return self.find(alert_id)

    def claim(self, alert_id: str, channel: str, occasion: str, attempt: int) -> bool:
        return self._add(alert_id, CLAIMED, occasion=occasion, channel=channel, attempt=attempt)

    def answered(self, alert_id: str, channel: str, occasion: str, attempt: int, *, sent: bool, detail: str = "") -> None:
        self._add(alert_id, SENT if sent else NOT_SENT, occasion=occasion, channel=channel, attempt=attempt, detail=detail)

    def standing(self) -> tuple[datetime, list[StoredAlert]]:
        self.database.ping()
        return self.database.now, list(self.rows.values())

    def recent(self, most: int) -> list[StoredAlert]:
        self.database.ping()
        return sorted(self.rows.values(), key=lambda s: s.raised_at, reverse=True)[:most]

    def find(self, alert_id: str) -> StoredAlert:
        self.database.ping()
        if alert_id not in self.rows:
            raise NotFound("there is no alert with this id")
        return self.rows[alert_id]


class FakeHeartbeatStore:
    """`propensity.flow_health.HeartbeatStore`."""

    def __init__(self, database: FakeDatabase | None = None) -> None:
        self.database = database or FakeDatabase()
        self.known: dict[tuple[str, str], Schedule] = {}
        self.beats: list[tuple[str, str, Beat]] = []

    def register(self, schedules: Sequence[Schedule], *, complete: bool = True) -> int:
        self.database.ping()
        wanted = {(s.flow, s.campaign): s for s in schedules}
        new = {key: s for key, s in wanted.items() if key not in self.known or self.known[key].cron != s.cron}
        gone = [key for key in self.known if complete and key not in wanted]
        self.known |= {key: replace(s, since=self.database.now) for key, s in new.items()}
        for key in gone:
            del self.known[key]
        return len(new) + len(gone)

    def schedules(self) -> tuple[datetime, list[Schedule]]:
        self.database.ping()
        return self.database.now, list(self.known.values())

    def beat(
        self, run_id: str, flow: str, campaign: str, event: str, due: datetime | None, detail: Mapping[str, Any] | None = None
    ) -> None:
        self.database.ping()
        if not any((f, c, b.run_id, b.event) == (flow, campaign, run_id, event) for f, c, b in self.beats):
            self.beats.append((flow, campaign, Beat(event, self.database.now, run_id, due, dict(detail or {}))))

    def newest(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Beat]]:
        self.database.ping()
        found: dict[tuple[str, str], dict[str, Beat]] = {}
        for flow, campaign, beat in self.beats:
            if (flow, campaign) in keys and beat.due is not None:
                found.setdefault((flow, campaign), {})[beat.event] = beat
        return found


@dataclass
class FakeChannel:
    """Keeps what it was told; fails while ``down``."""

    name: str = "fake"
    down: bool = False
    told: list[Alert] = field(default_factory=list)

    def send(self, alert: Alert) -> str:
        if self.down:
            raise StoreError("the fake does not answer")
        self.told.append(alert)
        return ""

    @property
    def heard(self) -> list[tuple[str, str]]:
        """Kind and occasion of each message."""
        return [(alert.kind, alert.occasion) for alert in self.told]


def later(database: FakeDatabase, **span: float) -> None:
    """Turn the clock on."""
    database.now += timedelta(**span)
