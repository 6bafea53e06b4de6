from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from propensity.adapters.database import Database
from propensity.adapters.promotions import PostgresPromotionLedger
from propensity.errors import PromotionConflict
from propensity.ports import Promotion


@pytest.fixture
def ledger(stores: Database) -> PostgresPromotionLedger:
    return PostgresPromotionLedger(stores)


@pytest.fixture
def campaign() -> str:
    return f"campaign-{uuid.uuid4().hex}"


def decision(campaign: str, sequence: int, action: str, digest: str) -> Promotion:
    return Promotion(campaign, sequence, action, digest, "1", None, ("because",), {"roc_auc": 0.1 + 0.2}, "tester")


def test_the_live_model_is_the_last_that_was_put_live(ledger: PostgresPromotionLedger, campaign: str) -> None:
    assert ledger.live(campaign) is None
    assert ledger.append(decision(campaign, 1, "refuse", "z")).created_at is not None
    assert ledger.live(campaign) is None
    for sequence, (action, digest, live) in enumerate(
        [("promote", "a", "a"), ("promote", "b", "b"), ("refuse", "c", "b"), ("rollback", "a", "a")], 2
    ):
        before = ledger.marks()[campaign]
        assert before == ledger.marks()[campaign]
        ledger.append(decision(campaign, sequence, action, digest))
        assert ledger.marks()[campaign] != before
        found = ledger.live(campaign)
        assert found is not None
        assert found.model_digest == live
    history = ledger.history(campaign)
    assert [(p.sequence, p.model_digest) for p in history] == [(1, "z"), (2, "a"), (3, "b"), (4, "c"), (5, "a")]
    assert (history[0].reasons, history[0].evidence) == (("because",), {"roc_auc": 0.1 + 0.2})


def test_a_race_has_one_winner(ledger: PostgresPromotionLedger, campaign: str) -> None:
    together = threading.Barrier(50)

    def promote(digest: str) -> str | None:
        together.wait()
        try:
            return ledger.append(decision(campaign, 1, "promote", digest)).model_digest
        except PromotionConflict:
            return None

    with ThreadPoolExecutor(50) as threads:
        (winner,) = (digest for digest in threads.map(promote, [f"m{i}" for i in range(50)]) if digest)
    assert [p.model_digest for p in ledger.history(campaign)] == [winner]
