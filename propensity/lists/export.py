"""The last look before a list leaves the platform: whoever may not be contacted by now is in no result, and each contact is noted.

Every chunk is looked at again with the newest suppressions, and a result appears only if none came while it was written; else it is
written anew. Contacts and late exclusions are noted right before it appears: a list that was killed on the way used nobody up.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from propensity.callsheet import safe_cell
from propensity.contact_policy import EXCLUSIONS, Window
from propensity.decision import band_positions, by_row, expected_profit, rank_limit
from propensity.errors import SuppressionsChanged
from propensity.gate import Codes, Flags, reasons_of
from propensity.gate_ports import GateRecord
from propensity.holdout import ARMS
from propensity.lists.chunks import LazyIds
from propensity.lists.scorer import Outcome, Scorer, eligible, request_id
from propensity.lists.spool import Scored

EXCLUDED_SHEET = ("row", "customer_id", "reason", "found")
BEFORE_SCORING, AT_EXPORT = "before_scoring", "at_export"
# A suppression may come while a result is written; that many in a row are no accident.
TRIES = 5


@dataclass(frozen=True)
class Decided:
    """Those of one chunk who may stand in a result, with everything that was decided.

    Attributes
    ----------
    places : int64 array
        Position of each in the logged request, from 1.
    held_out : bool array or None
        Whom the policy would contact and who is in the control group; None where the campaign declares none.
    request_id : empty where nothing is logged
    window : when customers may be contacted; None where the campaign does not limit it
    """

    scored: Scored
    rank: npt.NDArray[np.int64]
    contact: Flags
    profit: npt.NDArray[np.float64]
    band: npt.NDArray[np.int8]
    request_id: str
    places: npt.NDArray[np.int64]
    held_out: Flags | None = None
    window: Window | None = None

    @property
    def arm(self) -> npt.NDArray[np.int8]:
        """Position of each one's arm in ``("", *ARMS)``."""
        assert self.held_out is not None, "only a campaign with a holdout has arms"
        found: npt.NDArray[np.int8] = self.contact.view(np.int8) + 2 * self.held_out.view(np.int8)
        return found

    def only(self, keep: Flags) -> Decided:
        """Some of the rows."""
        at = np.flatnonzero(keep)
        s, picked = self.scored, pa.array(at)
        reasons = None if s.reasons is None else s.reasons.take(picked)
        scored = Scored(s.ids.take(picked), s.rows[at], s.scores[at], reasons, s.received, s.refused)
        held = None if self.held_out is None else self.held_out[at]
        return replace(
            self, scored=scored, rank=self.rank[at], contact=self.contact[at], profit=self.profit[at], band=self.band[at],
            places=self.places[at], held_out=held,
        )  # fmt: skip


@dataclass
class Export:
    """One try to write the results of a list.

    Attributes
    ----------
    contact, held_out : int
        Customers to contact, and those in the control group.
    excluded : Counter of reason
        Who was left out of the results.
    """

    scorer: Scorer
    outcome: Outcome
    version: int = 0
    contact: int = 0
    held_out: int = 0
    excluded: Counter[str] = field(default_factory=Counter)
    _chosen: list[Flags] = field(default_factory=list)
    _codes: list[Codes | None] = field(default_factory=list)

    def decided(self, told: BinaryIO) -> Iterator[Decided]:
        """The chunks in order, without those who may not be contacted: they are lines of ``told``."""
        if self.scorer.gate is not None:
            self.version = self.scorer.gate.newest().version
        policy, campaign = self.scorer.policy, self.scorer.model.campaign
        ranking = self.scorer.ranking(self.outcome)
        limit = None if by_row(policy) else rank_limit(policy, campaign.economics, self.outcome.eligible, ranking.best_first)
        window = self._window()
        for number in range(self.outcome.chunks):
            scored = self.scorer.spool.get(number)
            ranks = ranking.of_next(eligible(scored))
            chunk = self._chunk(number, scored, ranks, limit, window)
            codes, late = self._look_again(scored)
            self._count(chunk, codes)
            if codes is None:
                yield chunk
                continue
            told.write(_lines(scored, codes, late))
            yield chunk.only(codes == 0)

    def _chunk(self, number: int, scored: Scored, ranks: npt.NDArray[np.int64], limit: int | None, window: Window | None) -> Decided:
        n, economics, log = len(scored.scores), self.scorer.model.campaign.economics, self.scorer.log
        would = self.scorer.chosen(scored, ranks, limit)
        held = self.scorer.gated(scored, would).held_out
        rank = np.zeros(n, dtype=np.int64)
        rank[slice(None) if scored.codes is None else scored.codes == 0] = ranks
        profit = expected_profit(scored.scores, economics)
        name = request_id(log.content, self.scorer.model, number) if log else ""
        contact = would if held is None else would & ~held
        return Decided(
            scored, rank, contact, profit, band_positions(scored.scores, economics), name, np.arange(1, n + 1), held, window
        )  # fmt: skip

    def _look_again(self, scored: Scored) -> tuple[Codes | None, Flags | None]:
        """Why each may not be contacted by now, and of whom that was not known before; None where nobody is excluded."""
        gate = self.scorer.gate
        now = None if gate is None else gate.look(self.scorer.model.campaign, LazyIds(scored.ids)).codes
        if now is None or scored.codes is None:
            return (scored.codes, None) if now is None else (now, now > 0)
        return np.where(scored.codes > 0, scored.codes, now), (scored.codes == 0) & (now > 0)

    def _count(self, chunk: Decided, codes: Codes | None) -> None:
        fine = None if codes is None else codes == 0
        chosen = chunk.contact if fine is None else chunk.contact & fine
        self.contact += int(chosen.sum())
        if chunk.held_out is not None:
            self.held_out += int((chunk.held_out if fine is None else chunk.held_out & fine).sum())
        self._chosen.append(chosen)
        self._codes.append(codes)
        if codes is not None:
            self.excluded.update(EXCLUSIONS[code - 1] for code in codes[codes > 0].tolist())

    def _window(self) -> Window | None:
        policy = self.scorer.model.campaign.contact_policy
        return None if policy is None or policy.hours is None else policy.hours.window(datetime.now(UTC))

    def confirm(self) -> None:
        """Note what leaves, right before it does. Raises SuppressionsChanged where somebody was suppressed since the look."""
        gate, log = self.scorer.gate, self.scorer.log
        if gate is None:
            return
        if not gate.is_newest(self.version):
            raise SuppressionsChanged("a customer was suppressed while the results were written; score the list again")
        if log is None:
            return
        campaign = self.scorer.model.campaign
        for number, (chosen, codes) in enumerate(zip(self._chosen, self._codes, strict=True)):
            keys: Sequence[str] = ()
            if gate.counting and chosen.any():
                scored = self.scorer.spool.get(number)
                looked = self.scorer.looked(scored, None)
                assert looked is not None, "there is a gate"
                keys = looked.chosen_keys(chosen)
            record = GateRecord(**reasons_of(codes), contacts=keys)
            if record.is_kept:
                gate.contacts.export(request_id(log.content, self.scorer.model, number), campaign.name, record)


def _lines(scored: Scored, codes: Codes, late: Flags | None) -> bytes:
    """Lines of the file of those who were left out."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\r\n")
    at = np.flatnonzero(codes)
    names = scored.ids.take(pa.array(at)).to_pylist()
    for place, name in zip(at.tolist(), names, strict=True):
        found = AT_EXPORT if late is not None and late[place] else BEFORE_SCORING
        out.writerow((scored.rows[place], safe_cell(name), EXCLUSIONS[codes[place] - 1], found))
    return text.getvalue().encode()


def sheet_extras(chunk: Decided, order: npt.NDArray[np.int64]) -> list[list[str]]:
    """What a call sheet says besides, where the campaign declares it: the arm, and from when until when to contact."""
    columns: list[list[str]] = []
    if chunk.held_out is not None:
        words = ("", *ARMS)
        columns.append([words[at] for at in chunk.arm[order].tolist()])
    if chunk.window is not None:
        ends = (chunk.window.begins.isoformat(), chunk.window.until.isoformat())
        called = chunk.contact[order].tolist()
        columns += [[end if contact else "" for contact in called] for end in ends]
    return columns


def extra_names(scorer: Scorer) -> list[str]:
    """Names of these columns."""
    campaign = scorer.model.campaign
    limited = campaign.contact_policy is not None and campaign.contact_policy.hours is not None
    return [*(["arm"] if campaign.holdout is not None else []), *(["contact_from", "contact_until"] if limited else [])]
