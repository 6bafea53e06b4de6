"""How a campaign lets challengers try and win: declared once, checked when the campaign is made."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

Approval = Literal["automatic", "human"]
Proof = Literal["gates", "shadow"]
Measured = Literal["log_loss", "brier", "roc_auc", "profit_per_1000"]
LeftLabels = Literal["none", "random"]
# Of these, labels of the contacted alone tell too little: who was chosen was chosen by the champion's own ranking.
NEEDS_LEFT = ("roc_auc", "profit_per_1000")
_MODEL = re.compile(r"[0-9a-f]{12}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackBound:
    """When a new champion is taken back without being asked.

    The model before it goes on scoring in shadow. It comes back once it was better on mature outcomes by ``worse_by`` (log loss, or
    profit per 1,000 in the campaign's currency), the whole interval above zero, at ``confirmations`` looks of different days in a row.
    """

    measure: Literal["log_loss", "profit_per_1000"] = "log_loss"
    worse_by: float = 0.01
    confirmations: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """The rules between champion and challenger.

    Attributes
    ----------
    approval : str
        ``automatic``: what has won goes live. ``human``: it waits until somebody approves or rejects it.
    proof : str
        ``gates``: a model that passes its gates goes live, and the one before it is kept in shadow. ``shadow``: it must first be
        better on live requests with mature outcomes; the first model of a campaign needs its gates alone.
    challengers : int
        How many models, those decided on last, score in shadow besides the champion before.
    shadow : tuple of str
        More of them, by version or digest.
    judged_by : str
        The figure that gives the verdict.
    smallest_difference : float
        Two models that differ by less are equal, in the unit of ``judged_by``.
    min_rows : int
        Mature outcomes without which there is no verdict.
    confidence : float
        Of the intervals; it holds over all daily looks together.
    left_labels : str
        Outcomes of customers whom the policy left: ``none`` are used, or they are known of a ``random`` part of them (an exploration
        share, or all). With these, figures are weighted to speak of everybody.
    rollback : RollbackBound or None
        None: only people take a model back.
    """

    approval: Approval = "automatic"
    proof: Proof = "gates"
    challengers: int = 1
    shadow: tuple[str, ...] = ()
    judged_by: Measured = "log_loss"
    smallest_difference: float = 0.002
    min_rows: int = 500
    confidence: float = 0.95
    left_labels: LeftLabels = "none"
    rollback: RollbackBound | None = RollbackBound()


def challenge_problems(c: Challenge) -> Iterator[str]:
    """Sentences, each about one contradiction."""
    for name, kinds in (("approval", Approval), ("proof", Proof), ("judged_by", Measured), ("left_labels", LeftLabels)):
        if getattr(c, name) not in get_args(kinds):
            yield f"challenge.{name} is one of {', '.join(get_args(kinds))}"
    if not 0 <= c.challengers <= 10:
        yield "challenge.challengers must be 0 to 10: each of them scores every request once more"
    if not all(_MODEL.fullmatch(model) for model in c.shadow):
        yield "challenge.shadow names models by version (12 hexadecimal digits) or digest (64)"
    if c.judged_by in NEEDS_LEFT and c.left_labels == "none":
        yield f"challenge.judged_by {c.judged_by!r} needs outcomes of customers whom the policy left: declare left_labels='random'"
    if not (c.smallest_difference > 0 and math.isfinite(c.smallest_difference)):
        yield "challenge.smallest_difference must be above 0"
    if c.min_rows < 30:
        yield "challenge.min_rows must be at least 30"
    if not 0.5 <= c.confidence < 1:
        yield "challenge.confidence must be at least 0.5 and below 1"
    if c.rollback is not None:
        yield from _rollback_problems(c.rollback)


def _rollback_problems(bound: RollbackBound) -> Iterator[str]:
    if bound.measure not in ("log_loss", "profit_per_1000"):
        yield "challenge.rollback.measure is log_loss or profit_per_1000"
    if not (bound.worse_by > 0 and math.isfinite(bound.worse_by)):
        yield "challenge.rollback.worse_by must be above 0"
    if bound.confirmations < 1:
        yield "challenge.rollback.confirmations must be at least 1"
