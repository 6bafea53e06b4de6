"""What people and flows decide about the live model, each as one row at the end of the ledger.

Every decision reads the history once, decides by that alone, and takes the next place in the sequence. Where somebody else took it
meanwhile the row is refused as a whole (PromotionConflict): whatever was decided was decided about a state that is no more. So of two
promotions, a promotion and a rollback, an approval and a rollback, or two rollbacks at once exactly one is recorded, and the other is told.

Steps, which say how a row came about; ``action`` says what it does to the live model::

    refuse    ''         a gate failed
              pending    passed; waits for a person
              trial      passed; scores in shadow until it is proven or overtaken
              rejected   a person said no
    promote   ''         passed its gates
              approved   a person said yes to a pending one
              operator   a person put a known model live
              proven     better in shadow on mature outcomes
    rollback  ''         a person took the live model back
              automatic  the new champion did worse than declared
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from propensity.campaign import Campaign
from propensity.errors import DataError, NoLiveModel, NothingToDecide, PromotionConflict
from propensity.ports import Promotion, PromotionLedger
from propensity.promotion import VERSION_LENGTH, choose, line_of, live_in, previous

PENDING, TRIAL, REJECTED, APPROVED, OPERATOR, PROVEN, AUTOMATIC = (
    "pending",
    "trial",
    "rejected",
    "approved",
    "operator",
    "proven",
    "automatic",
)
STEPS = ("", PENDING, TRIAL, APPROVED, REJECTED, OPERATOR, PROVEN, AUTOMATIC)
REASON_LENGTH = 500
Check = Callable[[str], object]
"""Makes sure that the package of a digest is sound; raises ModelDamaged, NoLiveModel."""


@dataclass(frozen=True, slots=True)
class Shadowed:
    """A model that scores in shadow, from which time on, and why: ``previous``, ``challenger`` or ``declared``."""

    digest: str
    since: datetime
    why: str


@dataclass(frozen=True)
class State:
    """The ledger of one campaign as it was read, once."""

    campaign: str
    history: Sequence[Promotion]

    @staticmethod
    def read(ledger: PromotionLedger, campaign: str) -> State:
        return State(campaign, tuple(ledger.history(campaign)))

    @cached_property
    def live(self) -> Promotion | None:
        return live_in(self.history)

    @property
    def live_digest(self) -> str | None:
        return None if self.live is None else self.live.model_digest

    @cached_property
    def line(self) -> frozenset[str]:
        """Digests of the live model: its own and those before its recalibrations."""
        return frozenset(row.model_digest for row in line_of(self.history))

    @property
    def begun(self) -> Promotion | None:
        """The decision by which the live model went live, before any recalibration; None where none is live."""
        line = line_of(self.history)
        return line[-1] if line else None

    def fits(self, row: Promotion) -> bool:
        """Whether a model was judged against the one that is live."""
        return row.replaces == self.live_digest or row.replaces in self.line

    @property
    def last(self) -> int:
        """The sequence number of the last decision; 0 where there is none."""
        return self.history[-1].sequence if self.history else 0

    def next(self, action: str, step: str, digest: str, reasons: Sequence[str], evidence: dict[str, Any], actor: str) -> Promotion:
        """The row that comes after what was read."""
        return Promotion(
            campaign=self.campaign,
            sequence=self.last + 1,
            action=action,
            model_digest=digest,
            model_version=digest[:VERSION_LENGTH],
            replaces=self.live_digest,
            reasons=list(reasons),
            evidence=evidence,
            actor=actor,
            step=step,
        )

    def last_on(self, digest: str) -> Promotion | None:
        """The newest decision on a model."""
        return next((row for row in reversed(self.history) if row.model_digest == digest), None)

    def waiting(self) -> list[Promotion]:
        """Models that wait for a person, the newest first; those that no longer fit the live model included."""
        rows = {row.model_digest: row for row in self.history}
        return sorted((row for row in rows.values() if row.step == PENDING), key=lambda row: -row.sequence)

    def taken_back(self, digest: str) -> Promotion | None:
        """The rollback by which a model went, where no person has put it live since; such a one never goes live by itself again."""
        for at in range(len(self.history) - 1, -1, -1):
            row = self.history[at]
            if row.model_digest == digest and row.step in (APPROVED, OPERATOR):
                return None
            if row.action == "rollback" and digest in State(self.campaign, self.history[:at]).line:
                return row
        return None


def approve(ledger: PromotionLedger, campaign: str, actor: str, reason: str, *, check: Check, sequence: int | None = None) -> Promotion:
    """Put the model live that waits for approval.

    ``sequence``: which decision waits, where more than one does. Raises NothingToDecide where none does, PromotionConflict where another
    model went live since, and what ``check`` raises.
    """
    state = State.read(ledger, campaign)
    row = _waiting(state, sequence)
    if not state.fits(row):
        raise PromotionConflict(_overtaken(state, row))
    check(row.model_digest)
    evidence = {"approves_sequence": row.sequence, **_kept(row)}
    return ledger.append(state.next("promote", APPROVED, row.model_digest, [_sentence(reason)], evidence, actor))


def reject(ledger: PromotionLedger, campaign: str, actor: str, reason: str, *, sequence: int | None = None) -> Promotion:
    """Say no to the model that waits for approval, fitting or not. Raises NothingToDecide, PromotionConflict."""
    state = State.read(ledger, campaign)
    row = _waiting(state, sequence)
    return ledger.append(state.next("refuse", REJECTED, row.model_digest, [_sentence(reason)], {"rejects_sequence": row.sequence}, actor))


def promote_known(
    ledger: PromotionLedger, campaign: str, wanted: str, actor: str, reason: str, *, check: Check, override: bool = False
) -> Promotion | None:
    """Put a model live that stands in the ledger; None where it is live already.

    Raises NotFound for one that does not, DataError for one that was refused, unless ``override`` is said, PromotionConflict, and what
    ``check`` raises.
    """
    reason = _sentence(reason)
    state = State.read(ledger, campaign)
    row = choose(state.history, state.live_digest, wanted)
    if row.model_digest == state.live_digest:
        return None
    refused = _objection(state, row)
    if refused is not None and not override:
        raise DataError(f"{refused}; to put it live all the same, say override")
    check(row.model_digest)
    evidence = {"decided_by_sequence": row.sequence, **({} if refused is None else {"overrides": refused}), **_kept(row)}
    return ledger.append(state.next("promote", OPERATOR, row.model_digest, [reason], evidence, actor))


def roll_back(
    ledger: PromotionLedger,
    campaign: str,
    actor: str,
    reason: str,
    *,
    check: Check,
    expected: str | None = None,
    evidence: dict[str, Any] | None = None,
    automatic: bool = False,
) -> Promotion:
    """Put the model back that was live before.

    ``expected``: version or digest of the model that is to go; whoever does not know that another went live meanwhile takes nothing back.
    Raises NoLiveModel, NothingToDecide, PromotionConflict, and what ``check`` raises for a damaged package.
    """
    state = State.read(ledger, campaign)
    target, live = previous(state.history, campaign), state.live
    assert live is not None, "what has a model before it is live"
    if expected is not None and not live.model_digest.startswith(expected):
        raise PromotionConflict(
            f"campaign {campaign!r}: the live model is {live.model_version} by now (decision {live.sequence}), "
            f"not {expected[:VERSION_LENGTH]}; nothing was taken back"
        )
    check(target.model_digest)
    told = {"restores_sequence": target.sequence, **(evidence or {})}
    return ledger.append(state.next("rollback", AUTOMATIC if automatic else "", target.model_digest, [_sentence(reason)], told, actor))


def shadowed(campaign: Campaign, history: Sequence[Promotion]) -> list[Shadowed]:
    """Which models score in shadow at present: the champion before, the newest that were judged and are not live, those declared.

    A model joins at the first decision on it: what was logged before, it may have been trained on.
    """
    state = State(campaign.name, history)
    live, begun = state.live, state.begun
    if live is None or begun is None or begun.created_at is None:
        return []
    rules = campaign.challenge
    found: dict[str, Shadowed] = {}

    def add(digest: str, why: str) -> None:
        first = next(row.created_at for row in history if row.model_digest == digest)
        if digest not in state.line and first is not None:
            found.setdefault(digest, Shadowed(digest, first, why))

    before = begun.replaces
    if rules.rollback is not None and begun.action == "promote" and before is not None and before not in state.line:
        found[before] = Shadowed(before, begun.created_at, "previous")
    newest = {row.model_digest: row for row in history if row.model_digest not in state.line}
    waiting = sorted((row for row in newest.values() if row.action == "refuse"), key=lambda row: -row.sequence)
    for row in waiting[: rules.challengers]:
        add(row.model_digest, "challenger")
    for wanted in rules.shadow:
        add(choose(history, live.model_digest, wanted).model_digest, "declared")
    return list(found.values())


def may_win(state: State, digest: str) -> str | None:
    """Why a model cannot go live by what it does in shadow; None where it can."""
    row = state.last_on(digest)
    if state.live is None:
        return "nothing is live to compare with"
    if row is None:
        return "nothing was decided on it"
    taken = state.taken_back(digest)
    if taken is not None:
        return f"it was taken back in decision {taken.sequence}: a person can put it live"
    if row.step == TRIAL or (row.step == PENDING and not state.fits(row)):
        return None
    if row.action == "refuse" and row.step == "" and row.evidence.get("failed_absolute") == []:
        return None
    return f"decision {row.sequence} on it was {row.step or row.action}"


def _waiting(state: State, sequence: int | None) -> Promotion:
    waiting = state.waiting()
    if sequence is not None:
        waiting = [row for row in waiting if row.sequence == sequence]
    if not waiting:
        which = "no model waits" if sequence is None else f"decision {sequence} does not wait"
        raise NothingToDecide(f"campaign {state.campaign!r}: {which} for approval")
    fitting = [row for row in waiting if state.fits(row)]
    if sequence is None and len(fitting) > 1:
        numbers = ", ".join(str(row.sequence) for row in fitting)
        raise NothingToDecide(f"campaign {state.campaign!r}: more than one model waits for approval: name one of the decisions {numbers}")
    return (fitting or waiting)[0]


def _overtaken(state: State, row: Promotion) -> str:
    live = state.live
    judged = "no live model" if row.replaces is None else f"model {row.replaces[:VERSION_LENGTH]}"
    now = "nothing is live" if live is None else f"{live.model_version} is live since decision {live.sequence}"
    return (
        f"campaign {state.campaign!r}: model {row.model_version} was judged against {judged} (decision {row.sequence}), but {now}; "
        "judge it again with propensity promote"
    )


def _objection(state: State, row: Promotion) -> str | None:
    """Why a person must say twice that he wants a model; None where it was found good."""
    taken = state.taken_back(row.model_digest)
    if taken is not None:
        return f"model {row.model_version} was taken back in decision {taken.sequence}"
    if row.action == "refuse" and row.step not in (PENDING, TRIAL):
        return f"model {row.model_version} was {'rejected' if row.step == REJECTED else 'refused'} in decision {row.sequence}"
    if row.step == PENDING and not state.fits(row):
        return _overtaken(state, row)
    return None


def _kept(row: Promotion) -> dict[str, Any]:
    """Of the evidence that was there before, what still says something."""
    return {
        name: row.evidence[name]
        for name in ("challenger", "champion", "champion_digest", "snapshot_id", "comparison")
        if name in row.evidence
    }


def _sentence(reason: str) -> str:
    text = reason.strip()
    if not 0 < len(text) <= REASON_LENGTH or not text.isprintable():
        raise DataError(f"the reason must be 1 to {REASON_LENGTH} printable characters")
    return text


def no_model(campaign: str, digest: str | None) -> NoLiveModel:
    """The error of a flow that finds nothing to decide on."""
    if digest is None:
        return NoLiveModel(f"campaign {campaign!r} has no trained model yet: run train first")
    return NoLiveModel(f"campaign {campaign!r}: the model {digest[:VERSION_LENGTH]} is not registered: run train first")
