"""A person's decisions on models, as a task on AWS carries them out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from flows import operate
from propensity.adapters.object_store import FolderStore
from propensity.campaigns import campaign
from propensity.model import save_package
from propensity.ports import Promotion
from tests.api.models import make_model
from tests.fakes import FakeModelRegistry, FakePromotionLedger

NAME = "term-deposit"


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePromotionLedger:
    """Two models were put live, one after the other."""
    store, ledger = FolderStore(tmp_path), FakePromotionLedger()
    for number in (1, 2):
        model = make_model(campaign(NAME), seed=number)
        save_package(store, model)
        before = ledger.live(NAME)
        replaces = None if before is None else before.model_digest
        ledger.append(Promotion(NAME, number, "promote", model.digest, model.digest[:12], replaces, [], {}, "test"))
    at = SimpleNamespace(store=store, ledger=ledger, registry=FakeModelRegistry())
    monkeypatch.setattr(operate, "platform", lambda: at)
    return ledger


def test_a_rollback_puts_the_model_before_back_and_says_who_wanted_it(
    ledger: FakePromotionLedger, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (row.model_digest for row in ledger.rows)
    assert first != second
    assert operate.main(["rollback", NAME, "--by", "ada", "--reason", "worse calls"]) == 0
    row = ledger.rows[-1]
    assert (row.action, row.model_digest, row.replaces, row.actor, row.reasons) == ("rollback", first, second, "ada", ["worse calls"])
    assert first[:12] in capsys.readouterr().out


def test_the_history_names_every_decision(ledger: FakePromotionLedger, capsys: pytest.CaptureFixture[str]) -> None:
    assert operate.main(["history", NAME]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [row.model_digest[:12] in line for row, line in zip(ledger.rows, lines, strict=True)] == [True, True]


def test_what_cannot_be_done_is_one_sentence(ledger: FakePromotionLedger, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.rows.pop()
    assert operate.main(["rollback", NAME, "--by", "ada"]) != 0
    assert operate.main(["promote", NAME, "--by", "ada"]) != 0
    assert operate.main(["rollback", "no-such", "--by", "ada"]) != 0
    sentences = capsys.readouterr().err.splitlines()
    assert [sentence.startswith("operate: ") for sentence in sentences] == [True] * 3


def test_nobody_decides_without_a_name(ledger: FakePromotionLedger) -> None:
    with pytest.raises(SystemExit):
        operate.main(["rollback", NAME])
    assert len(ledger.rows) == 2
