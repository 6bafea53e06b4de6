"""One pass over the predictions of a window: everything that monitoring says of them, added up in memory that does not grow with them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import numpy as np
import numpy.typing as npt

from monitoring.evidently_report import Side
from propensity.campaign import Campaign
from propensity.drift.bins import Counts
from propensity.drift.counted import PREDICTION, Counted, Name, Reference
from propensity.estimate import ScoreSums
from propensity.groups import Grouping, GroupSums
from propensity.ports import LoggedRequest, PredictionLog
from propensity.scoring import table_from_raw

FloatArray = npt.NDArray[np.float64]
# Rows that are held until they are counted.
_HELD_ROWS = 20_000
# Outcomes by request: positions from 1, and whether the outcome was positive.
Labels = Mapping[str, tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]]


class Sample:
    """The rows whose hash is smallest: a uniform sample without replacement that is the same in every run, whatever order rows come in."""

    def __init__(self, size: int, width: int) -> None:
        self._size = size
        self._keys = np.empty(0, dtype=np.uint64)
        self._rows = np.empty((0, width + 1))

    def add(self, keys: npt.NDArray[np.uint64], features: FloatArray, scores: FloatArray) -> None:
        """Consider some rows."""
        if len(self._keys) >= self._size:
            near = keys <= self._keys.max()
            keys, features, scores = keys[near], features[near], scores[near]
        self._keys = np.concatenate([self._keys, keys])
        self._rows = np.concatenate([self._rows, np.column_stack([features, scores])])
        if len(self._keys) > self._size:
            kept = np.sort(np.argpartition(self._keys, self._size)[: self._size])
            self._keys, self._rows = self._keys[kept], self._rows[kept]

    def side(self, campaign: Campaign) -> Side:
        """The sample, in the order of its hashes, without ids."""
        rows = self._rows[np.argsort(self._keys, kind="stable")]
        table = table_from_raw(campaign, rows[:, :-1], ("",) * len(rows), np.arange(1, len(rows) + 1))
        return Side(table, np.ascontiguousarray(rows[:, -1]))


def row_keys(request_id: str, positions: npt.NDArray[np.intp]) -> npt.NDArray[np.uint64]:
    """A number per row that depends on its id alone and is spread evenly (the finish of SplitMix64)."""
    value = np.uint64(UUID(request_id).int & 0xFFFFFFFFFFFFFFFF) ^ (positions.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(value ^ (value >> np.uint64(31)))


@dataclass
class Found:
    """What a pass found.

    Attributes
    ----------
    rows : int
        Predictions that were counted. ``unreadable_rows`` have another number of features than the campaign declares and were not.
    received, refused : int
        Rows that were sent, and those among them that the service refused.
    rows_by_model, rows_by_declaration : mapping of digest to rows
    profit : float
        Expected profit of the decisions taken, in the campaign's currency.
    """

    sample: Sample
    scores: ScoreSums = field(default_factory=ScoreSums)
    groups: list[GroupSums] = field(default_factory=list)
    rows: int = 0
    unreadable_rows: int = 0
    received: int = 0
    refused: int = 0
    rows_by_model: dict[str, int] = field(default_factory=dict)
    rows_by_declaration: dict[str, int] = field(default_factory=dict)
    counts: dict[tuple[int, int], dict[Name, Counts]] = field(default_factory=dict)

    def counted(self, reference: Reference) -> Counted:
        """The window in the bins of the reference."""
        order = sorted(self.counts)
        columns = {
            name: np.stack([self.counts[key][name] for key in order]) if order else np.zeros((0, column.bins.size), dtype=np.int64)
            for name, column in reference.columns.items()
        }
        part, day = (np.array([key[at] for key in order], dtype=np.intp) for at in (0, 1))
        return Counted(columns, part, day - (day.min() if len(day) else 0))


@dataclass
class _Held:
    """Requests of one part and day that wait to be counted together."""

    requests: list[LoggedRequest] = field(default_factory=list)
    rows: int = 0


def read_window(
    campaign: Campaign,
    log: PredictionLog,
    reference: Reference | None,
    since: datetime,
    until: datetime,
    *,
    sample_rows: int,
    groupings: list[Grouping] | None = None,
    labels: Labels | None = None,
) -> Found:
    """Count every prediction received in [since, until). Without a reference, columns are not counted.

    With ``labels`` the groups add up outcomes, too.
    """
    found = Found(Sample(sample_rows, len(campaign.features)), groups=[GroupSums(one) for one in groupings or []])
    for (part, day), requests in _batches(campaign, log, since, until, found):
        _count(campaign, reference, found, part, day, requests, labels)
    return found


def _batches(
    campaign: Campaign, log: PredictionLog, since: datetime, until: datetime, found: Found
) -> Iterator[tuple[tuple[int, int], list[LoggedRequest]]]:
    """Requests of one part of the window and one day, some thousand rows at a time."""
    held: list[LoggedRequest] = []
    rows, at, width = 0, (0, 0), len(campaign.features)
    for request in log.window(campaign.name, since, until):
        n = len(request.scores)
        found.received += request.received
        found.refused += request.refused
        if request.features.shape != (n, width):
            found.unreadable_rows += n
            continue
        key = _when(request.received_at or since, since, until, campaign.watch.parts)
        if held and (key != at or rows >= _HELD_ROWS):
            yield at, held
            held, rows = [], 0
        at = key
        held.append(request)
        rows += n
        for by, digest in ((found.rows_by_model, request.model_digest), (found.rows_by_declaration, request.declaration_digest)):
            by[digest] = by.get(digest, 0) + n
    if held:
        yield at, held


def _when(moment: datetime, since: datetime, until: datetime, parts: int) -> tuple[int, int]:
    share = (moment - since) / (until - since)
    return min(parts - 1, max(0, math.floor(share * parts))), moment.toordinal()


def _count(
    campaign: Campaign,
    reference: Reference | None,
    found: Found,
    part: int,
    day: int,
    requests: list[LoggedRequest],
    labels: Labels | None,
) -> None:
    features = np.concatenate([request.features for request in requests])
    scores = np.concatenate([request.scores for request in requests])
    contact = np.concatenate([request.contact for request in requests])
    found.rows += len(scores)
    found.scores.add(scores, contact)
    if reference is not None:
        keys = np.concatenate([row_keys(request.request_id, np.arange(1, len(request.scores) + 1)) for request in requests])
        found.sample.add(keys, features, scores)
        counts = found.counts.setdefault((part, day), {})
        for name, column in reference.columns.items():
            values = scores if name is PREDICTION else features[:, campaign.feature_names.index(name)]
            one = column.bins.count(values)
            counts[name] = counts[name] + one if name in counts else one
    label = None if labels is None else np.concatenate([_labels(request, labels) for request in requests])
    for group in found.groups:
        group.add(features[:, campaign.feature_names.index(group.grouping.name)], scores, contact, label)


def _labels(request: LoggedRequest, labels: Labels) -> FloatArray:
    """1, 0, or NaN where the outcome is not known, per prediction of a request."""
    out = np.full(len(request.scores), np.nan)
    known = labels.get(request.request_id)
    if known is not None:
        out[known[0] - 1] = known[1]
    return out
