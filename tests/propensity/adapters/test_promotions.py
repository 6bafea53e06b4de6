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
    """Fifty at once, twenty times: every place in the sequence has one winner, and all others hear that they lost."""
    together = threading.Barrier(50)

    def promote(number: int) -> list[str]:
        won = []
        for sequence in range(1, 21):
            digest = f"m{number}-{sequence}"
            together.wait()
            try:
                won.append(ledger.append(decision(campaign, sequence, "promote", digest)).model_digest)
            except PromotionConflict:
                continue
        return won

    with ThreadPoolExecutor(50) as threads:
        winners = [digest for won in threads.map(promote, range(50)) for digest in won]
    history = ledger.history(campaign)
    assert [p.sequence for p in history] == list(range(1, 21))
    assert sorted(p.model_digest for p in history) == sorted(winners)
    live = ledger.live(campaign)
    assert live is not None
    assert live.model_digest == history[-1].model_digest


def test_marks_tell_campaigns_apart(ledger: PostgresPromotionLedger, campaign: str) -> None:
    other = f"{campaign}-other"
    assert campaign not in ledger.marks()
    ledger.append(decision(campaign, 1, "refuse", "a"))
    before = ledger.marks()[campaign]
    ledger.append(decision(other, 1, "promote", "b"))
    assert ledger.marks()[campaign] == before
