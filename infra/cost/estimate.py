"""The estimate: every resource of the templates is priced, free, or named as not priced."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from infra.cost import compute, edge, stores
from infra.cost.assembly import Resource
from infra.cost.lines import Line, Month, Pricing
from infra.cost.prices import NotPriced, Prices
from infra.cost.usage import Usage, as_dict

PRICING: dict[str, Pricing] = {**compute.PRICING, **stores.PRICING, **edge.PRICING}


@dataclass(frozen=True)
class Estimate:
    """What a month costs.

    Attributes
    ----------
    lines : sequence of Line
        Everything that is paid for.
    free : Counter
        Resources by type that cost nothing.
    not_priced : dict
        By type, why its resources are not in the sum.
    """

    month: Month
    lines: Sequence[Line]
    free: Counter[str]
    not_priced: dict[str, list[str]]

    @property
    def usd(self) -> float:
        return sum(line.usd for line in self.lines)

    def services(self, stack: str | None = None) -> dict[str, float]:
        """USD for each service, of one stack or of all, the dearest first."""
        sums: defaultdict[str, float] = defaultdict(float)
        for line in self.lines:
            if stack in (None, line.resource.stack):
                sums[line.service] += line.usd
        return dict(sorted(sums.items(), key=lambda item: -item[1]))

    def stacks(self) -> dict[str, float]:
        """USD for each stack, those that cost nothing included."""
        sums = dict.fromkeys((resource.stack for resource in self.month.resources), 0.0)
        for line in self.lines:
            sums[line.resource.stack] += line.usd
        return sums


def estimate(resources: Sequence[Resource], prices: Prices, usage: Usage) -> Estimate:
    """Price every resource."""
    month = Month(resources, prices, usage)
    lines: list[Line] = []
    free: Counter[str] = Counter()
    not_priced: defaultdict[str, list[str]] = defaultdict(list)
    for resource in resources:
        pricing = PRICING.get(resource.kind)
        if pricing is None:
            if resource.kind in prices.free or resource.kind.startswith("Custom::"):
                free[resource.kind] += 1
            else:
                not_priced[resource.kind].append(f"{resource.name}: the table has no price for this type")
            continue
        try:
            lines += list(pricing(resource, month))
        except NotPriced as exc:
            not_priced[resource.kind].append(f"{resource.name}: {exc}")
    return Estimate(month, lines, free, dict(not_priced))


def report(made: Estimate, *, environment: str, profile: str, limit_usd: float) -> dict[str, Any]:
    """The estimate for machines."""
    prices = made.month.prices
    return {
        "environment": environment,
        "profile": profile,
        "usage": dict(as_dict(made.month.usage)),
        "monthly_usd": round(made.usd, 2),
        "limit_usd": limit_usd,
        "within_limit": made.usd <= limit_usd,
        "stacks": _rounded(made.stacks()),
        "services": _rounded(made.services()),
        "prices_as_of": prices.as_of.isoformat(),
        "prices_region": prices.region,
        "free": dict(sorted(made.free.items())),
        "not_priced": made.not_priced,
        "lines": [
            {
                "stack": line.resource.stack,
                "resource": line.resource.name,
                "type": line.resource.kind,
                "service": line.service,
                "what": line.what,
                "quantity": round(line.quantity, 4),
                "unit": line.unit,
                "unit_usd": line.unit_usd,
                "usd": round(line.usd, 4),
            }
            for line in made.lines
        ],
    }


def _rounded(sums: dict[str, float]) -> dict[str, float]:
    return {name: round(usd, 2) for name, usd in sums.items()}
