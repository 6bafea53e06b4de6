"""The main job told once, from data to drift: the steps of the demo, each returning what it found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from local.client import Api
from propensity.adapters.platform import Platform
from propensity.campaign import Campaign
from propensity.errors import StoreError
from propensity.metrics import capture, profit, top_rows
from propensity.snapshot import SnapshotData, read_snapshot
from propensity.splitting import Mask
from propensity.training import choose_split

CHUNK = 5_000
CALLED_SHARE = 0.3
SMALLEST_LATER_MONTH = 100


@dataclass
class Clock:
    """Seconds since the beginning, and how long each step took; says each step as it begins."""

    say: Callable[[str], None]
    began: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str, text: str) -> Iterator[None]:
        at = time.monotonic()
        self.say(f"{at - self.began:6.1f} s  {text}")
        yield
        self.seconds[name] = round(time.monotonic() - at, 2)

    def total(self) -> float:
        return round(time.monotonic() - self.began, 2)


@dataclass(frozen=True)
class Posted:
    """A list that was posted: its replies, joined, and what truly happened to these customers."""

    month: str
    predictions: list[dict[str, Any]]
    counts: dict[str, int]
    expected_profit: float
    model_version: str
    ignored: list[dict[str, str]]
    labels: np.ndarray[Any, np.dtype[np.bool_]]
    since: datetime
    until: datetime

    @property
    def scores(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array([p["score"] for p in self.predictions], dtype=np.float64)

    def best(self, n: int) -> list[dict[str, Any]]:
        """The ``n`` best, best first."""
        return sorted(self.predictions, key=lambda p: -p["score"])[:n]


def held_out(at: Platform, declared: Campaign, snapshot_id: str) -> tuple[SnapshotData, Mask]:
    """The snapshot, and the rows that the model did not learn from."""
    data = read_snapshot(at.store, declared, snapshot_id)
    return data, choose_split(declared, data.label, data.months, 0).test


def months_to_post(data: SnapshotData, test: Mask) -> list[tuple[str, Mask]]:
    """The first held-out month and the last one with enough rows; the two halves of the held-out rows where there is no calendar."""
    if data.months is None:
        first = test & (np.cumsum(test) <= test.sum() // 2)
        return [("first half of the held-out rows", first), ("second half of the held-out rows", test & ~first)]
    distinct, counts = np.unique(data.months[test], return_counts=True)
    later = [month for month, n in zip(distinct[1:], counts[1:], strict=True) if n >= SMALLEST_LATER_MONTH] or [distinct[-1]]
    return [(str(month), test & (data.months == month)) for month in (distinct[0], later[-1])]


def post_list(api: Api, data: SnapshotData, month: str, mask: Mask) -> Posted:
    """Post customers without their label, as marketing would, in lists of at most ``CHUNK``."""
    table = data.table.take(mask)
    names = table.campaign.feature_names
    columns = [table.values(name) for name in names]
    rows = [{"id": ids, **dict(zip(names, cells, strict=True))} for ids, cells in zip(table.ids, zip(*columns, strict=True), strict=True)]
    since = datetime.now(UTC)
    replies = [api.call(f"/v1/campaigns/{table.campaign.name}/predictions", chunk) for chunk in _chunks(rows)]
    return Posted(
        month=month,
        predictions=[p for reply in replies for p in reply["predictions"]],
        counts={name: sum(reply["counts"][name] for reply in replies) for name in replies[0]["counts"]},
        expected_profit=sum(float(reply["expected_profit"]["amount"]) for reply in replies),
        model_version=replies[0]["model"]["version"],
        ignored=replies[0]["ignored_columns"],
        labels=data.label[mask],
        since=since,
        until=datetime.now(UTC) + timedelta(milliseconds=1),
    )


def post_outcomes(api: Api, campaign: str, posted: Posted) -> dict[str, int]:
    """Post what happened to each customer; return counts by status."""
    outcomes = [{"prediction_id": p["prediction_id"], "label": bool(y)} for p, y in zip(posted.predictions, posted.labels, strict=True)]
    totals: dict[str, int] = {}
    for chunk in _chunks(outcomes):
        for status, n in api.call(f"/v1/campaigns/{campaign}/outcomes", {"outcomes": chunk})["counts"].items():
            totals[status] = totals.get(status, 0) + n
    return totals


def worth(posted: Posted, declared: Campaign) -> dict[str, Any]:
    """What calling the best share of the list would have brought, against calling as many at random."""
    scores, labels, economics = posted.scores, posted.labels, declared.economics
    best = np.zeros(len(scores), dtype=bool)
    best[top_rows(scores, CALLED_SHARE)] = True
    chosen = np.array([p["decision"] == "contact" for p in posted.predictions])
    calls, sales = int(best.sum()), int(labels.sum())
    by_chance = sales * calls / max(1, len(scores))
    cost, value = float(economics.contact_cost), float(economics.conversion_value)
    return {
        "called_share": CALLED_SHARE,
        "calls": calls,
        "conversions_best": int((best & labels).sum()),
        "conversions_random": round(by_chance, 1),
        "captured_share": round(capture(scores, labels, CALLED_SHARE), 4),
        "profit_best": profit(labels, best, economics),
        "profit_random": round(by_chance * value - calls * cost, 2),
        "calls_policy": int(chosen.sum()),
        "conversions_policy": int((chosen & labels).sum()),
        "profit_policy": profit(labels, chosen, economics),
        "currency": economics.currency,
    }


def wait_live(api: Api, campaign: str, digest: str, *, timeout_s: float = 60.0) -> float:
    """Wait until the running service serves this model; return the seconds it took. Raises StoreError after ``timeout_s``."""
    began = time.monotonic()
    while time.monotonic() - began < timeout_s:
        try:
            live = api.call(f"/v1/campaigns/{campaign}").get("live_model") or {}
        except StoreError:
            live = {}
        if live.get("digest") == digest:
            return round(time.monotonic() - began, 2)
        time.sleep(0.1)
    raise StoreError(f"the scoring service at {api.url} did not pick up model {digest[:12]} within {timeout_s:.0f} s; see its log")


def _chunks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for at in range(0, len(rows), CHUNK):
        yield rows[at : at + CHUNK]
