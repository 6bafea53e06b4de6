"""Numbers as spreadsheets of half the world write them: ``3,14`` for 3.14, and ``1,234`` or ``1.234`` for either of two numbers.

A cell is rewritten only where it can mean one thing: by its own digits (``3,14``), by the range its column declares (1234 may not be
allowed where 1.234 is), or because other cells of the file show how it writes decimals. Otherwise the row is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from propensity.campaign import Numeric

AMBIGUOUS = ("ambiguous_number", "may be a decimal number or one with a thousands separator; write decimals with a point and no separators")
GROUPED = ("thousands_separator", "must be written without thousands separators")
MIXED = ("ambiguous_number", "has a decimal comma, while other numbers of the file have a decimal point; use the point alone")
_EXPONENT = r"(?:[eE][+-]?\d+)?"
# 1,234 and 1.234: what a thousands separator would look like.
_LIKE_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
_GROUPS = re.compile(r"[+-]?\d{1,3}(?:(?:,\d{3}){2,}|(?:\.\d{3}){2,}|(?:,\d{3})+\.\d*|(?:\.\d{3})+,\d*)")
_COMMA = re.compile(rf"[+-]?(?:\d+,\d*|,\d+){_EXPONENT}")
_POINT = re.compile(rf"[+-]?(?:\d+\.\d*|\.\d+){_EXPONENT}")


@dataclass
class Seen:
    """The cells of a file that hold a comma or a point, by kind, as (column, position)."""

    comma: list[tuple[str, int]] = field(default_factory=list)
    comma_groups: list[tuple[str, int]] = field(default_factory=list)
    point_groups: list[tuple[str, int]] = field(default_factory=list)
    grouped: list[tuple[str, int]] = field(default_factory=list)
    point: bool = False
    commas: bool = False

    def marks(self, *, by_commas: bool) -> tuple[bool, bool]:
        """Whether a comma, and a point, is decimal somewhere in the file that was looked at."""
        comma = bool(self.comma)
        return comma, self.point or (by_commas and not comma)


def settle_decimals(columns: Mapping[str, list[str]], features: Iterable[Numeric], *, by_commas: bool) -> dict[int, tuple[str, str, str]]:
    """Rewrite decimal commas in place; return the cells that have no one meaning, as ``{position: (column, code, message)}``.

    Parameters
    ----------
    by_commas : bool
        The file's cells are separated by commas: no program that writes decimal commas writes such files, so a point is decimal.
    """
    declared = [f for f in features if f.name in columns]
    seen = look(columns, declared, all_points=not by_commas)
    return settle(columns, seen, *seen.marks(by_commas=by_commas))


def settle(columns: Mapping[str, list[str]], seen: Seen, comma: bool, point: bool) -> dict[int, tuple[str, str, str]]:
    """`settle_decimals` for some rows of a file of which it is known whether a comma, and a point, is decimal somewhere in it."""
    faults: dict[int, tuple[str, str, str]] = {}
    for name, at in seen.grouped:
        faults[at] = (name, *GROUPED)
    for name, at in seen.comma:
        if point:
            faults[at] = (name, *MIXED)
        else:
            columns[name][at] = columns[name][at].replace(",", ".")
    for name, at in seen.comma_groups:
        if comma and not point:
            columns[name][at] = columns[name][at].replace(",", ".")
        else:
            faults[at] = (name, *AMBIGUOUS)
    if comma or not point:
        faults |= {at: (name, *AMBIGUOUS) for name, at in seen.point_groups}
    return faults


def look(columns: Mapping[str, list[str]], features: Iterable[Numeric], *, all_points: bool, throughout: bool = False) -> Seen:
    """Sort the cells. Without any comma they are looked at only until it is certain that the point is decimal, or ``throughout``.

    What is sorted by then does not count: a cell of such a file is a number or is none, wherever it stands.
    """
    seen = Seen()
    joined = {f: "\n".join(columns[f.name]) for f in features if f.name in columns}
    seen.commas = commas = any("," in text for text in joined.values())
    for feature, text in joined.items():
        if "." not in text and "," not in text:
            continue
        for at, cell in enumerate(columns[feature.name]):
            if not throughout and not commas and (seen.point or not all_points):
                return Seen(point=seen.point)
            if "." in cell or "," in cell:
                _sort(seen, feature, cell.strip(), (feature.name, at))
    return seen


def _sort(seen: Seen, feature: Numeric, cell: str, place: tuple[str, int]) -> None:
    if _GROUPS.fullmatch(cell):
        seen.grouped.append(place)
    elif _LIKE_GROUPS.fullmatch(cell) and not _is_decimal(feature, cell):
        (seen.comma_groups if "," in cell else seen.point_groups).append(place)
    elif _COMMA.fullmatch(cell):
        seen.comma.append(place)
    elif _POINT.fullmatch(cell):
        seen.point = True


def _is_decimal(feature: Numeric, cell: str) -> bool:
    """Whether a column allows 1.234 but not 1234."""
    small, large = float(cell.replace(",", ".")), float(cell.replace(",", "").replace(".", ""))
    return not feature.integer and feature.low <= small <= feature.high and not feature.low <= large <= feature.high
