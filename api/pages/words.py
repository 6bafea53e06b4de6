"""Numbers and times as people read them."""

from __future__ import annotations

import math
from datetime import datetime
from decimal import Decimal
from typing import Any

from propensity.panels.definition import VERDICTS, Bounds, Unit

_BYTES = ("bytes", "KiB", "MiB", "GiB", "TiB")


def told(value: Any, unit: Unit) -> str:
    """A value in words; a dash where there is none."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value.day} {value:%b %Y, %H:%M}"
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _number(float(value), unit) if math.isfinite(value) else str(value)
    return VERDICTS[str(value)][0] if unit is Unit.VERDICT and str(value) in VERDICTS else str(value)


def _number(value: float, unit: Unit) -> str:
    match unit:
        case Unit.SHARE:
            return f"{_digits(100 * value)} %"
        case Unit.SECONDS:
            return f"{_digits(1000 * value)} ms" if abs(value) < 1 else f"{_digits(value)} s"
        case Unit.HOURS:
            return f"{value:,.1f} h"
        case Unit.DAYS:
            return f"{value:,.1f} days"
        case Unit.BYTES:
            return _bytes(value)
        case Unit.MONEY:
            return f"{value:,.2f}".replace("-", "−")
        case Unit.COUNT:
            return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"
        case _:
            return _digits(value)


def money(value: float, currency: str) -> str:
    """An amount with its currency, whole from a thousand on."""
    text = f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:,.2f}"
    return f"{text} {currency}".replace("-", "−")


def share(value: float) -> str:
    """A share of 0 to 1 in per cent."""
    return f"{_digits(100 * value)} %"


def _digits(value: float) -> str:
    """Three digits that count, none of them after a whole hundred."""
    if value == 0:
        return "0"
    after = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(after, 6)}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")


def _bytes(value: float) -> str:
    step = 0
    while abs(value) >= 1024 and step < len(_BYTES) - 1:
        value, step = value / 1024, step + 1
    return f"{_digits(value)} {_BYTES[step]}"


def moment(value: datetime, seconds: float) -> str:
    """A time on an axis, as exact as an axis of so many seconds needs it."""
    if seconds <= 3 * 86_400:
        return f"{value.day} {value:%b, %H:%M}"
    return f"{value.day} {value:%b}" if seconds <= 200 * 86_400 else f"{value:%b %Y}"


def judged(value: Any, bounds: Bounds | None, unit: Unit) -> tuple[str, str]:
    """How a value stands to its bounds (``good``, ``warn``, ``alert``, or nothing), and that in words."""
    if bounds is None or value is None or not math.isfinite(value):
        return "", ""
    level = bounds.level(float(value))
    side = "below" if bounds.low_is_bad else "from"
    if level == "good":
        return level, f"fine; worth a look {side} {told(bounds.warn, unit)}"
    name, bound = ("bad", bounds.alert) if level == "alert" else ("worth a look", bounds.warn)
    return level, f"{name} {side} {told(bound, unit)}"
