"""How often a schedule starts something in a month, and how long that keeps what it starts awake: from the templates themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from infra.cost.assembly import Resource
from infra.cost.lines import Month, literal
from infra.cost.prices import NotPriced

SCHEDULE = "AWS::Scheduler::Schedule"
MINUTES = {"minute": 1, "hour": 60, "day": 24 * 60}
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) \S+\)")
DAYS_A_MONTH = 365 / 12
DAYS_A_WEEK, MONTHS = 7, 12
# A flow that trains takes longer than one that looks.
TRAINS = re.compile(r"\bretrain-")
# Objects alone are looked at, unless a list was left half done.
LOOKS_AT_OBJECTS = re.compile(r"flows\.list_job.*--pending")


@dataclass(frozen=True, slots=True)
class Started:
    """What one schedule starts in a month.

    Attributes
    ----------
    times : float
        How often.
    hours : float
        Of all those tasks together.
    definition : Resource
        The task definition.
    spot : bool
    asks : bool
        Whether it asks the database.
    """

    times: float
    hours: float
    asks: bool
    definition: Resource
    spot: bool


def started(month: Month) -> Iterator[Started]:
    """What every schedule starts. Raises NotPriced for one that cannot be counted."""
    for resource in month.of_kind(SCHEDULE):
        told = literal(resource, "Target", "EcsParameters") or {}
        definition = month.referred(told.get("TaskDefinitionArn"), resource.stack)
        if definition is None:
            raise NotPriced(f"{resource.name} starts a task whose definition is in none of the templates")
        times = times_a_month(str(literal(resource, "ScheduleExpression"))) * int(told.get("TaskCount") or 1)
        command = json.dumps(resource.properties.get("Target", {}).get("Input") or "")
        minutes = month.usage.training_minutes if TRAINS.search(command) else month.usage.run_minutes
        yield Started(times, times * minutes / 60, not LOOKS_AT_OBJECTS.search(command), definition, _on_spot(told))


def awake_hours(month: Month) -> float:
    """Hours in which what the clock starts keeps a database awake that pauses some minutes after its last caller: at most all of them."""
    found = [one for one in started(month) if one.asks]
    pauses = sum(one.times for one in found) * month.usage.pause_minutes / 60
    return min(month.hours, pauses + sum(one.hours for one in found))


def times_a_month(expression: str) -> float:
    """How often ``rate(...)`` or ``cron(...)`` of EventBridge is due in a month of 365/12 days. Raises NotPriced for another expression."""
    rate, cron = _RATE.fullmatch(expression), _CRON.fullmatch(expression)
    if rate is not None:
        return DAYS_A_MONTH * 24 * 60 / (int(rate[1]) * MINUTES[rate[2]])
    if cron is None:
        raise NotPriced(f"the schedule {expression!r} is neither rate(...) nor cron(...)")
    minute, hour, day, of_month, weekday = cron.groups()
    days = _days(day, weekday) * _count(of_month, 1, MONTHS) / MONTHS
    return _count(minute, 0, 59) * _count(hour, 0, 23) * days


def _days(day: str, weekday: str) -> float:
    if weekday not in ("?", "*"):
        return _count(re.sub(r"[A-Z]+", lambda name: str(_WEEKDAYS[name[0]]), weekday), 1, DAYS_A_WEEK) * DAYS_A_MONTH / DAYS_A_WEEK
    return DAYS_A_MONTH if day in ("?", "*") else _count(day, 1, 31)


_WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), start=1)}


def _count(field: str, first: int, last: int) -> int:
    """How many values a field names, as ``*``, ``*/6``, ``1-5`` or ``5,12``. Raises NotPriced for what is none of these."""
    named: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = (f"{first}-{last}" if span == "*" else span).partition("-")
        try:
            named |= set(range(int(low), int(high or (last if step else low)) + 1, int(step or 1)))
        except ValueError as exc:
            raise NotPriced(f"a schedule's {field!r} is no field of cron that can be counted") from exc
    return len(named)


def _on_spot(told: dict[str, Any]) -> bool:
    providers = told.get("CapacityProviderStrategy") or []
    return bool(providers) and all(provider.get("CapacityProvider") == "FARGATE_SPOT" for provider in providers)
