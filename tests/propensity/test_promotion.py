from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from propensity.campaign import Campaign, Gate
from propensity.errors import Malformed, ModelError, NoLiveModel, NotFound
from propensity.ports import Promotion
from propensity.promotion import aliases, choose, judge, line_of, parse_choice, previous
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
    """A given history: ``p:a`` promotes model a, ``x:a`` refuses it, ``r:a`` rolls back to it."""

    def __init__(self, steps: str) -> None:
        actions = {"p": "promote", "x": "refuse", "r": "rollback"}
        self.rows = [
            Promotion("tiny", at, actions[action], digest * 64, digest * 12, None, [], {}, "test")
            for at, (action, digest) in enumerate((step.split(":") for step in steps.split()), start=1)
        ]

    def history(self, campaign: str) -> list[Promotion]:
        return [row for row in self.rows if row.campaign == campaign]


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
    assert previous(History(steps).history("tiny"), "tiny").model_digest == back_to * 64


@pytest.mark.parametrize("steps", ["p:a", "p:a x:b", "p:a p:b r:a", "p:a p:b p:c r:b r:a", "p:a p:a"])
def test_the_first_model_has_none_before_it(steps: str) -> None:
    with pytest.raises(ModelError) as refusal:
        previous(History(steps).history("tiny"), "tiny")
    assert not isinstance(refusal.value, NoLiveModel)
    assert "a" * 12 in str(refusal.value)


@pytest.mark.parametrize("steps", ["", "x:a", "x:a x:b"])
def test_nothing_live_cannot_be_rolled_back(steps: str) -> None:
    with pytest.raises(NoLiveModel):
        previous(History(steps).history("tiny"), "tiny")


def test_another_campaign_s_history_is_not_looked_at() -> None:
    with pytest.raises(NoLiveModel):
        previous(History("p:a p:b").history("other"), "other")


def named(steps: str, live: str | None) -> dict[str, str]:
    rows = History(steps).rows
    return {alias: row.model_digest[0] for alias, row in aliases(rows, None if live is None else live * 64).items()}


@pytest.mark.parametrize(
    ("steps", "live", "expected"),
    [
        ("", None, {}),
        ("x:a", None, {"challenger": "a"}),
        ("p:a", None, {"challenger": "a"}),  # promoted, and not loaded yet
        ("p:a", "a", {"champion": "a"}),
        ("p:a p:b", "b", {"champion": "b", "previous": "a", "challenger": "a"}),
        ("p:a p:b", "a", {"champion": "a", "challenger": "b"}),  # b was promoted and not taken
        ("p:a p:b x:c", "b", {"champion": "b", "previous": "a", "challenger": "c"}),
        ("p:a x:c p:b", "b", {"champion": "b", "previous": "a", "challenger": "c"}),
        ("p:a p:b r:a", "a", {"champion": "a", "previous": "b", "challenger": "b"}),
        ("p:a p:b p:b x:b", "b", {"champion": "b", "previous": "a", "challenger": "a"}),
        ("p:a x:a", "a", {"champion": "a"}),
    ],
)
def test_aliases(steps: str, live: str | None, expected: dict[str, str]) -> None:
    assert named(steps, live) == expected


def test_a_choice_is_the_newest_decision_on_the_model() -> None:
    rows = History("p:a x:b p:b x:a").rows
    assert choose(rows, "b" * 64, "champion").sequence == 3
    assert choose(rows, "b" * 64, "a" * 12).sequence == 4
    assert choose(rows, "b" * 64, "a" * 64).sequence == 4
    assert choose(rows, None, "b" * 12).sequence == 3


@pytest.mark.parametrize("choice", ["previous", "c" * 12, "c" * 64, "a" * 11 + "b"])
def test_what_was_never_decided_on_is_not_found_and_the_reason_names_what_there_is(choice: str) -> None:
    with pytest.raises(NotFound, match="champion, aaaaaaaaaaaa"):
        choose(History("p:a").rows, "a" * 64, choice)
    with pytest.raises(NotFound, match="none"):
        choose([], None, choice)


def test_a_long_history_is_not_listed_in_full() -> None:
    rows = History(" ".join(f"p:{digit}" for digit in "0123456789abcdef")).rows
    with pytest.raises(NotFound, match="and 6 older ones") as caught:
        choose(rows, "f" * 64, "9" * 11 + "a")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(("wanted", "choice"), [(None, "champion"), ("previous", "previous"), ("0" * 12, "0" * 12), ("f" * 64, "f" * 64)])
def test_choices(wanted: object, choice: str) -> None:
    assert parse_choice(wanted) == choice


@pytest.mark.parametrize("wanted", ["", "live", "A" * 12, "0" * 13, "0" * 63, "0" * 12 + "\n", 7, False, ["champion"]])
def test_what_is_no_choice_is_malformed(wanted: object) -> None:
    with pytest.raises(Malformed, match="champion, previous, challenger"):
        parse_choice(wanted)


def test_a_recalibrated_model_is_the_same_model() -> None:
    rows = History("p:a p:b").rows
    for digest in "cd":
        before = rows[-1].model_digest
        rows.append(replace(rows[-1], sequence=len(rows) + 1, model_digest=digest * 64, replaces=before, evidence={"recalibrates": before}))
    assert [row.model_digest[0] for row in line_of(rows)] == ["d", "c", "b"]
    assert previous(rows, "tiny").model_digest == "a" * 64
    named = {alias: row.model_digest[0] for alias, row in aliases(rows, "d" * 64).items()}
    assert named == {"champion": "d", "previous": "a", "challenger": "a"}
    other = replace(rows[-1], sequence=5, model_digest="e" * 64, replaces="d" * 64)
    assert [row.model_digest[0] for row in line_of([*rows, other])] == ["e"], "evidence that speaks of another model is none"
