"""The dated price table ``prices.toml``: USD, by a dotted name."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from propensity.errors import SettingsInvalid

TABLE = Path(__file__).with_name("prices.toml")


class NotPriced(Exception):
    """A resource of a known type whose size or class is not in the table."""


@dataclass(frozen=True)
class Prices:
    """What one unit costs.

    Attributes
    ----------
    as_of : date
        When the table was last compared with the public price list.
    region : str
        The region whose prices these are.
    free : frozenset of str
        Resource types that cost nothing.
    """

    as_of: date
    region: str
    free: frozenset[str]
    hours_per_month: float
    table: dict[str, Any]

    def usd(self, *name: str) -> float:
        """The number under a section and a name. Raises NotPriced where the table has none."""
        found: Any = self.table
        for part in name:
            found = found.get(part) if isinstance(found, dict) else None
        if not isinstance(found, int | float):
            raise NotPriced(".".join(name))
        return float(found)


def read_prices(region: str, path: Path = TABLE) -> Prices:
    """The prices of a region. Raises SettingsInvalid where it has none, or where the table is damaged or a price negative."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        base, regions = table.pop("region"), table.pop("regions")
        prices = Prices(
            as_of=date.fromisoformat(table.pop("as_of")),
            region=region,
            free=frozenset(table.pop("types")["free"]),
            hours_per_month=float(table.pop("hours_per_month")),
            table=_overlaid(table, regions.get(region, {})),
        )
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as exc:
        raise SettingsInvalid(f"the price table {path.name} cannot be used: {exc}") from exc
    if region not in (base, *regions):
        raise SettingsInvalid(f"the price table has no region {region!r}: it has {', '.join((base, *regions))}; add yours to {path.name}")
    if not all(_sound(value) for value in prices.table.values()):
        raise SettingsInvalid(f"the price table {path.name} holds something else than numbers of at least 0")
    return prices


def _overlaid(table: dict[str, Any], region: dict[str, Any]) -> dict[str, Any]:
    """The table with the region's own prices in place of its. Raises KeyError for a price that the table does not know."""
    changed = dict(table)
    for name, value in region.items():
        changed[name] = _overlaid(table[name], value) if isinstance(value, dict) else value
        if name not in table:
            raise KeyError(name)
    return changed


def _sound(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_sound(inner) for inner in value.values())
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
