"""Reading many requests at once gives what was logged, to the bit."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from propensity.adapters import monitor_reads
from propensity.adapters.database import Database
from propensity.adapters.monitor_reads import read_rows
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.ports import LoggedRequest, LoggedRows

WIDTH = 4


def entry(campaign: str, n: int, rng: np.random.Generator, width: int = WIDTH) -> LoggedRequest:
    features = rng.normal(size=(n, width)) * 10.0 ** rng.integers(-300, 300, (n, width))
    features[rng.random((n, width)) < 0.2] = np.nan
    return LoggedRequest(
        str(uuid.uuid4()), campaign, "m", "1", {"kind": "profit"}, "d", [f"c{at}" for at in range(n)], np.arange(1, n + 1), features,
        rng.random(n), rng.random(n) < 0.5, n + 2, 2, "http",
    )  # fmt: skip


@pytest.mark.parametrize("page_rows", [7, 20_000])
def test_every_row_comes_back_once_and_to_the_bit(stores: Database, page_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_reads, "_PAGE_ROWS", page_rows)
    campaign, rng, log = uuid.uuid4().hex, np.random.default_rng(1), PostgresPredictionLog(stores)
    sent = [entry(campaign, n, rng) for n in (1, 1, 1, 30, 1, 2, 1, 1)]
    for one in [*sent, entry(campaign, 3, rng, width=5), entry("another", 1, rng)]:
        log.append(one, idempotency_key=None, body_sha256="", reply=b"")
    now = datetime.now(UTC)
    pages = list(read_rows(stores, campaign, now - timedelta(minutes=5), now + timedelta(minutes=5), width=WIDTH))
    assert [request_id for page in pages for request_id in page.request_ids] == [one.request_id for one in sent]
    assert joined(pages, "features").tobytes() == np.concatenate([one.features for one in sent]).tobytes()
    assert joined(pages, "scores").tobytes() == np.concatenate([one.scores for one in sent]).tobytes()
    assert joined(pages, "contact").tolist() == np.concatenate([one.contact for one in sent]).tolist()
    assert joined(pages, "sizes").tolist() == [1, 1, 1, 30, 1, 2, 1, 1]
    assert (sum(p.received for p in pages), sum(p.refused for p in pages), sum(p.unreadable for p in pages)) == (38 + 16 + 5, 18, 3)
    assert (len(pages) > 2) == (page_rows == 7)


def joined(pages: list[LoggedRows], name: str) -> np.ndarray:
    return np.concatenate([getattr(page, name) for page in pages])
