"""From a condition to people who hear of it once: raised, told on every channel, reminded of, acknowledged, resolved.

What stands is a row in the store; everything that happens to it is another. Any number of processes may do all of this at once: whoever
gets the row does the work, and nobody else.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from propensity.alerts import MOMENTARY, RAISED, REMINDER, RESOLVED, Alert
from propensity.errors import PropensityError

log = logging.getLogger("propensity.alerting")
# After the first, second ... failed try; the last is repeated for as long as the alert is open.
BACKOFF_S = (60.0, 300.0, 1800.0, 7200.0, 21600.0)
# Within the process that raised it: most outages of a mail server are short.
AT_ONCE_S = (1.0, 5.0)
# Whoever claimed a message and said nothing for so long was killed: another may send it. No channel takes half as long.
LEASE_S = 300.0
CLAIMED, SENT, NOT_SENT = "claimed", "sent", "failed"
ACKNOWLEDGED, CLOSED = "acknowledged", "closed"
OVER = frozenset({RESOLVED, CLOSED})


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One thing that happened to an alert; ``occasion``, ``channel`` and ``attempt`` where it was about a message."""

    event: str
    at: datetime
    occasion: str | None = None
    channel: str | None = None
    attempt: int | None = None
    actor: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert as it is kept, with everything that happened to it, oldest first."""

    alert_id: str
    alert: Alert
    raised_at: datetime
    episode: int
    events: Sequence[AlertEvent]

    def first(self, *kinds: str) -> AlertEvent | None:
        return next((event for event in self.events if event.event in kinds), None)

    @property
    def state(self) -> str:
        """``open``, ``acknowledged``, ``resolved``, or ``replaced`` by another alert of the same kind."""
        over = self.first(*OVER)
        if over is not None:
            return "resolved" if over.event == RESOLVED or self.alert.kind in MOMENTARY else "replaced"
        return "acknowledged" if self.first(ACKNOWLEDGED) else "open"


class AlertStore(Protocol):
    """Append-only record of alerts. Every method raises a `StoreError` where its store does not answer."""

    def raise_alert(self, alert: Alert) -> tuple[StoredAlert, bool]:
        """The open alert of that fingerprint, and whether it was made now: of any number of callers at once, one is told so."""

    def open_in(self, campaign: str, kind: str, about: str) -> list[StoredAlert]:
        """Alerts of that campaign, kind and flow that are not over."""

    def end(self, alert_id: str, event: str, *, actor: str = "", detail: str = "") -> bool:
        """Record that an alert is over (``resolved`` or ``closed``); False where it was over already."""

    def acknowledge(self, alert_id: str, *, actor: str, note: str) -> StoredAlert:
        """Record who takes care of it; the first one stands. Raises NotFound."""

    def claim(self, alert_id: str, channel: str, occasion: str, attempt: int) -> bool:
        """Whether this caller, and no other, is to send the message."""

    def answered(self, alert_id: str, channel: str, occasion: str, attempt: int, *, sent: bool, detail: str = "") -> None:
        """Record what became of a message that was claimed."""

    def standing(self) -> tuple[datetime, list[StoredAlert]]:
        """The time by the store's clock, and every alert that may still be told of: open ones, and what was resolved lately."""

    def recent(self, most: int) -> list[StoredAlert]:
        """The newest alerts and every open one, the newest first."""

    def find(self, alert_id: str) -> StoredAlert:
        """One alert. Raises NotFound."""


class Channel(Protocol):
    """A way to tell people. Its name stands in the record; addresses and secrets never do."""

    @property
    def name(self) -> str: ...

    def send(self, alert: Alert) -> str:
        """Tell it; what is to be known about that, mostly nothing.

        Raises PropensityError where that fails, with a sentence free of addresses and secrets.
        """


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message to be sent, or what became of it."""

    alert_id: str
    channel: str
    occasion: str
    attempt: int
    sent: bool = False
    detail: str = ""


@dataclass(frozen=True)
class Alerting:
    """Where alerts are kept and how they are told.

    Attributes
    ----------
    channels : sequence of Channel
        Each on its own: one that fails stops no other.
    links : callable
        Addresses and commands that go into the messages of an alert.
    repeat : timedelta
        An open alert that nobody acknowledged is told again so often; zero: never.
    sleep : callable
        Waits between tries within one process.
    """

    store: AlertStore
    channels: Sequence[Channel] = ()
    links: Callable[[StoredAlert], Mapping[str, str]] = lambda _: {}
    repeat: timedelta = timedelta(hours=24)
    sleep: Callable[[float], None] = time.sleep

    def raise_alert(self, alert: Alert) -> StoredAlert:
        """Record a condition and tell it at once; where it stands already nothing happens. A store that fails raises, a channel does not.

        Another alert of the same campaign, kind and flow that is as old or older is closed without a message: this one says it all.
        """
        stored, made = self.store.raise_alert(alert)
        if made:
            log.info("alert %s raised: %s %s %s", stored.alert_id, alert.campaign, alert.kind, alert.about)
            self._close_others(stored)
            self.deliver([stored.alert_id], patient=True)
        return stored

    def clear(self, campaign: str, kind: str, about: str = "", *, until: datetime, detail: str = "") -> list[str]:
        """Resolve what was found no later than ``until``, and tell it once; the ids. Says nothing about anything newer."""
        done = []
        for stored in self.store.open_in(campaign, kind, about):
            if stored.alert.until <= until and self.store.end(stored.alert_id, RESOLVED, detail=detail):
                log.info("alert %s resolved: %s %s %s", stored.alert_id, campaign, kind, about)
                done.append(stored.alert_id)
        if done:
            self.deliver(done, patient=True)
        return done

    def deliver(self, only: Sequence[str] | None = None, *, patient: bool = False) -> list[Delivery]:
        """Send what is due now, each message once; what became of each. ``patient`` tries again within seconds where one fails."""
        now, standing = self.store.standing()
        chosen = [stored for stored in standing if only is None or stored.alert_id in only]
        done = []
        for stored in chosen:
            for channel in self.channels:
                for wanted in due_messages(stored, channel.name, now, self.repeat):
                    done += self._send(stored, channel, wanted, AT_ONCE_S if patient else ())
        return done

    def _send(self, stored: StoredAlert, channel: Channel, wanted: Delivery, pauses_s: Sequence[float]) -> list[Delivery]:
        tries = []
        for attempt, pause_s in enumerate((0.0, *pauses_s), start=wanted.attempt):
            self.sleep(pause_s)
            if not self.store.claim(stored.alert_id, channel.name, wanted.occasion, attempt):
                break
            one = self._try(stored, channel, replace(wanted, attempt=attempt))
            self.store.answered(one.alert_id, one.channel, one.occasion, one.attempt, sent=one.sent, detail=one.detail)
            tries.append(one)
            if one.sent:
                break
            log.warning("alert %s could not be told by %s (try %d): %s", one.alert_id, one.channel, one.attempt, one.detail)
        return tries

    def _try(self, stored: StoredAlert, channel: Channel, wanted: Delivery) -> Delivery:
        try:
            told = replace(stored.alert, alert_id=stored.alert_id, occasion=wanted.occasion, links=self.links(stored))
            return replace(wanted, sent=True, detail=channel.send(told))
        except PropensityError as exc:
            return replace(wanted, detail=str(exc))
        except Exception as exc:  # noqa: BLE001 - the edge of a channel: what nobody foresaw in one must not stop the others
            # Without its text: a library's message may quote an address with its password.
            return replace(wanted, detail=f"failed unexpectedly: {type(exc).__name__}")

    def _close_others(self, stored: StoredAlert) -> None:
        alert = stored.alert
        if alert.kind in MOMENTARY:
            self.store.end(stored.alert_id, CLOSED, detail="over when it was told")
            return
        for other in self.store.open_in(alert.campaign, alert.kind, alert.about):
            if other.alert_id != stored.alert_id and other.alert.until <= alert.until:
                self.store.end(other.alert_id, CLOSED, detail=f"replaced by {stored.alert_id}")


def due_messages(stored: StoredAlert, channel: str, now: datetime, repeat: timedelta) -> list[Delivery]:
    """What is to be told of an alert on one channel now."""
    found = [_next_try(stored, channel, occasion, now) for occasion in _wanted(stored, channel, now, repeat)]
    return [delivery for delivery in found if delivery is not None]


def _wanted(stored: StoredAlert, channel: str, now: datetime, repeat: timedelta) -> list[str]:
    over, heard = stored.first(*OVER), _heard(stored, channel)
    if stored.alert.kind in MOMENTARY:
        return [RAISED]
    if over is not None:
        # Who never heard of it need not hear that it is over; nor does anybody where another alert took its place.
        return [RESOLVED] if over.event == RESOLVED and heard is not None else []
    if heard is None:
        return [RAISED]
    number = int((now - stored.raised_at) / repeat) if repeat > timedelta() else 0
    # One that was told late counts from then: nobody is reminded of what he heard a minute ago.
    if number < 1 or stored.first(ACKNOWLEDGED) is not None or now - heard < repeat / 2:
        return []
    return [f"{REMINDER}-{number}"]


def _heard(stored: StoredAlert, channel: str) -> datetime | None:
    """When the channel last told of it."""
    return max((e.at for e in stored.events if e.event == SENT and e.channel == channel), default=None)


def _next_try(stored: StoredAlert, channel: str, occasion: str, now: datetime) -> Delivery | None:
    tries = [e for e in stored.events if e.channel == channel and e.occasion == occasion and e.attempt is not None]
    if any(event.event == SENT for event in tries):
        return None
    attempt = max((event.attempt or 0 for event in tries), default=0)
    if attempt:
        # In the order in which they were written: a claim and its answer may have one time.
        last = [event for event in tries if event.attempt == attempt][-1]
        wait_s = LEASE_S if last.event == CLAIMED else BACKOFF_S[min(attempt, len(BACKOFF_S)) - 1]
        if now < last.at + timedelta(seconds=wait_s):
            return None
    return Delivery(stored.alert_id, channel, occasion, attempt + 1)
