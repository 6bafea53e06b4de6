"""Challengers score the logged requests a second time, beside the champion and off every caller's way.

A follower reads the log in the order of time and skips what its model has scored. It never asks where it stopped: what is missing is what
has no row. So it can be killed anywhere, run twice at once, or be away for a week; each request gets one row per model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign
from propensity.decisions import Shadowed
from propensity.errors import ModelError, NotFound
from propensity.model import Manifest, Model, categories_of
from propensity.outcome_rules import OutcomeRules
from propensity.scoring import table_from_raw

FloatArray = npt.NDArray[np.float64]
# A request is in the log at the latest so long after its time stamp: what was missed is looked for so far back.
OVERLAP = timedelta(minutes=10)
OTHER_FEATURES = "logged with other features or categories than the model's"
NO_PACKAGE = "the package of the model it was logged with cannot be read, so that its categories are not known"
_KNOWN_MANIFESTS = 32


@dataclass(frozen=True)
class ShadowRequest:
    """A logged request that a model has not scored: raw features, shape (n, features), and the model that did."""

    request_id: str
    received_at: datetime
    model_digest: str
    features: FloatArray


@dataclass(frozen=True)
class ShadowScores:
    """What a model says of a logged request: a score per prediction, or why it cannot."""

    request_id: str
    received_at: datetime
    scores: FloatArray | None
    skipped: str | None = None


@dataclass(frozen=True)
class PairedRequest:
    """One logged request as two models scored it.

    Attributes
    ----------
    champion, challenger : float64 arrays, shape (n,), or None
        None where that model did not score it, neither live nor in shadow.
    contact : bool array, shape (n,)
        What was decided when it was logged, by ``model_digest``.
    positions : int array, shape (m,)
        Predictions with an outcome, from 0.
    labels : bool array, shape (m,)
    """

    policy: Mapping[str, object]
    model_digest: str
    champion: FloatArray | None
    challenger: FloatArray | None
    contact: npt.NDArray[np.bool_]
    positions: npt.NDArray[np.int64]
    labels: npt.NDArray[np.bool_]


class ShadowStore(Protocol):
    """Append-only record of what challengers would have said."""

    def now(self) -> datetime:
        """The time by the clock that stamps the log."""

    def newest(self, campaign: str, model_digest: str) -> datetime | None:
        """Time stamp of the last request that the model scored; None where it scored none."""

    def missing(self, campaign: str, model_digest: str, since: datetime, until: datetime) -> Iterator[Sequence[ShadowRequest]]:
        """Requests received in [since, until) that the model has not scored, oldest first, some thousand predictions at a time."""

    def append(self, campaign: str, model_digest: str, scored: Sequence[ShadowScores]) -> int:
        """Commit some; how many of them were new. Of several rows for one request and model the first stands."""

    def paired(
        self,
        campaign: str,
        champion: str,
        challenger: str,
        since: datetime,
        until: datetime,
        line: Collection[str] = (),
        rules: OutcomeRules | None = None,
    ) -> Iterator[PairedRequest]:
        """Every request received in [since, until), oldest first. What a model of ``line`` answered, the champion answered.

        ``rules`` say what no outcome means; without them nothing is read from an absence.
        """

    def make_partitions(self) -> int:
        """Make room for the months to come where it is missing; how many months that were."""


@dataclass
class Followed:
    """What one pass of a follower did for one model."""

    requests: int = 0
    predictions: int = 0
    skipped: int = 0
    found_done: int = 0
    problem: str | None = None
    _manifests: dict[str, Manifest | None] = field(default_factory=dict, repr=False)

    def as_json(self) -> dict[str, int | str | None]:
        names = ("requests", "predictions", "skipped", "found_done", "problem")
        return {name: getattr(self, name) for name in names}


def follow(
    store: ShadowStore,
    campaign: Campaign,
    model: Model,
    since: datetime,
    until: datetime,
    manifest_of: Callable[[str], Manifest],
    *,
    busy_share: float = 0.5,
    sleep: Callable[[float], None] = time.sleep,
) -> Followed:
    """Score every request in [since, until) that ``model`` has not scored.

    ``busy_share``: part of the time that it works; the rest it leaves database and processor to whoever waits for an answer. Pages are
    committed one by one, oldest first, and one of them is in memory at a time.
    """
    done = Followed()
    began = time.monotonic()
    for page in store.missing(campaign.name, model.digest, since, until):
        scored = [_scored(campaign, model, request, done, manifest_of) for request in page]
        new = store.append(campaign.name, model.digest, scored)
        done.requests += new
        done.found_done += len(scored) - new
        done.predictions += sum(len(s.scores) for s in scored if s.scores is not None)
        done.skipped += sum(s.skipped is not None for s in scored)
        sleep((time.monotonic() - began) * (1 / busy_share - 1))
        began = time.monotonic()
    return done


def catch_up_from(store: ShadowStore, campaign: str, shadowed: Shadowed) -> datetime:
    """Where a pass begins: a little before the last request scored, or where the model's time in shadow began."""
    newest = store.newest(campaign, shadowed.digest)
    return shadowed.since if newest is None else max(shadowed.since, newest - OVERLAP)


def _scored(
    campaign: Campaign, model: Model, request: ShadowRequest, done: Followed, manifest_of: Callable[[str], Manifest]
) -> ShadowScores:
    why = _unfit(campaign, request, done, manifest_of)
    if why is not None:
        return ShadowScores(request.request_id, request.received_at, None, why)
    n = len(request.features)
    table = table_from_raw(campaign, request.features, [""] * n, np.arange(1, n + 1, dtype=np.int64))
    return ShadowScores(request.request_id, request.received_at, model.score(table))


def _unfit(campaign: Campaign, request: ShadowRequest, done: Followed, manifest_of: Callable[[str], Manifest]) -> str | None:
    """Why the logged features cannot be read: categories are logged by position, in the order declared at that time."""
    known = done._manifests
    if request.model_digest not in known:
        while len(known) >= _KNOWN_MANIFESTS:
            known.pop(next(iter(known)))
        try:
            known[request.model_digest] = manifest_of(request.model_digest)
        except (ModelError, NotFound):
            known[request.model_digest] = None
    manifest = known[request.model_digest]
    if manifest is None:
        return NO_PACKAGE
    same = manifest.features == campaign.feature_names and manifest.categories == categories_of(campaign)
    return None if same and request.features.shape[1] == len(campaign.features) else OTHER_FEATURES
