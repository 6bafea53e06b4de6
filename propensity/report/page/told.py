"""Numbers, money and times as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

NO_DATA = "no data"
# Spaces at which no line breaks: before a percent sign, and before a currency.
_THIN, _HARD = "\u202f", "\u00a0"
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def count(value: float | None) -> str:
    """A number of things."""
    return NO_DATA if value is None else f"{value:,.0f}"


def share(value: float | None, digits: int = 1) -> str:
    """A share of 0 to 1 in percent."""
    return NO_DATA if value is None else minus(f"{100 * value:,.{digits}f}{_THIN}%")


def whole_share(value: float | None) -> str:
    """A share in whole percent; less than half of one, or more than 99.5 but not all, with a digit more."""
    if value is None or value in (0.0, 1.0):
        return share(value, 0)
    return share(value, 0 if 0.005 <= value <= 0.995 else 1)


def times(value: float | None, digits: int = 2) -> str:
    """A factor."""
    return NO_DATA if value is None else minus(f"{value:,.{digits}f}")


def money(value: Decimal | float | None, currency: str = "") -> str:
    """An amount to the unit, with its currency where one is given."""
    if value is None:
        return NO_DATA
    # Not "-0".
    rounded = round(value) or 0
    return minus(f"{rounded:,}") + (f"{_HARD}{currency}" if currency else "")


def minus(text: str) -> str:
    """With the sign that is as wide as a plus."""
    return text.replace("-", "−")


def day(value: datetime) -> str:
    """A day, UTC."""
    value = value.astimezone(UTC)
    return f"{value.day} {value:%B %Y}"


def moment(value: datetime) -> str:
    """A day and time, UTC."""
    return f"{day(value)}, {value.astimezone(UTC):%H:%M} UTC"


def span(since: datetime, until: datetime) -> str:
    """A window; its last day is the one before ``until`` where that is midnight."""
    last = until - timedelta(microseconds=1)
    return day(since) if day(since) == day(last) else f"{day(since)} to {day(last)}"


def odds(effect: float) -> str:
    """A contribution in log-odds as what it does to the odds: half or twice as much."""
    return f"×{math.exp(effect):.2f}"


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers, equally far apart, that hold ``low`` and ``high``: at most ``most`` steps."""
    spread = (high - low) or abs(high) or 1.0
    size = 10.0 ** math.floor(math.log10(spread / most))
    for step in (factor * size * ten for ten in (1.0, 10.0) for factor in _STEPS):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first <= most:
            return [at * step for at in range(first, last + 1)]
    return [low, high]


def joined(parts: Sequence[str]) -> str:
    """A list of words, as in "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""
