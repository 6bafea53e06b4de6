"""From a campaign's cron line to what EventBridge Scheduler understands. Standard library only."""

from __future__ import annotations

import re

from propensity.errors import CampaignError

_FIELD = re.compile(r"[A-Za-z0-9*/,-]+")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def scheduler_expression(cron: str, *, campaign: str) -> str:
    """``cron(...)`` of EventBridge for the usual five fields, as ``0 3 5 * *``.

    EventBridge counts days of the week from 1, wants a year, and takes either a day of the month or one of the week.

    Raises
    ------
    CampaignError
        The line is not five fields, or names both kinds of days, which cron reads as "either" and EventBridge cannot say.
    """
    fields = cron.split()
    if len(fields) != 5 or not all(_FIELD.fullmatch(field) for field in fields):
        raise CampaignError(f"campaign {campaign!r}: the schedule {cron!r} is not five fields of cron")
    minute, hour, day, month, weekday = fields
    if day != "*" and weekday != "*":
        raise CampaignError(f"campaign {campaign!r}: the schedule {cron!r} names days of the month and of the week; AWS takes one of them")
    if weekday == "*":
        return f"cron({minute} {hour} {day} {month} ? *)"
    return f"cron({minute} {hour} ? {month} {_weekday(weekday)} *)"


def _weekday(field: str) -> str:
    """Numbers of days (0 and 7 are Sunday) as names; steps stay numbers."""
    head, slash, step = field.partition("/")
    return re.sub(r"\d+", lambda found: _DAYS[int(found[0]) % 7], head).upper() + slash + step
