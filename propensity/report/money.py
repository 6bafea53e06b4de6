"""Money of a report: decimal, in the campaign's currency, to hundredths."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from propensity.campaign import Economics

_CENT = Decimal("0.01")


def cents(amount: Decimal) -> Decimal:
    """An amount to hundredths."""
    return amount.quantize(_CENT, rounding=ROUND_HALF_EVEN)


def expected(economics: Economics, scores: float, contacts: int) -> Decimal:
    """What so many contacts are expected to bring whose scores have this sum."""
    return cents(economics.conversion_value * Decimal(scores) - economics.contact_cost * contacts)


def realised(economics: Economics, conversions: int, contacts: int) -> Decimal:
    """What so many contacts brought of whom so many converted."""
    return cents(economics.conversion_value * conversions - economics.contact_cost * contacts)
