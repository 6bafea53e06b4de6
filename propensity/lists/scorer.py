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
from propensity.errors import StoreError
from propensity.explain import reasons
from propensity.lists.chunks import Chunk, ListFile, Piece, with_ids
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


@dataclass
class Scorer:
    """Scores one list with one model.

    Attributes
    ----------
    log : LogTo or None
        None: nothing is logged.
    top_reasons : int
        Reasons per customer; 0 saves most of the time.
    """

    source: ListFile
    model: Model
    policy: Policy
    spool: Kept
    log: LogTo | None = None
    top_reasons: int = 3
    watch: Watch | None = None
    workers: int = WORKERS

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
        """Ranks within the whole list, to be asked for chunk by chunk."""
        return Ranking((self.spool.get(number).scores for number in range(outcome.chunks)), outcome.scored)

    def _score(self, chunk: Chunk) -> int:
        piece = None
        if self.spool.has(chunk.number):
            scored = self.spool.get(chunk.number)
        else:
            piece = chunk.check()
            scored = self._answers(piece)
            self.spool.keep(chunk.number, scored, piece.issues)
        if self.log is not None and by_row(self.policy) and not self.spool.logged(chunk.number):
            economics = self.model.campaign.economics
            profit = expected_profit(scored.scores, economics)
            self._log(chunk, piece, scored, contacts(scored.scores, profit, None, None, self.policy))
        return scored.received

    def _answers(self, piece: Piece) -> Scored:
        table = piece.table(self.model.campaign)
        scores = self.model.score(table)
        why = None
        if self.top_reasons:
            found = reasons(self.model, table, self.top_reasons)
            why = pa.array(["; ".join(reason.text for reason in row) for row in found], pa.string())
        assert piece.ids is not None, "every row has an id by now"
        return Scored(piece.ids, piece.rows, scores, why, piece.received, piece.refused)

    def _decided(self, outcome: Outcome) -> dict[int, npt.NDArray[np.bool_]]:
        """For each chunk whom to contact, one bit of a byte each, by the ranks of the whole list."""
        ranking, economics = self.ranking(outcome), self.model.campaign.economics
        limit = rank_limit(self.policy, economics, outcome.scored, ranking.best_first)
        found = {}
        for number in range(outcome.chunks):
            scores = self.spool.get(number).scores
            profit = expected_profit(scores, economics)
            found[number] = contacts(scores, profit, ranking.of_next(scores), limit, self.policy)
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
            contact=chosen,
            received=scored.received,
            refused=scored.refused,
            source=self.log.source,
            caller=self.log.caller,
        )
        _append(self.log, entry)
        self.spool.mark_logged(chunk.number)

    def _count(self) -> Outcome:
        chunks = received = scored = refused = 0
        while self.spool.has(chunks):
            kept = self.spool.get(chunks)
            chunks, received = chunks + 1, received + kept.received
            scored, refused = scored + len(kept.scores), refused + kept.refused
        return Outcome(chunks, received, scored, refused)

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
