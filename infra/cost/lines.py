"""The lines of an estimate, and what the functions that price a resource are given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from infra.cost.assembly import Resource
from infra.cost.prices import NotPriced, Prices
from infra.cost.usage import Usage


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is paid for.

    Attributes
    ----------
    resource : Resource
        What it is paid for.
    service, what : str
        As people call them.
    quantity, unit, unit_usd : float, str, float
        How many of what in a month, and what one costs.
    """

    resource: Resource
    service: str
    what: str
    quantity: float
    unit: str
    unit_usd: float

    @property
    def usd(self) -> float:
        return self.quantity * self.unit_usd


@dataclass(frozen=True)
class Month:
    """All that is known when a resource is priced."""

    resources: Sequence[Resource]
    prices: Prices
    usage: Usage

    @property
    def hours(self) -> float:
        return self.prices.hours_per_month

    def usd(self, *name: str) -> float:
        """A price. Raises NotPriced."""
        return self.prices.usd(*name)

    @cached_property
    def _counts(self) -> Counter[str]:
        return Counter(resource.kind for resource in self.resources)

    def share(self, kind: str, total: float) -> float:
        """What falls to one resource of a kind when a total is shared evenly."""
        return total / max(1, self._counts[kind])

    def of_kind(self, *kinds: str) -> Iterator[Resource]:
        return (resource for resource in self.resources if resource.kind in kinds)

    def referred(self, value: Any, stack: str) -> Resource | None:
        """The resource that a property points to, in the same stack or through an export of another."""
        name = _referred_name(value)
        if name is None:
            return None
        here = [resource for resource in self.resources if resource.name == name and resource.stack == stack]
        # An export's name ends with the logical id, behind "Ref" or "FnGetAtt", and eight characters of a digest.
        there = [resource for resource in self.resources if f"Ref{resource.name}" in name or f"FnGetAtt{resource.name}" in name]
        return next(iter(here or there), None)


Pricing = Callable[[Resource, Month], Iterator[Line]]


def literal(resource: Resource, *path: str) -> Any:
    """A property that must stand in the template itself, None where it does not. Raises NotPriced where it is a reference."""
    value: Any = resource.properties
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, dict) and any(name == "Ref" or name.startswith("Fn::") for name in value):
        raise NotPriced(f"{path[-1]} is a reference")
    return value


def number(value: Any, *, what: str) -> float:
    """A number, also where the template has it as text. Raises NotPriced."""
    try:
        return float(value)
    except (TypeError, ValueError) as exc:
        raise NotPriced(what) from exc


def _referred_name(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("Ref"), str):
        return str(value["Ref"])
    if "Fn::GetAtt" in value:
        at = value["Fn::GetAtt"]
        return str(at[0] if isinstance(at, list) else at.partition(".")[0])
    if isinstance(value.get("Fn::ImportValue"), str):
        return str(value["Fn::ImportValue"])
    return None
