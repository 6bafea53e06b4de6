"""Money of a report: decimal, in the campaign's currency, to hundredths."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

_CENT = Decimal("0.01")


def cents(amount: float) -> Decimal:
    """A sum of amounts to hundredths."""
    # Not "-0.00".
    return Decimal(float(amount)).quantize(_CENT, rounding=ROUND_HALF_EVEN) + 0
