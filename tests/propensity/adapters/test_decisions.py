"""Races for the live model on a real Postgres: threads that have all read the same history, and whole processes."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.postgres_urls import DatabaseUrls
from propensity.adapters.database import Database
from propensity.adapters.promotions import PostgresPromotionLedger
from propensity.decisions import PENDING, Check, State, approve, promote_known, reject, roll_back
from propensity.errors import DataError, ModelError, NotFound, NothingToDecide, PromotionConflict
from propensity.ports import Promotion

A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)
ROUNDS = 10
Act = Callable[[PostgresPromotionLedger, str, Check], Promotion | None]


@pytest.fixture
def ledger(stores: Database) -> PostgresPromotionLedger:
    return PostgresPromotionLedger(stores)


def begin(ledger: PostgresPromotionLedger) -> str:
    """A campaign with b live, a before it, c waiting for approval and d refused."""
    campaign = f"campaign-{uuid.uuid4().hex}"
    for action, step, digest in (("promote", "", A), ("promote", "", B), ("refuse", PENDING, C), ("refuse", "", D)):
        ledger.append(State.read(ledger, campaign).next(action, step, digest, ["because"], {}, "tester"))
    return campaign


def _promote_c(ledger: PostgresPromotionLedger, campaign: str, check: Check) -> Promotion | None:
    return promote_known(ledger, campaign, C, "p", "because", check=check)


def _promote_d(ledger: PostgresPromotionLedger, campaign: str, check: Check) -> Promotion | None:
    return promote_known(ledger, campaign, D, "p", "because", check=check, override=True)


def _roll_back(ledger: PostgresPromotionLedger, campaign: str, check: Check) -> Promotion | None:
    return roll_back(ledger, campaign, "r", "because", check=check)


def _automatic(ledger: PostgresPromotionLedger, campaign: str, check: Check) -> Promotion | None:
    return roll_back(ledger, campaign, "r", "because", check=check, expected=B, automatic=True)


def _approve(ledger: PostgresPromotionLedger, campaign: str, check: Check) -> Promotion | None:
    return approve(ledger, campaign, "o", "because", check=check)


def _reject(ledger: PostgresPromotionLedger, campaign: str, check: Check) -> Promotion | None:
    row_seen = State.read(ledger, campaign)
    assert row_seen.waiting()
    check(C)
    return reject(ledger, campaign, "o", "because")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_promote_c, _promote_d),
        (_promote_d, _roll_back),
        (_approve, _roll_back),
        (_approve, _promote_d),
        (_approve, _approve),
        (_roll_back, _roll_back),
        (_automatic, _automatic),
        (_automatic, _roll_back),
        (_automatic, _approve),
    ],
    ids=lambda act: act.__name__.strip("_"),
)
def test_of_two_decisions_on_one_state_one_is_recorded_and_the_other_is_told(ledger: PostgresPromotionLedger, one: Act, other: Act) -> None:
    for _ in range(ROUNDS):
        campaign = begin(ledger)
        together = threading.Barrier(2)

        def run(act: Act, campaign: str = campaign, together: threading.Barrier = together) -> str:
            try:
                row = act(ledger, campaign, lambda _: together.wait(timeout=20))
            except PromotionConflict as exc:
                return str(exc)
            assert row is not None
            return row.model_digest

        with ThreadPoolExecutor(2) as threads:
            told = list(threads.map(run, (one, other)))
        history = ledger.history(campaign)
        assert len(history) == 5
        assert sum("somebody" in text or "another decision" in text for text in told) == 1
        live = ledger.live(campaign)
        assert live is not None
        assert live.model_digest in told
        assert live.sequence == 5


def test_an_approval_and_a_rejection_at_once(ledger: PostgresPromotionLedger) -> None:
    for _ in range(ROUNDS):
        campaign = begin(ledger)
        together = threading.Barrier(2)

        def yes(campaign: str = campaign, together: threading.Barrier = together) -> str:
            together.wait(timeout=20)
            try:
                return approve(ledger, campaign, "o", "because", check=lambda _: None).step
            except (PromotionConflict, NothingToDecide):
                return "told"

        def no(campaign: str = campaign, together: threading.Barrier = together) -> str:
            together.wait(timeout=20)
            try:
                return reject(ledger, campaign, "o", "because").step
            except (PromotionConflict, NothingToDecide):
                return "told"

        with ThreadPoolExecutor(2) as threads:
            told = {future.result() for future in (threads.submit(yes), threads.submit(no))}
        assert told in ({"approved", "told"}, {"rejected", "told"})
        assert len(ledger.history(campaign)) == 5


def storm(ledger: PostgresPromotionLedger, campaign: str, seed: int, times: int) -> int:
    """Decide at random; how many decisions were recorded."""
    drawn, won = random.Random(seed), 0
    for _ in range(times):
        act = drawn.choice((_promote_c, _promote_d, _roll_back, _automatic, _approve, _pend))
        try:
            won += act(ledger, campaign, lambda _: None) is not None
        except (ModelError, DataError, NotFound):
            continue
    return won


def _pend(ledger: PostgresPromotionLedger, campaign: str, _: Check) -> Promotion | None:
    return ledger.append(State.read(ledger, campaign).next("refuse", PENDING, C, ["because"], {}, "flow"))


def assert_sound(history: list[Promotion]) -> None:
    """Every row was decided on the state that the rows before it make: nothing was decided on what was no more."""
    for at, row in enumerate(history):
        before = State(row.campaign, history[:at])
        assert row.sequence == at + 1
        assert row.replaces == before.live_digest
        if row.step == "approved":
            waited = history[row.evidence["approves_sequence"] - 1]
            assert (waited.step, waited.replaces, waited.model_digest) == (PENDING, before.live_digest, row.model_digest)
            assert before.last_on(row.model_digest) == waited
        if row.step == "automatic":
            assert before.live_digest == B
        if row.action == "rollback":
            assert row.model_digest != before.live_digest


def test_a_storm_of_threads_leaves_a_sound_history(ledger: PostgresPromotionLedger) -> None:
    campaign = begin(ledger)
    with ThreadPoolExecutor(16) as threads:
        won = sum(threads.map(lambda seed: storm(ledger, campaign, seed, 12), range(16)))
    history = ledger.history(campaign)
    assert won == len(history) - 4 > 10
    assert_sound(history)


_PROCESS = """
import sys
from propensity.adapters.database import Database
from propensity.adapters.promotions import PostgresPromotionLedger
from tests.propensity.adapters.test_decisions import storm
print("ready", flush=True)
sys.stdin.readline()
print(storm(PostgresPromotionLedger(Database(sys.argv[1], timeout_s=10.0)), sys.argv[2], int(sys.argv[3]), 40))
"""


def test_a_storm_of_processes_leaves_a_sound_history(ledger: PostgresPromotionLedger, database: DatabaseUrls) -> None:
    campaign = begin(ledger)
    commands = [[sys.executable, "-c", _PROCESS, database.app_url, campaign, str(seed)] for seed in range(2)]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for command in commands]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    won = sum(int(process.communicate(timeout=60)[0]) for process in running)
    history = ledger.history(campaign)
    assert won == len(history) - 4 > 5
    assert_sound(history)


def test_what_waits_does_not_outlive_the_live_model(ledger: PostgresPromotionLedger) -> None:
    campaign = begin(ledger)
    promote_known(ledger, campaign, D, "p", "because", check=lambda _: None, override=True)
    with pytest.raises(PromotionConflict, match=r"judged against model bbbbbbbbbbbb \(decision 3\).*dddddddddddd is live since decision 5"):
        approve(ledger, campaign, "o", "because", check=lambda _: None)
    assert reject(ledger, campaign, "o", "too late").step == "rejected"
    with pytest.raises(NothingToDecide, match="no model waits"):
        approve(ledger, campaign, "o", "because", check=lambda _: None)


def test_a_model_that_was_refused_or_taken_back_needs_a_second_word(ledger: PostgresPromotionLedger) -> None:
    campaign = begin(ledger)
    with pytest.raises(DataError, match="refused in decision 4"):
        promote_known(ledger, campaign, D, "p", "because", check=lambda _: None)
    roll_back(ledger, campaign, "flow", "worse", check=lambda _: None, automatic=True)
    assert State.read(ledger, campaign).taken_back(B) is not None
    with pytest.raises(DataError, match="taken back in decision 5"):
        promote_known(ledger, campaign, B, "p", "because", check=lambda _: None)
    row = promote_known(ledger, campaign, B, "p", "it was the season", check=lambda _: None, override=True)
    assert row is not None
    assert row.evidence["overrides"] == f"model {'b' * 12} was taken back in decision 5"
    assert State.read(ledger, campaign).taken_back(B) is None
    assert promote_known(ledger, campaign, "champion", "p", "because", check=lambda _: None) is None


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "two\nlines", "nul\x00"])
def test_a_reason_is_one_printable_line(ledger: PostgresPromotionLedger, reason: str) -> None:
    campaign = begin(ledger)
    acts: tuple[Callable[[], object], ...] = (
        lambda: approve(ledger, campaign, "o", reason, check=lambda _: None),
        lambda: reject(ledger, campaign, "o", reason),
        lambda: roll_back(ledger, campaign, "o", reason, check=lambda _: None),
        lambda: promote_known(ledger, campaign, C, "o", reason, check=lambda _: None),
    )
    for act in acts:
        with pytest.raises(DataError, match="reason"):
            act()
    assert len(ledger.history(campaign)) == 4


def test_what_another_went_live_over_is_not_taken_back_for_it(ledger: PostgresPromotionLedger) -> None:
    campaign = begin(ledger)
    with pytest.raises(PromotionConflict, match="nothing was taken back"):
        roll_back(ledger, campaign, "r", "because", check=lambda _: None, expected=A)
    assert len(ledger.history(campaign)) == 4


def test_pages_are_the_history_from_its_end(ledger: PostgresPromotionLedger) -> None:
    campaign = begin(ledger)
    assert [row.sequence for row in ledger.page(campaign, None, 3)] == [4, 3, 2]
    assert [row.sequence for row in ledger.page(campaign, 2, 3)] == [1]
    assert ledger.page(campaign, 1, 3) == []
