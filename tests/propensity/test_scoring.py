from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.campaign import MonthsInOrder, Policy
from propensity.model import Model
from propensity.schema import Table, check_rows
from propensity.scoring import raw_features, score_list, surplus_columns, table_from_raw
from tests.builders import one_row, tiny_campaign, tiny_columns, tiny_table

CAMPAIGN = tiny_campaign()
a_row = st.builds(
    one_row,
    age=st.integers(18, 100),
    income=st.none() | st.floats(0, 1e6) | st.just(-0.0),
    rate=st.floats(-5, 5),
    job=st.sampled_from(["clerk", "farmer", "nurse", "pilot"]),
    region=st.sampled_from([None, 10, 20, 30]),
)


def table(rows: list[dict[str, object]]) -> Table:
    checked = check_rows(CAMPAIGN, {name: [row[name] for row in rows] for name in CAMPAIGN.feature_names}, None, len(rows), text=False)
    assert checked.issues == ()
    return checked.table


@given(st.lists(a_row, max_size=8))
def test_raw_features_lose_nothing(rows: list[dict[str, object]]) -> None:
    sent = table(rows)
    again = table_from_raw(CAMPAIGN, raw_features(sent), sent.ids, sent.rows)
    assert again.ids == sent.ids
    assert again.rows.tolist() == sent.rows.tolist()
    for name in CAMPAIGN.feature_names:
        assert again.columns[name].dtype == sent.columns[name].dtype
        assert again.columns[name].tobytes() == sent.columns[name].tobytes()


def test_raw_features_hold_numbers_as_sent_and_categories_as_positions() -> None:
    raw = raw_features(table([one_row(), one_row(income=None, region=None)]))
    np.testing.assert_array_equal(raw, [[40, 20_000.5, 1.25, 2, 1], [40, np.nan, 1.25, 2, np.nan]])


def test_a_table_made_from_raw_features_scores_the_same(model: Model) -> None:
    sent = tiny_table(50, seed=3)
    again = table_from_raw(CAMPAIGN, raw_features(sent), sent.ids, sent.rows)
    assert model.score(again).tobytes() == model.score(sent).tobytes()


def test_a_table_made_from_raw_features_cannot_be_written_to() -> None:
    again = table_from_raw(CAMPAIGN, raw_features(table([one_row()])), ["1"], np.array([1]))
    with pytest.raises(ValueError, match="read-only"):
        again.columns["age"][:] = 0
    assert again.row(0) == one_row()


def test_a_list_is_scored_decided_and_explained_row_by_row(model: Model) -> None:
    columns = tiny_columns(30, seed=8)
    columns["age"][3] = 7
    columns["job"][20] = "king"
    checked = check_rows(CAMPAIGN, columns, None, 30, text=False)
    scored = score_list(model, checked, Policy("top_share", 0.25))
    assert (scored.received, scored.refused, len(scored.table)) == (30, 2, 28)
    assert {issue.row for issue in scored.issues} == {4, 21}
    assert scored.table.rows.tolist() == [row for row in range(1, 31) if row not in (4, 21)]
    assert scored.scores.tobytes() == model.score(checked.table).tobytes()
    assert scored.decision.contact.sum() == 7
    assert len(scored.bands) == len(scored.reasons) == 28
    assert all(len(found) <= 3 for found in scored.reasons)
    kept = scored.logged("r-1", "d-1", source="test")
    assert kept.features.tobytes() == raw_features(checked.table).tobytes()
    assert (kept.received, kept.refused, kept.model_digest) == (30, 2, model.digest)


def test_the_best_come_first(model: Model) -> None:
    checked = check_rows(CAMPAIGN, tiny_columns(30, seed=8), None, 30, text=False)
    scored = score_list(model, checked, Policy("profit"), top_reasons=0)
    assert scored.best(3) == np.argsort(-scored.scores, kind="stable")[:3].tolist()
    assert sorted(scored.best(99)) == list(range(30))
    assert scored.best(0) == []
    assert list(map(list, scored.reasons)) == [[]] * 30


def test_a_list_without_a_usable_row_is_scored_to_nothing(model: Model) -> None:
    checked = check_rows(CAMPAIGN, {name: [None] for name in CAMPAIGN.feature_names}, None, 1, text=False)
    scored = score_list(model, checked, Policy("profit"))
    assert (scored.received, scored.refused, len(scored.scores), scored.best(5)) == (1, 1, 0, [])


@pytest.mark.parametrize(
    ("name", "part"), [("duration", "known only once"), ("accepted", "label"), ("asked_on", "when"), ("x", "not a column")]
)
def test_a_surplus_column_is_named_with_the_reason(name: str, part: str) -> None:
    found = surplus_columns(CAMPAIGN, [*CAMPAIGN.feature_names, "customer", name, name], "customer")
    assert list(found) == [name]
    assert part in found[name]


def test_a_calendar_column_that_is_a_feature_is_not_surplus() -> None:
    campaign = tiny_campaign(calendar=MonthsInOrder("job", "2024-01"))
    assert surplus_columns(campaign, ["job"], "customer") == {}


def test_surplus_columns_keep_the_order_sent() -> None:
    assert list(surplus_columns(CAMPAIGN, ["z", "age", "a", "Age", "m"], "id")) == ["z", "a", "Age", "m"]
