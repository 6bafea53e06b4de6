"""Whether a challenger may replace the live model: the campaign's gates, applied to figures measured on the same rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from propensity.campaign import Campaign, Gate
from propensity.errors import Malformed, NoLiveModel, NotFound, NothingToDecide
from propensity.ports import Promotion

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
ALIASES = (CHAMPION, PREVIOUS, CHALLENGER)
VERSION_LENGTH = 12
_HEX = re.compile(r"[0-9a-f]{12}|[0-9a-f]{64}")
_SHOWN = 10


@dataclass(frozen=True)
class GateResult:
    """One gate's verdict and the sentence that says why."""

    metric: str
    passed: bool
    reason: str
    relative: bool = False


@dataclass(frozen=True)
class Judgement:
    """Whether every gate passed."""

    promote: bool
    gates: tuple[GateResult, ...]

    @property
    def failed_absolute(self) -> list[str]:
        """Metrics that broke a bound of their own, whatever is live."""
        return [gate.metric for gate in self.gates if not gate.passed and not gate.relative]

    @property
    def reasons(self) -> list[str]:
        return [("passed: " if gate.passed else "failed: ") + gate.reason for gate in self.gates]


def judge(campaign: Campaign, challenger: Mapping[str, float], champion: Mapping[str, float] | None) -> Judgement:
    """Apply every gate. ``champion`` holds the live model's figures on the same rows; None where nothing is live."""
    results = tuple(result for gate in campaign.gates for result in _apply(gate, challenger, champion))
    return Judgement(all(result.passed for result in results), results)


def _apply(gate: Gate, challenger: Mapping[str, float], champion: Mapping[str, float] | None) -> list[GateResult]:
    name = gate.metric
    if name not in challenger:
        return [GateResult(name, False, f"{name} was not measured")]
    value, results = challenger[name], []
    # Written so that NaN, a figure that could not be computed, never passes.
    if gate.at_least is not None:
        results.append(GateResult(name, bool(value >= gate.at_least), f"{name} {value:.4f}, at least {gate.at_least:g} needed"))
    if gate.at_most is not None:
        results.append(GateResult(name, bool(value <= gate.at_most), f"{name} {value:.4f}, at most {gate.at_most:g} allowed"))
    if gate.versus_champion is not None:
        if champion is None:
            results.append(GateResult(name, True, f"{name} {value:.4f}, no live model to compare with", True))
        else:
            live = champion.get(name, float("nan"))
            text = f"{name} {value:.4f} against {live:.4f} of the live model, a difference of at least {gate.versus_champion:g} needed"
            results.append(GateResult(name, bool(value - live >= gate.versus_champion), text, True))
    return results


def live_in(history: Sequence[Promotion]) -> Promotion | None:
    """The row of a history, oldest first, by which the live model is live; None where none was promoted."""
    return next((row for row in reversed(history) if row.action in ("promote", "rollback")), None)


def is_recalibration(row: Promotion) -> bool:
    """Whether a promotion gave the live model another level and nothing else: the same model, as far as decisions go."""
    return row.action == "promote" and row.replaces is not None and row.evidence.get("recalibrates") == row.replaces


def line_of(history: Sequence[Promotion]) -> list[Promotion]:
    """The rows of the live model, newest first: its recalibrations, and last the decision by which it went live. Empty: none is live."""
    found: list[Promotion] = []
    for row in reversed(history):
        if row.action in ("promote", "rollback"):
            found.append(row)
            if not is_recalibration(row):
                break
    return found


def previous(history: Sequence[Promotion], campaign: str) -> Promotion:
    """The promotion to which a rollback returns, in a campaign's history: the model that was live before the present one.

    A rollback undoes a promotion, so that a second rollback goes one further back instead of to and fro.
    Raises NoLiveModel where nothing is live, NothingToDecide where the present model is the first.
    """
    standing: list[Promotion] = []
    for row in history:
        # The live model promoted once more, or recalibrated, is no step that could be taken back.
        if standing and is_recalibration(row):
            standing[-1] = row
        elif row.action == "promote" and not (standing and standing[-1].model_digest == row.model_digest):
            standing.append(row)
        elif row.action == "rollback" and len(standing) > 1:
            standing.pop()
    if not standing:
        raise NoLiveModel(f"campaign {campaign!r} has no live model to roll back from")
    if len(standing) == 1:
        raise NothingToDecide(
            f"campaign {campaign!r}: the live model {standing[0].model_version} is the first; there is none to go back to"
        )
    return standing[-2]


def parse_choice(wanted: object) -> str:
    """Which model a request asks for: an alias, a version or a digest; None is the champion. Raises Malformed with what is allowed."""
    if wanted is None:
        return CHAMPION
    if not isinstance(wanted, str) or not (wanted in ALIASES or _HEX.fullmatch(wanted)):
        hexadecimal = f"a model's version ({VERSION_LENGTH} hexadecimal digits, lower case) or its digest (64 of them)"
        raise Malformed(f"model must be {', '.join(ALIASES)}, {hexadecimal}")
    return wanted


def aliases(history: Sequence[Promotion], live_digest: str | None) -> dict[str, Promotion]:
    """The decision that each alias stands for, where there is one.

    ``champion`` is the model of ``live_digest``; ``previous`` the one that it replaced; ``challenger`` that of the newest decision,
    for or against, on another model than the live one. Recalibrations of the live model are that model.
    """
    found: dict[str, Promotion] = {}
    standing = [row for row in history if row.action != "refuse"]
    while standing and standing[-1].model_digest != live_digest:
        standing.pop()
    if standing:
        found[CHAMPION] = standing[-1]
    line = {live_digest, *(row.model_digest for row in line_of(standing))}
    before = [row for row in standing if row.model_digest not in line]
    if before:
        found[PREVIOUS] = before[-1]
    others = [row for row in history if row.model_digest not in line]
    if others:
        found[CHALLENGER] = others[-1]
    return found


def choose(history: Sequence[Promotion], live_digest: str | None, choice: str) -> Promotion:
    """The newest decision on the model that was chosen (`parse_choice`). Only what stands in the history can be.

    Raises NotFound, which names what can be chosen.
    """
    named = aliases(history, live_digest)
    if choice in named:
        return named[choice]
    for row in reversed(history):
        if choice not in ALIASES and row.model_digest.startswith(choice):
            return row
    versions = list(dict.fromkeys(row.model_digest[:VERSION_LENGTH] for row in reversed(history)))
    more = f" and {len(versions) - _SHOWN:,} older ones" if len(versions) > _SHOWN else ""
    there = ", ".join([*named, *versions[:_SHOWN]]) + more if history else "none"
    what = f"has no {choice} model" if choice in ALIASES else "never decided on a model of that version or digest"
    raise NotFound(f"the campaign {what}; there are: {there}")
