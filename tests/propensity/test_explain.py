from __future__ import annotations

import msgspec
import numpy as np
import pytest

from propensity.explain import Reason, describe, global_effects, reasons, top_reasons
from propensity.model import Model
from tests.builders import one_row, table_of, tiny_campaign, tiny_table

TABLE = tiny_table(40, seed=5)


@pytest.mark.parametrize("top", [1, 3, 5, 50])
def test_reasons_are_the_strongest_effects_strongest_first(model: Model, top: int) -> None:
    effects = model.fast_contributions(model.encode(TABLE))[:, :-1]
    for at, found in enumerate(reasons(model, TABLE, top)):
        strengths = [abs(reason.effect) for reason in found]
        assert strengths == sorted(np.abs(effects[at])[effects[at] != 0].tolist(), reverse=True)[:top]
        assert all(reason.effect for reason in found)


def test_a_reason_holds_the_customer_s_own_value_and_effect(model: Model) -> None:
    names = model.manifest.features
    effects = model.fast_contributions(model.encode(TABLE))
    for at, found in enumerate(reasons(model, TABLE, 5)):
        row = TABLE.row(at)
        assert {r.feature: r.value for r in found} == {r.feature: row[r.feature] for r in found}
        assert all(r.effect == effects[at, names.index(r.feature)] for r in found)


def test_reasons_do_not_depend_on_the_other_rows(model: Model) -> None:
    whole = reasons(model, TABLE, 3)
    assert [reasons(model, TABLE.take(np.array([at])), 3)[0] for at in range(40)] == whole


@pytest.mark.parametrize("top", [1, 3, 5, 50])
def test_the_top_reasons_are_those_of_a_full_sort_that_keeps_the_declared_order_of_equals(
    model: Model, top: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = model.encode(TABLE)
    effects = np.random.default_rng(1).choice([-0.5, 0.0, 0.25, 0.5], (len(TABLE), 6))
    monkeypatch.setattr(Model, "fast_contributions", lambda *_: effects)
    picked, strengths = top_reasons(model, matrix, top)
    order = np.argsort(-np.abs(effects[:, :-1]), axis=1, kind="stable")[:, :top]
    assert picked.tolist() == order.tolist()
    assert strengths.tolist() == np.take_along_axis(effects[:, :-1], order, axis=1).tolist()


def test_reasons_agree_with_the_contributions_that_xgboost_computes(model: Model) -> None:
    sound = model.contributions(TABLE)
    np.testing.assert_allclose(model.fast_contributions(model.encode(TABLE)), sound, atol=1e-5)


def test_a_reason_is_written_as_the_object_of_a_reply() -> None:
    expected = b'{"feature":"job","value":"pilot","effect":-0.5,"direction":"lowers","text":"job = pilot lowers the score"}'
    assert msgspec.json.encode(Reason("job", "pilot", -0.5)) == expected


def test_no_reasons_asked_or_no_rows(model: Model) -> None:
    assert list(map(list, reasons(model, TABLE, 0))) == [[]] * 40
    assert reasons(model, TABLE.take(np.array([], dtype=np.int64)), 3) == ()


def test_a_missing_value_can_be_a_reason(model: Model) -> None:
    columns = {name: [value] for name, value in one_row(income=None, region=None).items()}
    found = {r.feature: r for r in reasons(model, table_of(tiny_campaign(), columns, 1), 5)[0]}
    assert found["income"].value is None
    assert "not known" in found["income"].text


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (Reason("poutcome", "success", 1.2), "poutcome = success raises the score"),
        (Reason("euribor3m", 4.857, -0.3), "euribor3m = 4.857 lowers the score"),
        (Reason("nr.employed", 5191.0, -0.3), "nr.employed = 5191 lowers the score"),
        (Reason("region", 20, 0.1), "region = 20 raises the score"),
        (Reason("income", None, 0.1), "income = not known raises the score"),
    ],
)
def test_a_reason_reads_as_a_sentence(reason: Reason, text: str) -> None:
    assert reason.text == text


def test_global_effects_are_means_of_absolute_contributions(model: Model) -> None:
    found = global_effects(model, TABLE)
    mean = np.abs(model.contributions(TABLE)[:, :-1]).mean(axis=0)
    assert found == {name: pytest.approx(mean[model.manifest.features.index(name)]) for name in found}
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert set(found) == set(model.manifest.features)


def test_a_feature_is_described_with_its_range_or_its_values() -> None:
    age, income, _, job, region = map(describe, tiny_campaign().features)
    assert age == "18 to 100 years"
    assert income == "0 to 1000000 EUR"
    assert job == "clerk, farmer, nurse, pilot"
    assert region == "10, 20, 30"
