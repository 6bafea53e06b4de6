from __future__ import annotations

import json
from collections.abc import Hashable, Mapping

import numpy as np
import pytest

from propensity.campaign import Campaign, Gate
from propensity.errors import ModelError, NoLiveModel
from propensity.ports import Promotion
from propensity.promotion import judge, previous
from tests.builders import tiny_campaign

NAN = float("nan")


def gated(*gates: Gate) -> Campaign:
    return tiny_campaign(gates=gates)


@pytest.mark.parametrize(
    ("gate", "challenger", "champion", "passes"),
    [
        (Gate("roc_auc", at_least=0.6), 0.6, None, True),
        (Gate("roc_auc", at_least=0.6), 0.5999, None, False),
        (Gate("roc_auc", at_least=0.6), NAN, None, False),
        (Gate("ece", at_most=0.1), 0.1, None, True),
        (Gate("ece", at_most=0.1), 0.1001, None, False),
        (Gate("ece", at_most=0.1), NAN, None, False),
        (Gate("profit_per_1000", versus_champion=0.0), 5.0, 5.0, True),
        (Gate("profit_per_1000", versus_champion=0.0), 4.9, 5.0, False),
        (Gate("profit_per_1000", versus_champion=-1.0), 4.5, 5.0, True),
        (Gate("profit_per_1000", versus_champion=1.0), 5.5, 5.0, False),
        (Gate("profit_per_1000", versus_champion=0.0), -9.0, None, True),
        (Gate("profit_per_1000", versus_champion=0.0), NAN, 5.0, False),
        (Gate("profit_per_1000", versus_champion=0.0), 5.0, NAN, False),
        (Gate("x", at_least=0.1, at_most=0.3), 0.2, None, True),
        (Gate("x", at_least=0.1, at_most=0.3), 0.4, None, False),
        (Gate("x", at_least=0.1, at_most=0.3), 0.0, None, False),
        (Gate("x", at_least=NAN), 1.0, None, False),
    ],
)
def test_a_gate(gate: Gate, challenger: float, champion: float | None, passes: bool) -> None:
    live = None if champion is None else {gate.metric: champion}
    judgement = judge(gated(gate), {gate.metric: challenger}, live)
    assert judgement.promote is passes
    assert any(gate.metric in reason for reason in judgement.reasons)
    assert sum(reason.startswith("failed") for reason in judgement.reasons) == (0 if passes else 1)


@pytest.mark.parametrize("bound", [{"at_least": 0.0}, {"at_most": 9.0}, {"versus_champion": -9.0}])
@pytest.mark.parametrize("champion", [None, {"other": 1.0}, {"roc_auc": 1.0}])
def test_a_figure_that_was_not_measured_never_passes(bound: Mapping[str, float], champion: Mapping[str, float] | None) -> None:
    assert not judge(gated(Gate("roc_auc", **bound)), {"other": 1.0}, champion).promote


def test_a_figure_that_the_live_model_lacks_never_passes() -> None:
    assert not judge(gated(Gate("roc_auc", versus_champion=0.0)), {"roc_auc": 0.9}, {"other": 1.0}).promote


def test_one_failed_gate_is_enough_and_every_gate_gives_its_reason() -> None:
    campaign = gated(Gate("a", at_least=0.5), Gate("b", at_least=0.5), Gate("c", at_least=0.5, versus_champion=0.0))
    judgement = judge(campaign, {"a": 1.0, "b": 0.0, "c": 1.0}, {"c": 0.5})
    assert not judgement.promote
    assert [gate.passed for gate in judgement.gates] == [True, False, True, True]
    assert len(judgement.reasons) == 4


def test_a_campaign_without_gates_promotes() -> None:
    assert judge(gated(), {}, None).promote


def test_a_judgement_of_numpy_figures_can_be_written_as_json() -> None:
    campaign = gated(Gate("a", at_least=0.5, at_most=2.0, versus_champion=0.0))
    judgement = judge(campaign, {"a": np.float64(1.0)}, {"a": np.float64(0.5)})
    assert json.loads(json.dumps([gate.passed for gate in judgement.gates])) == [True, True, True]


class History:
    """A ledger with a given history: ``p:a`` promotes model a, ``x:a`` refuses it, ``r:a`` rolls back to it."""

    def __init__(self, steps: str) -> None:
        actions = {"p": "promote", "x": "refuse", "r": "rollback"}
        self.rows = [
            Promotion("tiny", at, actions[action], digest * 64, digest * 12, None, [], {}, "test")
            for at, (action, digest) in enumerate((step.split(":") for step in steps.split()), start=1)
        ]

    def history(self, campaign: str) -> list[Promotion]:
        return [row for row in self.rows if row.campaign == campaign]

    def live(self, campaign: str) -> Promotion | None:
        raise AssertionError(f"not asked: {campaign}")

    def marks(self) -> Mapping[str, Hashable]:
        raise AssertionError("not asked")

    def append(self, promotion: Promotion) -> Promotion:
        raise AssertionError(f"nothing is written by looking: {promotion}")


@pytest.mark.parametrize(
    ("steps", "back_to"),
    [
        ("p:a p:b", "a"),
        ("p:a p:b p:c", "b"),
        ("p:a p:b p:c r:b", "a"),  # a second rollback goes further back
        ("p:a p:b r:a p:c", "a"),
        ("p:a p:b r:a p:b", "a"),
        ("p:a p:b r:a p:c p:d", "c"),
        ("p:a p:b r:a p:c p:d r:c", "a"),
        ("p:a p:b p:c p:d r:c r:b", "a"),
        ("p:a x:b p:c x:d", "a"),  # what was refused was never live
        ("x:a p:b x:c p:d", "b"),
        ("p:a p:b p:b", "a"),  # promoting the live model again is no step
        ("p:a p:b p:b p:b r:a p:c", "a"),
        ("p:a p:b p:a", "b"),
    ],
)
def test_a_rollback_returns_to_the_model_that_was_live_before(steps: str, back_to: str) -> None:
    assert previous(History(steps), "tiny").model_digest == back_to * 64


@pytest.mark.parametrize("steps", ["p:a", "p:a x:b", "p:a p:b r:a", "p:a p:b p:c r:b r:a", "p:a p:a"])
def test_the_first_model_has_none_before_it(steps: str) -> None:
    with pytest.raises(ModelError) as refusal:
        previous(History(steps), "tiny")
    assert not isinstance(refusal.value, NoLiveModel)
    assert "a" * 12 in str(refusal.value)


@pytest.mark.parametrize("steps", ["", "x:a", "x:a x:b"])
def test_nothing_live_cannot_be_rolled_back(steps: str) -> None:
    with pytest.raises(NoLiveModel):
        previous(History(steps), "tiny")


def test_another_campaign_s_history_is_not_looked_at() -> None:
    with pytest.raises(NoLiveModel):
        previous(History("p:a p:b"), "other")
