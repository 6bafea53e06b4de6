"""The macros and variables of a panel's SQL, and what they become: in Grafana by its Postgres data source, here by `expand`.

=============================== ==========================================================================================
``$__timeFilter(column)``       ``column BETWEEN '<from>' AND '<to>'``
``$__timeFrom()``               ``'<from>'``, likewise ``$__timeTo()``
``$__timeGroup(column, 'size')`` seconds since 1970 at which the column's interval of that size began
``$campaign``                   the chosen campaigns, each in quotes
``$interval``                   the chosen size: ``1h``, ``6h``, ``1d``, ``7d``
=============================== ==========================================================================================

A macro's argument ends at the first closing bracket, as in Grafana: no brackets inside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from propensity.campaign import NAME

INTERVALS = {"5m": 300, "1h": 3_600, "6h": 21_600, "1d": 86_400, "7d": 604_800}
_FILTER = re.compile(r"\$__timeFilter\(\s*([a-z_.]+)\s*\)")
_GROUP = re.compile(r"\$__timeGroup\(\s*([a-z_.]+)\s*,\s*'(\w+)'\s*\)")


@dataclass(frozen=True)
class Asked:
    """What a reader chose: times with a zone, the end included; a size of `INTERVALS`; names of campaigns, one at least."""

    since: datetime
    until: datetime
    interval: str
    campaigns: Sequence[str]

    def __post_init__(self) -> None:
        if self.since.tzinfo is None or self.until.tzinfo is None or self.since >= self.until:
            raise ValueError("a span needs times with a zone, and begins before it ends")
        if self.interval not in INTERVALS:
            raise ValueError(f"an interval is one of {', '.join(INTERVALS)}")
        if not self.campaigns or not all(NAME.fullmatch(name) for name in self.campaigns):
            raise ValueError("a campaign's name is lower-case words joined by hyphens")


def expand(sql: str, asked: Asked) -> str:
    """The statement as Postgres takes it. Every value comes from `Asked`, which lets nothing through that could end a text.

    Raises ValueError where something is left that is neither a macro nor a variable of the above.
    """
    since, until = _literal(asked.since), _literal(asked.until)
    found = sql.replace("$campaign", ", ".join(f"'{name}'" for name in asked.campaigns)).replace("$interval", asked.interval)
    found = _FILTER.sub(rf"\1 BETWEEN {since} AND {until}", found)
    found = found.replace("$__timeFrom()", since).replace("$__timeTo()", until)
    found = _GROUP.sub(lambda match: _group(match[1], match[2]), found)
    if "$" in found:
        raise ValueError(f"no such macro or variable: {found[found.index('$') :][:30]}")
    return found


def _literal(moment: datetime) -> str:
    return f"'{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}'"


def _group(column: str, size: str) -> str:
    seconds = INTERVALS[size]
    return f"floor(extract(epoch from {column})/{seconds})*{seconds}"
