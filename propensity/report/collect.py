"""One pass over the prediction log and its outcomes, side by side: everything that a report adds up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign
from propensity.ports import LabelledRequest, LoggedRequest
from propensity.report.cells import FeatureCells
from propensity.report.money import cents
from propensity.report.sample import Sample
from propensity.report.sums import Rows, ScoreSums
from propensity.report.tree import Used

Floats = npt.NDArray[np.float64]
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

    def add(self, name: str, predictions: int, contacts: int, profit: float) -> None:
        """Add one request, with the expected profit of its contacts."""
        if name not in self.held and len(self.held) >= _MOST_NAMES:
            name = _OTHERS
        sums = self.held.setdefault(name, [0.0, 0.0, 0.0, 0.0])
        for at, value in enumerate((1, predictions, contacts, profit)):
            sums[at] += value

    def told(self) -> tuple[Used, ...]:
        """The same as figures, those that decided most first."""
        found = (
            Used(
                name=name,
                requests=round(requests),
                predictions=round(predictions),
                contacts=round(contacts),
                expected_profit=cents(profit),
            )
            for name, (requests, predictions, contacts, profit) in self.held.items()
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
    own_money: int = 0
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
        batch: list[tuple[LoggedRequest, Rows]] = []
        rows = 0
        for request, labels in pairs:
            batch.append((request, self._count(request, labels)))
            rows += len(request.scores)
            if rows >= BATCH_ROWS:
                self._add(batch)
                batch, rows = [], 0
        self._add(batch)

    def _count(self, request: LoggedRequest, labels: LabelledRequest | None) -> Rows:
        """Take in what concerns the request as a whole; return its rows, with the labels that are known for good."""
        n, contacts = len(request.scores), int(request.contact.sum())
        self.requests, self.received, self.refused = self.requests + 1, self.received + request.received, self.refused + request.refused
        if request.source != API_SOURCE:
            self._lists.add(request.source)
        value, cost = self._money(request)
        summed = float((request.scores * value - cost)[request.contact].sum())
        self.policies.add(policy_name(request.policy), n, contacts, summed)
        self.models.add(request.model_digest, n, contacts, summed)
        if request.model_digest not in self._known_models:
            self._known_models[request.model_digest] = self.readable(request.model_digest)
        assert request.received_at is not None, "what was logged has a time"
        mature, told = request.received_at < self.mature_until, 0 if labels is None else int(labels.told.sum())
        self.first_at = self.first_at or request.received_at
        known = yes = np.zeros(n, dtype=np.bool_)
        if not mature:
            self.young_told += told
        else:
            self.mature, self.mature_contacts, self.told = self.mature + n, self.mature_contacts + contacts, self.told + told
            if labels is not None:
                known, yes = labels.known, labels.labels
        return Rows(request.scores, request.contact, known, yes, value, cost)

    def _money(self, request: LoggedRequest) -> tuple[Floats, Floats]:
        """What a conversion of each row is worth, and what contacting it costs: its own where the list brought some."""
        economics, n = self.campaign.economics, len(request.scores)
        value, cost = np.full(n, float(economics.conversion_value)), np.full(n, float(economics.contact_cost))
        terms = getattr(request, "terms", None)
        if terms is None:
            return value, cost
        own = ~np.isnan(terms[:, :2])
        self.own_money += int(own.any(axis=1).sum())
        return np.where(own[:, 0], terms[:, 0], value), np.where(own[:, 1], terms[:, 1], cost)

    def _add(self, batch: list[tuple[LoggedRequest, Rows]]) -> None:
        if not batch:
            return
        parts = [rows for _, rows in batch]
        whole = Rows(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Rows)))
        figures = whole.figures()
        self.scores.add(whole.scores, figures)
        features = np.concatenate([self._features(request) for request, _ in batch])
        for cells in self.cells:
            cells.add(features[:, self.campaign.feature_names.index(cells.feature.name)], figures)
        by_model: dict[str, list[Floats]] = {}
        for request, _ in batch:
            if self._known_models[request.model_digest]:
                by_model.setdefault(request.model_digest, []).append(request.features)
        for digest, matrices in by_model.items():
            self.samples.setdefault(digest, Sample(len(self.campaign.features))).add(np.concatenate(matrices))

    def _features(self, request: LoggedRequest) -> Floats:
        """The features of a request; infinity throughout where they are not those that the campaign declares today."""
        width = len(self.campaign.features)
        if self._known_models[request.model_digest] and request.features.shape[1] == width:
            return request.features
        return np.full((len(request.scores), width), np.inf)


def policy_name(policy: dict[str, object]) -> str:
    """A logged policy in a few words, as in ``top_share 0.3``."""
    kind, value = policy.get("kind", "?"), policy.get("value")
    return f"{kind} {value:g}" if isinstance(value, int | float) else str(kind)


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
