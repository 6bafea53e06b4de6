"""One pass over the prediction log and its outcomes, side by side: everything that a report adds up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign, Economics
from propensity.ports import LabelledRequest, LoggedRequest
from propensity.report import sums as s
from propensity.report.cells import FeatureCells
from propensity.report.money import expected
from propensity.report.sample import Sample
from propensity.report.sums import ScoreSums
from propensity.report.tree import Used

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
# Small requests are added up so many predictions at a time.
BATCH_ROWS = 20_000
API_SOURCE = "api"
# So many different policies and models are told apart; what comes later is one line.
_MOST_NAMES = 200
_OTHERS = "others"


@dataclass
class Uses:
    """How often each policy or model decided."""

    held: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, predictions: int, contacts: int, scores: float) -> None:
        """Add one request, with the sum of the scores of its contacts."""
        if name not in self.held and len(self.held) >= _MOST_NAMES:
            name = _OTHERS
        sums = self.held.setdefault(name, [0.0, 0.0, 0.0, 0.0])
        for at, value in enumerate((1, predictions, contacts, scores)):
            sums[at] += value

    def told(self, economics: Economics) -> tuple[Used, ...]:
        """The same as figures, those that decided most first."""
        found = (
            Used(
                name=name,
                requests=round(requests),
                predictions=round(predictions),
                contacts=round(contacts),
                expected_profit=expected(economics, scores, round(contacts)),
            )
            for name, (requests, predictions, contacts, scores) in self.held.items()
        )
        return tuple(sorted(found, key=lambda used: (-used.predictions, used.name)))


@dataclass
class Collected:
    """What the pass leaves.

    Attributes
    ----------
    readable : callable
        Whether rows that a model (by digest) scored have the features that the campaign declares today; asked once per model.
    """

    campaign: Campaign
    mature_until: datetime
    readable: Callable[[str], bool]
    scores: ScoreSums = field(default_factory=ScoreSums)
    cells: list[FeatureCells] = field(init=False)
    policies: Uses = field(default_factory=Uses)
    models: Uses = field(default_factory=Uses)
    samples: dict[str, Sample] = field(default_factory=dict)
    requests: int = 0
    received: int = 0
    refused: int = 0
    mature: int = 0
    mature_contacts: int = 0
    told: int = 0
    young_told: int = 0
    first_at: datetime | None = None
    _lists: set[str] = field(default_factory=set)
    _known_models: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cells = [FeatureCells(self.campaign.feature(name)) for name in self.campaign.watch.grouped]

    @property
    def lists(self) -> int:
        """Different sources but the service itself."""
        return len(self._lists)

    def add(self, pairs: Iterable[tuple[LoggedRequest, LabelledRequest | None]]) -> None:
        """Add requests with what is known of their outcomes, some predictions in memory at a time."""
        batch: list[tuple[LoggedRequest, Bools, Bools]] = []
        rows = 0
        for request, labels in pairs:
            batch.append((request, *self._count(request, labels)))
            rows += len(request.scores)
            if rows >= BATCH_ROWS:
                self._add(batch)
                batch, rows = [], 0
        self._add(batch)

    def _count(self, request: LoggedRequest, labels: LabelledRequest | None) -> tuple[Bools, Bools]:
        """Take in what concerns the request as a whole; return which labels are known for good, and which of all are positive."""
        n, contacts = len(request.scores), int(request.contact.sum())
        self.requests, self.received, self.refused = self.requests + 1, self.received + request.received, self.refused + request.refused
        if request.source != API_SOURCE:
            self._lists.add(request.source)
        summed = float(request.scores[request.contact].sum())
        self.policies.add(policy_name(request.policy), n, contacts, summed)
        self.models.add(request.model_digest, n, contacts, summed)
        if request.model_digest not in self._known_models:
            self._known_models[request.model_digest] = self.readable(request.model_digest)
        assert request.received_at is not None, "what was logged has a time"
        mature, told = request.received_at < self.mature_until, 0 if labels is None else int(labels.told.sum())
        self.first_at = self.first_at or request.received_at
        none = np.zeros(n, dtype=np.bool_)
        if not mature:
            self.young_told += told
            return none, none
        self.mature, self.mature_contacts, self.told = self.mature + n, self.mature_contacts + contacts, self.told + told
        return (none, none) if labels is None else (labels.known, labels.labels)

    def _add(self, batch: list[tuple[LoggedRequest, Bools, Bools]]) -> None:
        if not batch:
            return
        scores, contact, known, yes = (
            np.concatenate(parts)
            for parts in zip(*((request.scores, request.contact, known, yes) for request, known, yes in batch), strict=True)
        )
        rows = s.figures(scores, contact, known, yes)
        self.scores.add(scores, rows)
        features = np.concatenate([self._features(request) for request, _, _ in batch])
        for cells in self.cells:
            cells.add(features[:, self.campaign.feature_names.index(cells.feature.name)], rows)
        by_model: dict[str, list[Floats]] = {}
        for request, _, _ in batch:
            if self._known_models[request.model_digest]:
                by_model.setdefault(request.model_digest, []).append(request.features)
        for digest, parts in by_model.items():
            self.samples.setdefault(digest, Sample(len(self.campaign.features))).add(np.concatenate(parts))

    def _features(self, request: LoggedRequest) -> Floats:
        """The features of a request; infinity throughout where they are not those that the campaign declares today."""
        width = len(self.campaign.features)
        if self._known_models[request.model_digest] and request.features.shape[1] == width:
            return request.features
        return np.full((len(request.scores), width), np.inf)


def policy_name(policy: dict[str, object]) -> str:
    """A logged policy in a few words, as in ``top_share 0.3``."""
    kind, value = policy.get("kind", "?"), policy.get("value")
    return str(kind) if value is None else f"{kind} {value:g}" if isinstance(value, int | float) else f"{kind} {value}"


def side_by_side(
    logged: Iterable[LoggedRequest], labelled: Iterable[LabelledRequest]
) -> Iterator[tuple[LoggedRequest, LabelledRequest | None]]:
    """Each logged request with its outcomes. Both come ordered by time and id; None where a request was committed between the two reads."""
    labels = iter(labelled)
    ahead = next(labels, None)
    for request in logged:
        here = (request.received_at, request.request_id)
        while ahead is not None and (ahead.received_at, ahead.request_id) < here:
            ahead = next(labels, None)
        found = ahead is not None and ahead.request_id == request.request_id
        yield request, ahead if found else None
