"""One pass over the predictions of a window: everything that monitoring says of them, added up in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt

from monitoring.evidently_report import Side
from propensity.campaign import Campaign
from propensity.drift.bins import Counts
from propensity.drift.counted import PREDICTION, Counted, Name, Reference
from propensity.estimate import ScoreSums
from propensity.groups import Grouping, GroupSums
from propensity.ports import LoggedRequest, LoggedRows, PredictionLog
from propensity.scoring import table_from_raw

FloatArray = npt.NDArray[np.float64]
# Rows that are held until they are counted.
_HELD_ROWS = 20_000
_HELD_REQUESTS = 1_000
_DAYS = 1_000_000
# Outcomes by request: positions from 1, and whether the outcome was positive.
Labels = Mapping[str, tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]]


class RowReader(Protocol):
    """Reads predictions received in [since, until), oldest first, some thousand rows at a time."""

    def __call__(self, campaign: str, since: datetime, until: datetime, *, width: int) -> Iterator[LoggedRows]: ...


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


def row_keys(request_ids: Sequence[str], sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """A number per row that depends on its id alone and is spread evenly (the finish of SplitMix64)."""
    base = np.array([int(one[19:23] + one[24:], 16) for one in request_ids], dtype=np.uint64)
    value = np.repeat(base, sizes) ^ (positions(sizes).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(value ^ (value >> np.uint64(31)))


def positions(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The position of each prediction in its request, from 1."""
    return np.arange(1, int(sizes.sum()) + 1) - np.repeat(np.cumsum(sizes) - sizes, sizes)


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
    counts : mapping of (part, day) to rows per column and fine bin
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


def log_rows(log: PredictionLog, campaign: str, since: datetime, until: datetime, *, width: int) -> Iterator[LoggedRows]:
    """The same from any log, a request at a time joined to some thousand rows: `RowReader`."""
    held: list[LoggedRequest] = []
    for request in log.window(campaign, since, until):
        held.append(request)
        if sum(len(one.scores) for one in held) >= _HELD_ROWS or len(held) >= _HELD_REQUESTS:
            yield _joined(held, width)
            held = []
    if held:
        yield _joined(held, width)


def _joined(requests: Sequence[LoggedRequest], width: int) -> LoggedRows:
    readable = [one for one in requests if one.features.shape == (len(one.scores), width)]
    return LoggedRows(
        request_ids=[one.request_id for one in readable],
        received_at=[one.received_at or datetime.now(UTC) for one in readable],
        model_digests=[one.model_digest for one in readable],
        declaration_digests=[one.declaration_digest for one in readable],
        sizes=np.array([len(one.scores) for one in readable], dtype=np.int64),
        features=np.concatenate([np.empty((0, width)), *(one.features for one in readable)]),
        scores=np.concatenate([np.empty(0), *(one.scores for one in readable)]),
        contact=np.concatenate([np.empty(0, dtype=np.bool_), *(one.contact for one in readable)]),
        received=sum(one.received for one in requests),
        refused=sum(one.refused for one in requests),
        unreadable=sum(len(one.scores) for one in requests) - sum(len(one.scores) for one in readable),
    )


def read_window(
    campaign: Campaign,
    rows: RowReader,
    reference: Reference | None,
    since: datetime,
    until: datetime,
    *,
    sample_rows: int,
    groupings: Sequence[Grouping] = (),
    labels: Labels | None = None,
) -> Found:
    """Count every prediction received in [since, until). Without a reference, columns are not counted.

    With ``labels`` the groups add up outcomes, too.
    """
    width = len(campaign.features)
    found = Found(Sample(sample_rows, width), groups=[GroupSums(one) for one in groupings])
    for page in rows(campaign.name, since, until, width=width):
        found.received += page.received
        found.refused += page.refused
        found.unreadable_rows += page.unreadable
        if len(page.scores):
            _add(campaign, reference, found, page, _when(page, since, until, campaign.watch.parts), labels)
    return found


def _when(page: LoggedRows, since: datetime, until: datetime, parts: int) -> npt.NDArray[np.int64]:
    """Part of the window and day of each request, as one number: days do not count beyond a million."""
    seconds = np.array([moment.timestamp() for moment in page.received_at])
    share = (seconds - since.timestamp()) / (until - since).total_seconds()
    part = np.clip(np.floor(share * parts), 0, parts - 1).astype(np.int64)
    return part * _DAYS + (seconds // 86_400).astype(np.int64)


def _add(
    campaign: Campaign, reference: Reference | None, found: Found, page: LoggedRows, when: npt.NDArray[np.int64], labels: Labels | None
) -> None:
    found.rows += len(page.scores)
    found.scores.add(page.scores, page.contact)
    for by, digests in ((found.rows_by_model, page.model_digests), (found.rows_by_declaration, page.declaration_digests)):
        for digest, n in zip(digests, page.sizes.tolist(), strict=True):
            by[digest] = by.get(digest, 0) + n
    if reference is not None:
        found.sample.add(row_keys(page.request_ids, page.sizes), page.features, page.scores)
        of_row = np.repeat(when, page.sizes)
        for key in np.unique(when).tolist():
            _count(campaign, reference, found, divmod(key, _DAYS), page, of_row == key)
    label = None if labels is None else _labels(page, labels)
    for group in found.groups:
        column = page.features[:, campaign.feature_names.index(group.grouping.name)]
        group.add(column, page.scores, page.contact, label)


def _count(
    campaign: Campaign, reference: Reference, found: Found, key: tuple[int, int], page: LoggedRows, held: npt.NDArray[np.bool_]
) -> None:
    """Count the rows of one part and day."""
    features, scores = (page.features, page.scores) if held.all() else (page.features[held], page.scores[held])
    counts = found.counts.setdefault(key, {})
    for name, column in reference.columns.items():
        one = column.bins.count(scores if name is PREDICTION else features[:, campaign.feature_names.index(name)])
        counts[name] = counts[name] + one if name in counts else one


def _labels(page: LoggedRows, labels: Labels) -> FloatArray:
    """1, 0, or NaN where the outcome is not known, per prediction."""
    out, start = np.full(len(page.scores), np.nan), 0
    for request_id, n in zip(page.request_ids, page.sizes.tolist(), strict=True):
        known = labels.get(request_id)
        if known is not None:
            out[start + known[0] - 1] = known[1]
        start += n
    return out
