"""Whom a campaign must leave alone, and when it may call: declared, and worked out by dates alone. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

# Why somebody is on a suppression list. The code is what a reply, an excluded file and the log say.
SUPPRESSED = ("do_not_contact", "objection", "complaint", "deceased", "legal")
COOLING_OFF, FREQUENCY_CAP = "cooling_off", "frequency_cap"
# Every reason for which a customer is not contacted whatever the score says.
EXCLUSIONS = (*SUPPRESSED, COOLING_OFF, FREQUENCY_CAP)
LONGEST_DAYS = 3_650
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# How far ahead the next legal window is looked for.
_SEARCHED_DAYS = 366


@dataclass(frozen=True, slots=True)
class Window:
    """From when until when customers may be contacted, both with their offset; ``until`` is no longer part of it."""

    begins: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactHours:
    """When customers may be contacted by law: on these weekdays between two times of day in one time zone, but for closed days.

    Attributes
    ----------
    time_zone : str
        IANA name, as in ``Europe/Lisbon``: where the customers are.
    begins, until : str
        ``HH:MM`` on the same day, by the clock there; ``until`` is no longer part of it.
    weekdays : tuple of str
        ``mon`` to ``sun``.
    closed : tuple of str
        Days on which nobody is contacted, ``YYYY-MM-DD``: public holidays.
    """

    time_zone: str
    begins: str = "09:00"
    until: str = "20:00"
    weekdays: tuple[str, ...] = WEEKDAYS[:5]
    closed: tuple[str, ...] = ()

    def window(self, now: datetime) -> Window | None:
        """The window that is open at that moment, else the next one; None where none opens within a year."""
        zone = ZoneInfo(self.time_zone)
        today = now.astimezone(zone).date()
        for day in (today + timedelta(days=ahead) for ahead in range(_SEARCHED_DAYS)):
            if WEEKDAYS[day.weekday()] in self.weekdays and day.isoformat() not in self.closed:
                found = Window(_moment(day, self.begins, zone), _moment(day, self.until, zone))
                # Compared as instants: on the days when clocks change, two times of one zone are not as far apart as they look.
                if found.until.astimezone(UTC) > now.astimezone(UTC):
                    return found
        return None

    def is_open(self, now: datetime) -> bool:
        """Whether customers may be contacted at that moment."""
        found = self.window(now)
        return found is not None and found.begins.astimezone(UTC) <= now.astimezone(UTC)

    def problems(self) -> Iterator[str]:
        """Sentences about what is declared wrongly."""
        try:
            ZoneInfo(self.time_zone)
        except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
            yield f"the contact hours' time zone {self.time_zone!r} is not known here; it looks like 'Europe/Lisbon'"
        times = [_parsed(text) for text in (self.begins, self.until)]
        if None in times:
            yield "the contact hours begin and end at times of day written HH:MM, as in '09:00'"
        elif not times[0] < times[1]:  # type: ignore[operator]
            yield "the contact hours must begin before they end, on the same day"
        if not self.weekdays or set(self.weekdays) - set(WEEKDAYS):
            yield f"the contact hours' weekdays are some of {', '.join(WEEKDAYS)}"
        for day in self.closed:
            if not _is_day(day):
                yield "the contact hours' closed days are written YYYY-MM-DD"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactPolicy:
    """Whom a campaign leaves alone although the score is good. Suppressed customers are left alone by every campaign, with or without one.

    A contact is a day (UTC) on which a campaign told somebody to contact a customer: however often that day says so, it is one contact.

    Attributes
    ----------
    cooling_off_days : int
        After a contact by this campaign the customer is left alone by it for so many days; 0: no cooling-off.
    most_contacts : int or None
        At most so many contacts by all campaigns together within ``within_days`` days, this one included; None: no cap.
    hours : ContactHours or None
        When customers may be contacted; the call sheet and the reply say from when until when.
    """

    cooling_off_days: int = 0
    most_contacts: int | None = None
    within_days: int = 30
    hours: ContactHours | None = field(default=None)

    @property
    def counts(self) -> bool:
        """Whether contacts of the past matter, so that they must be looked up and kept."""
        return self.cooling_off_days > 0 or self.most_contacts is not None

    @property
    def longest_days(self) -> int:
        """How many days back contacts matter."""
        return max(self.cooling_off_days, 0 if self.most_contacts is None else self.within_days)

    def problems(self) -> Iterator[str]:
        """Sentences about what is declared wrongly."""
        if not 0 <= self.cooling_off_days <= LONGEST_DAYS:
            yield f"the contact policy's cooling_off_days must lie between 0 and {LONGEST_DAYS:,}"
        if self.most_contacts is not None and not 1 <= self.most_contacts <= 1_000:
            yield "the contact policy's most_contacts must lie between 1 and 1,000"
        if not 1 <= self.within_days <= LONGEST_DAYS:
            yield f"the contact policy's within_days must lie between 1 and {LONGEST_DAYS:,}"
        if self.hours is not None:
            yield from self.hours.problems()


def _parsed(text: str) -> time | None:
    try:
        return time.fromisoformat(text) if len(text) == len("HH:MM") else None
    except ValueError:
        return None


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _moment(day: date, at: str, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.fromisoformat(at), zone)
