"""The figures of a report about customers who were left alone: by the contact policy, or by lot."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, kw_only=True)
class Exclusion:
    """How many were left out for one reason."""

    code: str
    says: str
    customers: int


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Customers who were scored and must not be contacted, whatever their score says.

    Attributes
    ----------
    excluded : tuple of Exclusion
        When they were decided on.
    at_export : tuple of Exclusion
        Later, when the call sheet was written: these were to be contacted before.
    held_out : int
        Those whom the policy would contact, and who are left alone by lot.
    """

    excluded: tuple[Exclusion, ...]
    at_export: tuple[Exclusion, ...]
    held_out: int

    @property
    def customers(self) -> int:
        """How many were not to be contacted from the beginning."""
        return sum(one.customers for one in self.excluded) + self.held_out


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """What contacting brought that would not have come by itself, measured against customers who were left alone by lot.

    Attributes
    ----------
    contacted, held_out : int
        Customers of each arm with a known outcome.
    lift, low, high : float
        Difference of the two rates and its interval.
    conversions, profit : (value, low, high)
        Brought by the contacts.
    suspicious : bool
        The control group is larger or smaller than lots of the declared share would make it.
    problem : str
        Why nothing is measured yet; empty where it is, and all the rest counts.
    """

    share: float
    level: float
    contacted: int
    contacted_conversions: int
    held_out: int
    held_out_conversions: int
    lift: float | None
    low: float | None
    high: float | None
    conversions: tuple[float, float, float] | None
    profit: tuple[Decimal, Decimal, Decimal] | None
    suspicious: bool = False
    problem: str = ""
