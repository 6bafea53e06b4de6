"""Alerts and what became of them in Postgres, append-only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from propensity.adapters.database import Cursor, Database
from propensity.alerting import CLAIMED, NOT_SENT, OVER, SENT, AlertEvent, StoredAlert
from propensity.alerts import ALERT_ID, RAISED, Alert, from_content, to_content
from propensity.errors import NotFound

_COLUMNS = "a.alert_id, a.content, a.raised_at, a.episode"
_NOT_OVER = "not exists (select from alert_event e where e.alert_id = a.alert_id and e.event in ('resolved', 'closed'))"
_NEWEST = f"select {_COLUMNS}, {_NOT_OVER} from alert a where a.fingerprint = %s order by a.episode desc limit 1"
_INSERT = """
insert into alert (alert_id, fingerprint, episode, campaign, kind, about, verdict, content) values (%s, %s, %s, %s, %s, %s, %s, %s)
on conflict (fingerprint, episode) do nothing"""
_EVENT = """
insert into alert_event (alert_id, event, occasion, channel, attempt, actor, detail) values (%s, %s, %s, %s, %s, %s, %s)
on conflict do nothing"""
_EVENTS = """
select alert_id, event, created_at, occasion, channel, attempt, actor, detail from alert_event where alert_id = any(%s) order by id"""
_OPEN = f"select {_COLUMNS} from alert a where a.campaign = %s and a.kind = %s and a.about = %s and {_NOT_OVER} order by a.raised_at"
# What is over is told for a week, then it is old news.
_STANDING = f"""
select {_COLUMNS} from alert a
where {_NOT_OVER} or exists (
    select from alert_event e
    where e.alert_id = a.alert_id and e.event in ('resolved', 'closed') and e.created_at > now() - interval '7 days'
) order by a.raised_at"""
_RECENT = f"""
select {_COLUMNS} from alert a
where {_NOT_OVER} or a.alert_id in (select alert_id from alert order by raised_at desc limit %s) order by a.raised_at desc, a.alert_id"""
_FIND = f"select {_COLUMNS} from alert a where a.alert_id = %s"
DETAIL_LENGTH = 500


class PostgresAlertStore:
    """`propensity.alerting.AlertStore`. Unique rows decide who raises, who sends and who ends."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def raise_alert(self, alert: Alert) -> tuple[StoredAlert, bool]:
        """The open alert of that fingerprint, and whether it was made now."""
        fingerprint = alert.fingerprint
        with self._database.transaction() as cursor:
            newest = cursor.execute(_NEWEST, (fingerprint,)).fetchone()
            made = False
            if newest is None or not newest[4]:
                episode = 1 if newest is None else newest[3] + 1
                alert_id = _id(fingerprint, episode)
                values = (alert_id, fingerprint, episode, alert.campaign, alert.kind, alert.about, alert.verdict, Jsonb(to_content(alert)))
                made = cursor.execute(_INSERT, values).rowcount == 1
                if made:
                    cursor.execute(_EVENT, (alert_id, RAISED, None, None, None, "", ""))
                # Whoever was first has committed by now: the insert waited for him.
                newest = cursor.execute(_NEWEST, (fingerprint,)).fetchone()
            assert newest is not None, "it was there or was made"
            return _with_events(cursor, [newest[:4]])[0], made

    def open_in(self, campaign: str, kind: str, about: str) -> list[StoredAlert]:
        """Alerts of that campaign, kind and flow that are not over, oldest first."""
        with self._database.transaction() as cursor:
            return _with_events(cursor, cursor.execute(_OPEN, (campaign, kind, about)).fetchall())

    def end(self, alert_id: str, event: str, *, actor: str = "", detail: str = "") -> bool:
        """Record that an alert is over; False where it was over already."""
        assert event in OVER, "resolved or closed"
        with self._database.transaction() as cursor:
            return cursor.execute(_EVENT, (alert_id, event, None, None, None, actor, detail[:DETAIL_LENGTH])).rowcount == 1

    def acknowledge(self, alert_id: str, *, actor: str, note: str) -> StoredAlert:
        """Record who takes care of it; the first one stands. Raises NotFound."""
        with self._database.transaction() as cursor:
            _found(cursor, alert_id)
            cursor.execute(_EVENT, (alert_id, "acknowledged", None, None, None, actor, note[:DETAIL_LENGTH]))
            return _found(cursor, alert_id)

    def claim(self, alert_id: str, channel: str, occasion: str, attempt: int) -> bool:
        """Whether this caller, and no other, is to send the message."""
        with self._database.transaction() as cursor:
            return cursor.execute(_EVENT, (alert_id, CLAIMED, occasion, channel, attempt, "", "")).rowcount == 1

    def answered(self, alert_id: str, channel: str, occasion: str, attempt: int, *, sent: bool, detail: str = "") -> None:
        """Record what became of a message that was claimed."""
        event = SENT if sent else NOT_SENT
        with self._database.transaction() as cursor:
            cursor.execute(_EVENT, (alert_id, event, occasion, channel, attempt, "", detail[:DETAIL_LENGTH]))

    def standing(self) -> tuple[datetime, list[StoredAlert]]:
        """The time by Postgres' clock, and every alert that may still be told of."""
        with self._database.transaction() as cursor:
            ((now,),) = cursor.execute("select now()").fetchall()
            return now, _with_events(cursor, cursor.execute(_STANDING).fetchall())

    def recent(self, most: int) -> list[StoredAlert]:
        """The newest alerts and every open one, the newest first."""
        with self._database.transaction() as cursor:
            return _with_events(cursor, cursor.execute(_RECENT, (most,)).fetchall())

    def find(self, alert_id: str) -> StoredAlert:
        """One alert. Raises NotFound."""
        with self._database.transaction() as cursor:
            return _found(cursor, alert_id)


def _id(fingerprint: str, episode: int) -> str:
    return "a-" + hashlib.sha256(f"{fingerprint}/{episode}".encode()).hexdigest()[:12]


def _found(cursor: Cursor, alert_id: str) -> StoredAlert:
    # Looked at before it is sent: an id may be any text, also one that Postgres cannot take.
    head = cursor.execute(_FIND, (alert_id,)).fetchone() if ALERT_ID.fullmatch(alert_id) else None
    if head is None:
        raise NotFound("there is no alert with this id; ids look like a-0123456789ab")
    return _with_events(cursor, [head])[0]


def _with_events(cursor: Cursor, heads: Sequence[tuple[Any, ...]]) -> list[StoredAlert]:
    events: dict[str, list[AlertEvent]] = {head[0]: [] for head in heads}
    if heads:
        for alert_id, *values in cursor.execute(_EVENTS, (list(events),)).fetchall():
            events[alert_id].append(AlertEvent(*values))
    return [StoredAlert(head[0], from_content(head[1]), head[2], head[3], tuple(events[head[0]])) for head in heads]
