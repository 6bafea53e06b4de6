"""What the contact gate and the holdout measured, as a report tells it: from the measured lift as the service replies it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from propensity.report.exclusions import left_out
from propensity.report.left_alone import Holdout, LeftOut


class Randomised(Protocol):
    """A request with who of it is left alone by lot, one element per prediction."""

    @property
    def held_out(self) -> npt.NDArray[np.bool_]: ...


def left_out_of(measured: Mapping[str, Any], requests: Iterable[Randomised]) -> LeftOut:
    """From ``excluded`` (counts by reason at ``answer`` and ``export``), and the requests of the same window."""
    excluded = measured["excluded"]
    return left_out(excluded["answer"], excluded["export"], sum(int(request.held_out.sum()) for request in requests))


def holdout_of(measured: Mapping[str, Any]) -> Holdout | None:
    """From ``holdout``, ``arms``, ``difference``, ``incremental``, ``share`` and ``not_yet_mature``; None where none is declared."""
    declared = measured["holdout"]
    if declared is None:
        return None
    contact, held, difference = measured["arms"]["contact"], measured["arms"]["holdout"], measured["difference"]
    brought = measured["incremental"]
    return Holdout(
        share=declared["share"],
        level=difference["confidence"],
        contacted=contact["known"],
        contacted_conversions=contact["conversions"],
        held_out=held["known"],
        held_out_conversions=held["conversions"],
        lift=difference["estimate"],
        low=difference["low"],
        high=difference["high"],
        conversions=None if brought["conversions"] is None else _three(brought["conversions"], float),
        profit=None if brought["money"] is None else _three(brought["money"], Decimal),
        suspicious=bool(measured["share"]["suspicious"]),
        problem=_problem(contact, held, measured["not_yet_mature"]),
    )


def _three(values: Mapping[str, Any], kind: type[Any]) -> Any:
    return tuple(kind(values[name]) for name in ("estimate", "low", "high"))


def _problem(contact: Mapping[str, Any], held: Mapping[str, Any], young: int) -> str:
    if contact["known"] and held["known"]:
        return ""
    drawn = contact["customers"] + held["customers"]
    if not drawn and not young:
        return "nobody was drawn into one of the two groups yet"
    if not drawn:
        return f"{young:,} customers were drawn, and what became of them counts once their label windows are over"
    group = "those left alone" if contact["known"] else "those contacted" if held["known"] else f"the {drawn:,} customers drawn"
    return f"of {group} no outcome is known"
