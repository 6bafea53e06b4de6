"""A list scored chunk by chunk by a few threads, each chunk kept on disk and committed to the log before the next step knows of it.

Each thread takes a chunk, checks it, scores it with one thread of XGBoost and logs it: both cores are busy whatever the share of each step.
Arrow, NumPy, XGBoost and Postgres do their work without the interpreter's lock. A chunk that is kept already, by a run that was killed,
is not scored again; one that is logged already is not logged again, which the log itself makes sure of by the chunk's request id.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from propensity.campaign import Policy
from propensity.decision import as_json, by_row, contacts, expected_profit, rank_limit
from propensity.errors import SettingsInvalid, StoreError
from propensity.explain import reasons
from propensity.gate import ContactGate, Gated, Looked
from propensity.lists.chunks import Chunk, LazyIds, ListFile, Piece, with_ids
from propensity.lists.ranking import Ranking
from propensity.lists.spool import Kept, Scored
from propensity.model import Model
from propensity.ports import LoggedRequest, PredictionLog
from propensity.retry import DELAYS_S
from propensity.scoring import raw_features

WORKERS = 2
# Names the ids of batch requests: the same list, decided by the same model under the same declaration, has the same request ids.
_NAMESPACE = uuid.UUID("6c5a3d1c-0f0e-5d0e-9d6f-6a0f6f0b7a11")


class Watch(Protocol):
    """Who wants to know how far a list is."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """Called now and then from any thread, with rows done of all rows."""


@dataclass(frozen=True)
class LogTo:
    """The prediction log, and what it is told of a list.

    Attributes
    ----------
    content : str
        What the list is: a name and the digest of its content.
    source : str
        Where it came from.
    caller : str
        Whose predictions these are; empty where no key was involved.
    """

    log: PredictionLog
    content: str
    source: str
    body_sha256: str
    caller: str = ""


def request_id(content: str, model: Model, number: int = 0) -> str:
    """Request id of a chunk. Another policy is another decision, and so another request, even for the same rows and model."""
    part = f"/{number}" if number else ""
    return str(uuid.uuid5(_NAMESPACE, f"{content}/{model.digest}/{model.campaign.digest()}{part}"))


@dataclass(frozen=True)
class Outcome:
    """A list after scoring: counts, and what the results are written from."""

    chunks: int
    received: int
    scored: int
    refused: int
    excluded: int = 0

    @property
    def eligible(self) -> int:
        """Scored rows whose customers may be contacted."""
        return self.scored - self.excluded


def eligible(scored: Scored) -> npt.NDArray[np.float64]:
    """Scores of those of a chunk who may be contacted."""
    return scored.scores if scored.codes is None else scored.scores[scored.codes == 0]


@dataclass
class Scorer:
    """Scores one list with one model.

    Attributes
    ----------
    log : LogTo or None
        None: nothing is logged.
    top_reasons : int
        Reasons per customer; 0 saves most of the time.
    gate : ContactGate or None
        Who may not be contacted; None where nobody is contacted by what is decided here.
    """

    source: ListFile
    model: Model
    policy: Policy
    spool: Kept
    log: LogTo | None = None
    top_reasons: int = 3
    watch: Watch | None = None
    workers: int = WORKERS
    gate: ContactGate | None = None

    def __post_init__(self) -> None:
        declared = self.model.campaign
        if self.gate is None and (declared.contact_policy is not None or declared.holdout is not None):
            raise SettingsInvalid(
                f"campaign {declared.name!r} declares whom to leave alone: its lists are scored with the contact gate alone"
            )

    def run(self) -> Outcome:
        """Score and log what is not scored and logged yet.

        Raises
        ------
        Malformed
            The file changed, or is damaged.
        StoreError
            The log does not answer; the same call goes on where this one was.
        """
        self.score_chunks()
        outcome = self._count()
        if self.log is not None and not by_row(self.policy):
            chosen = self._decided(outcome)
            self._each("logging", lambda chunk: self._log_decided(chunk, chosen))
        return outcome

    def score_chunks(self) -> None:
        """The first half of it: score what is not kept yet, and log it where the policy decides row by row. Raises as `run`."""
        self._each("scoring", self._score)

    def ranking(self, outcome: Outcome) -> Ranking:
        """Ranks within the whole list, of those who may be contacted, to be asked for chunk by chunk."""
        return Ranking((eligible(self.spool.get(number)) for number in range(outcome.chunks)), outcome.eligible)

    def looked(self, scored: Scored, codes: npt.NDArray[np.int8] | None) -> Looked | None:
        """The customers of a chunk as the gate saw them; None where there is no gate."""
        return None if self.gate is None else Looked(self.gate, self.model.campaign, LazyIds(scored.ids), 0, codes)

    def gated(self, scored: Scored, chosen: npt.NDArray[np.bool_]) -> Gated:
        """What the gate did to a chunk of which the policy would contact these; the log does not look again, the export does."""
        looked = self.looked(scored, scored.codes)
        held = None if looked is None else looked.held_out(chosen)
        return Gated(None, scored.codes, held, self.model.campaign.holdout)

    def _score(self, chunk: Chunk) -> int:
        piece = None
        if self.spool.has(chunk.number):
            scored = self.spool.get(chunk.number)
        else:
            piece = chunk.check()
            scored = self._answers(piece)
            self.spool.keep(chunk.number, scored, piece.issues)
        if self.log is not None and by_row(self.policy) and not self.spool.logged(chunk.number):
            self._log(chunk, piece, scored, self.chosen(scored, None, None))
        return scored.received

    def _answers(self, piece: Piece) -> Scored:
        assert piece.ids is not None, "every row has an id by now"
        # Before anybody is scored: where nobody knows who may be contacted, nobody is.
        codes = None if self.gate is None else self.gate.look(self.model.campaign, LazyIds(piece.ids)).codes
        table = piece.table(self.model.campaign)
        scores = self.model.score(table)
        why = None
        if self.top_reasons:
            found = reasons(self.model, table, self.top_reasons)
            why = pa.array(["; ".join(reason.text for reason in row) for row in found], pa.string())
        return Scored(piece.ids, piece.rows, scores, why, piece.received, piece.refused, codes)

    def chosen(self, scored: Scored, ranks: npt.NDArray[np.int64] | None, limit: int | None) -> npt.NDArray[np.bool_]:
        """Whom the policy would contact of a chunk. ``ranks``: of those who may be contacted, where it decides by rank."""
        scores = eligible(scored)
        found = contacts(scores, expected_profit(scores, self.model.campaign.economics), ranks, limit, self.policy)
        if scored.codes is None:
            return found
        spread = np.zeros(len(scored.scores), dtype=np.bool_)
        spread[scored.codes == 0] = found
        return spread

    def _decided(self, outcome: Outcome) -> dict[int, npt.NDArray[np.bool_]]:
        """For each chunk whom to contact, one bit of a byte each, by the ranks of the whole list."""
        ranking, economics = self.ranking(outcome), self.model.campaign.economics
        limit = rank_limit(self.policy, economics, outcome.eligible, ranking.best_first)
        found = {}
        for number in range(outcome.chunks):
            scored = self.spool.get(number)
            found[number] = self.chosen(scored, ranking.of_next(eligible(scored)), limit)
        return found

    def _log_decided(self, chunk: Chunk, chosen: dict[int, npt.NDArray[np.bool_]]) -> int:
        scored = self.spool.get(chunk.number)
        if not self.spool.logged(chunk.number):
            self._log(chunk, None, scored, chosen[chunk.number])
        return scored.received

    def _log(self, chunk: Chunk, piece: Piece | None, scored: Scored, chosen: npt.NDArray[np.bool_]) -> None:
        """Commit a chunk to the log; its request id is its idempotency key, so that it is logged once."""
        assert self.log is not None
        piece = piece or chunk.check()
        gated = self.gated(scored, chosen)
        name = request_id(self.log.content, self.model, chunk.number)
        entry = LoggedRequest(
            request_id=name,
            campaign=self.model.campaign.name,
            model_digest=self.model.digest,
            model_version=self.model.version,
            policy=as_json(self.policy),
            declaration_digest=self.model.campaign.digest(),
            customer_ids=scored.ids.to_pylist(),
            rows=scored.rows,
            features=raw_features(piece.table(self.model.campaign)),
            scores=scored.scores,
            contact=chosen if gated.held_out is None else chosen & ~gated.held_out,
            received=scored.received,
            refused=scored.refused,
            source=self.log.source,
            caller=self.log.caller,
            gate=gated.record(),
        )
        _append(self.log, entry)
        self.spool.mark_logged(chunk.number)

    def _count(self) -> Outcome:
        chunks = received = scored = refused = excluded = 0
        while self.spool.has(chunks):
            kept = self.spool.get(chunks)
            chunks, received = chunks + 1, received + kept.received
            scored, refused = scored + len(kept.scores), refused + kept.refused
            excluded += 0 if kept.codes is None else int((kept.codes > 0).sum())
        return Outcome(chunks, received, scored, refused, excluded)

    def _each(self, step: str, work: Callable[[Chunk], int]) -> None:
        """Do the work for every chunk; the first error ends all of it."""
        chunks, lock, stop = with_ids(self.source, self.model.campaign), threading.Lock(), threading.Event()
        done = 0

        def run() -> None:
            nonlocal done
            try:
                while not stop.is_set():
                    with lock:
                        chunk = next(chunks, None)
                    if chunk is None:
                        return
                    rows = work(chunk)
                    with lock:
                        done += rows
                        if self.watch is not None:
                            self.watch(step, done, self.source.rows)
            except BaseException:
                stop.set()
                raise

        with ThreadPoolExecutor(self.workers, thread_name_prefix="list") as pool:
            futures = [pool.submit(run) for _ in range(self.workers)]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                # An interrupted process ends after the chunks at hand, not after the list.
                stop.set()
                raise


def _append(to: LogTo, entry: LoggedRequest) -> None:
    """Append, again after a pause where the log does not answer: a key makes that harmless."""
    for delay_s in (*DELAYS_S, None):
        try:
            to.log.append(entry, idempotency_key=entry.request_id, body_sha256=to.body_sha256, reply=b"")
        except StoreError:
            if delay_s is None:
                raise
            time.sleep(delay_s)
        else:
            return
