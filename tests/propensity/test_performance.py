from __future__ import annotations

import numpy as np
import pytest

from propensity.campaigns import campaign
from propensity.performance import Known, realised

CAMPAIGN = campaign("term-deposit")


def known(scores: list[float], labels: list[bool], predicted: int, contact: list[bool] | None = None, contacts: int = 0) -> Known:
    told = np.zeros(len(scores), dtype=np.bool_) if contact is None else np.array(contact)
    return Known(predicted, contacts, len(scores), np.array(scores), np.array(labels, dtype=np.bool_), told, {"d": len(scores)})


def drawn(n: int, predicted: int, *, upside_down: bool = False) -> Known:
    rng = np.random.default_rng(0)
    scores = rng.random(n)
    return known((1 - scores if upside_down else scores).tolist(), (rng.random(n) < scores).tolist(), predicted)


def test_without_outcomes_there_is_no_data() -> None:
    found = realised(CAMPAIGN, known([], [], 500))
    assert (found.verdict, found.labelled, found.predicted, found.coverage) == ("no_data", 0, 500, 0.0)
    assert {m.metric for m in found.metrics} == {"predicted", "labelled", "read_from_absence", "coverage", "coverage_others"}


def test_good_scores_are_measured_and_stable() -> None:
    found = realised(CAMPAIGN, drawn(2_000, 4_000))
    values = {m.metric: m.value for m in found.metrics}
    assert found.verdict == "stable"
    assert found.coverage == values["coverage"] == 0.5
    assert values["roc_auc"] == pytest.approx(0.83, abs=0.03)
    assert values["calibration_gap"] < 0.03


def test_scores_below_a_gate_are_a_warning_that_names_the_bound() -> None:
    found = realised(CAMPAIGN, drawn(2_000, 2_000, upside_down=True))
    assert found.verdict == "warning"
    [auc] = [m for m in found.metrics if m.metric == "roc_auc"]
    assert (auc.verdict, auc.warn) == ("warning", 0.6)


def test_a_handful_of_outcomes_condemns_nobody() -> None:
    assert realised(CAMPAIGN, drawn(20, 20, upside_down=True)).verdict == "stable"


def test_one_class_alone_gives_the_figures_that_it_can_give() -> None:
    found = realised(CAMPAIGN, known([0.1, 0.4], [False, False], 2))
    names = {m.metric for m in found.metrics}
    assert "roc_auc" not in names
    assert {"brier", "positive_rate", "profit_per_1000"} <= names


def test_labels_of_contacts_alone_say_so_and_are_never_spread_over_the_others() -> None:
    found = realised(CAMPAIGN, known([0.6, 0.8], [True, False], 10, [True, True], contacts=4))
    values = {(m.metric, m.method): m.value for m in found.metrics}
    assert values["contacts_only", "observed"] == 1.0
    assert (values["coverage_contacts", "observed"], values["coverage_others", "observed"]) == (0.5, 0.0)
    assert not [metric for metric, method in values if method == "weighted"]


def test_rare_labels_of_the_others_weigh_as_much_as_they_stand_for() -> None:
    # Both contacts are known, and one of eight others: it stands for all of them.
    found = realised(CAMPAIGN, known([0.6, 0.8, 0.1], [True, True, False], 10, [True, True, False], contacts=2))
    values = {(m.metric, m.method): m.value for m in found.metrics}
    assert values["positive_rate", "observed"] == pytest.approx(2 / 3)
    assert values["positive_rate_all", "weighted"] == pytest.approx(2 / 10)
    assert values["calibration_gap_all", "weighted"] == pytest.approx(abs((0.6 + 0.8 + 8 * 0.1) / 10 - 0.2))
    assert values["contacts_only", "observed"] == 0.0
