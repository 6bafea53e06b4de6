"""When a flow is due: the five fields of cron, in UTC. Standard library only, since the scoring service tells due times, too.

Understood: ``*``, numbers, lists, ranges, steps, names of months and days. Where days of the month and of the week are both named, either
counts, as cron has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from propensity.errors import DataError

_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_WHAT = ("minute", "hour", "day of the month", "month", "day of the week")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART = re.compile(r"(\*|[0-9a-z]+)(?:-([0-9a-z]+))?(?:/([0-9]{1,3}))?", re.ASCII)
# 29 February comes every eight years at worst.
_MOST_DAYS = 366 * 8 + 2


@dataclass(frozen=True)
class Cron:
    """A line of cron, taken apart. ``either`` is set where both kinds of days are named."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def due_on(self, day: datetime) -> bool:
        """Whether anything is due on that day."""
        if day.month not in self.months:
            return False
        by_date, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (by_date or by_week) if self.either else (by_date and by_week)

    def previous(self, now: datetime) -> datetime | None:
        """The last due time at or before ``now``; None where there was none for eight years."""
        return self._search(now, -1)

    def next(self, now: datetime) -> datetime | None:
        """The first due time after ``now``."""
        return self._search(now, 1)

    def _search(self, now: datetime, step: int) -> datetime | None:
        now = now.astimezone(UTC)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        for days in range(_MOST_DAYS):
            day = midnight + timedelta(days=step * days)
            if not self.due_on(day):
                continue
            times = [day + timedelta(hours=h, minutes=m) for h in self.hours[::step] for m in self.minutes[::step]]
            for moment in times:
                if (moment <= now) if step < 0 else (moment > now):
                    return moment
        return None


@lru_cache(maxsize=256)
def parse_cron(line: str) -> Cron:
    """Take a line apart. Raises DataError with the field that cannot be read."""
    fields = line.lower().split()
    if len(fields) != len(_BOUNDS):
        raise DataError(f"the schedule {line!r} must have five fields, as in '0 3 5 * *'")
    sets = [_field(text, at, line) for at, text in enumerate(fields)]
    weekdays = frozenset(day % 7 for day in sets[4])
    # A star with a step is a star to cron: only what names days makes it "either".
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    return Cron(tuple(sorted(sets[0])), tuple(sorted(sets[1])), frozenset(sets[2]), frozenset(sets[3]), weekdays, either)


def _field(text: str, at: int, line: str) -> set[int]:
    low, high = _BOUNDS[at]
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise _unreadable(at, line)
        first, last, step = match.groups()
        if first == "*":
            start, end = low, 6 if at == 4 else high
        else:
            start = _number(first, at, line)
            end = _number(last, at, line) if last else high if step else start
        if not low <= start <= end <= high or step == "0" or (first == "*" and last):
            raise _unreadable(at, line)
        found.update(range(start, end + 1, int(step or 1)))
    return found


def _number(text: str, at: int, line: str) -> int:
    names = _MONTHS if at == 3 else _DAYS if at == 4 else ()
    if text in names:
        return names.index(text) + (at == 3)
    if not text.isdigit():
        raise _unreadable(at, line)
    return int(text)


def _unreadable(at: int, line: str) -> DataError:
    low, high = _BOUNDS[at]
    return DataError(f"the schedule {line!r}: the {_WHAT[at]} must be numbers from {low} to {high}, '*', lists, ranges or steps of them")
