"""How features and bands of numbers are called."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from propensity.campaign import Feature


def number(value: float) -> str:
    """A number as people write it: four digits that count."""
    if value == round(value) and abs(value) < 1e15:
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.0f}"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def titled(feature: Feature) -> tuple[str, str]:
    """What a feature is called in a report, and what its description adds after the first comma or semicolon."""
    title, _, note = (feature.description or feature.name).replace(";", ",", 1).partition(",")
    return capital(title), note.strip()


def capital(text: str) -> str:
    """With a capital at the beginning."""
    return text[:1].upper() + text[1:]


def band_labels(cuts: Sequence[float], low: float, high: float, *, whole: bool) -> list[str]:
    """What the bands between some cuts of the values from ``low`` to ``high`` are called; a band begins at its cut."""
    if not len(cuts):
        return ["all values"]
    if not whole:
        told = [number(cut) for cut in cuts]
        return [f"below {told[0]}", *(f"{a} to below {b}" for a, b in pairwise(told)), f"{told[-1]} or more"]
    edges = [int(cut) for cut in cuts]
    between = [str(a) if b - a == 1 else f"{a} to {b - 1}" for a, b in pairwise(edges)]
    first = str(edges[0] - 1) if edges[0] - 1 <= low else f"up to {edges[0] - 1}"
    return [first, *between, str(edges[-1]) if edges[-1] >= high else f"{edges[-1]} or more"]
