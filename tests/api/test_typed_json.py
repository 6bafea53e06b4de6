"""The fast way in takes what `check_rows` accepts, gives the same table, and leaves everything else alone."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.bodies import MAX_ROWS, read_body
from api.rows import OPTIONS, check_post, id_column
from api.typed_json import TypedJson, TypedPost
from propensity.campaign import Campaign, Categorical, Numeric
from propensity.campaigns import all_campaigns
from propensity.errors import DataError
from propensity.scoring import raw_features
from tests.api.models import make_campaign, make_rows

DOTTED = make_campaign(name="dotted", features=(Numeric("a.b", low=-5, high=5), Categorical("import", ("x", "y"), nullable=True)))
WIDE = make_campaign(
    name="wide",
    features=(
        Categorical("of many texts", tuple(f"\u00e9 {at}" for at in range(300)), nullable=True),
        Categorical("of many whole numbers, with a name of more than 31 bytes", tuple(range(-50, 250)), nullable=True),
        Categorical("of few whole numbers", (7, 300, -1)),
        Numeric("x" * 300, low=-1, high=1, nullable=True),
        *(Categorical(f"c{at}", tuple("abcdefgh"[: at + 2])) for at in range(7)),
        *(Numeric(f"n{at}", low=0, high=9, integer=at % 2 == 0) for at in range(7)),
    ),
)
CAMPAIGNS = {**all_campaigns(), "small": make_campaign(), "dotted": DOTTED, "wide": WIDE}
READERS = {name: TypedJson(campaign, id_column(campaign), OPTIONS, MAX_ROWS) for name, campaign in CAMPAIGNS.items()}
ODD: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**53,
    2**53 + 1,
    1e300,
    -0.0,
    "",
    "1",
    "a",
    "a:b",
    [],
    {},
    [1],
    {"a": 1},
    "\u00e9",
    "x" * 129,
]


def generally(campaign: Campaign, body: bytes, mimetype: str = "application/json") -> tuple[Any, Any]:
    """What the general way makes of a list: the post, and the options beside it."""
    posted = read_body(mimetype, body, "customers", OPTIONS, columns="columns")
    return check_post(campaign, posted), posted


def same(campaign: Campaign, typed: TypedPost, body: bytes, mimetype: str = "application/json") -> None:
    post, posted = generally(campaign, body, mimetype)
    assert not post.checked.issues
    assert not post.ignored
    assert typed.table.ids == post.checked.table.ids
    assert typed.table.rows.tolist() == post.checked.table.rows.tolist()
    assert raw_features(typed.table).tobytes() == raw_features(post.checked.table).tobytes()
    assert dict(typed.options) == dict(posted.options)
    assert typed.columnar == post.columnar


@pytest.mark.parametrize("name", CAMPAIGNS)
@pytest.mark.parametrize("n", [1, 3, 16, 64, 65, 400])
def test_sound_lists_are_taken_in_every_form(name: str, n: int) -> None:
    campaign, reader = CAMPAIGNS[name], READERS[name]
    rows = make_rows(campaign, n, seed=n)
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    options = {"policy": {"kind": "top_share", "value": 0.5}, "reasons": 0, "model": "champion"}
    for value in (
        rows,
        {"customers": rows},
        {**options, "customers": rows},
        {"columns": columns},
        {"columns": columns, **options},
        rows[0],
    ):
        body = json.dumps(value).encode()
        typed = reader.read(body)
        assert typed is not None
        same(campaign, typed, body)
    lines = "\n".join(map(json.dumps, rows)).encode()
    typed = reader.read_lines(lines)
    assert typed is not None
    same(campaign, typed, lines, "application/x-ndjson")


@pytest.mark.parametrize("n", [6, 90])
def test_missing_values_of_every_kind_are_read(n: int) -> None:
    campaign = CAMPAIGNS["wide"]
    rows = make_rows(campaign, n)
    for at, feature in enumerate(feature for feature in campaign.features if feature.nullable):
        rows[at][feature.name] = None
        rows[at + 1].pop(feature.name)
    body = json.dumps(rows).encode()
    typed = READERS["wide"].read(body)
    assert typed is not None
    assert np.isnan(raw_features(typed.table)).sum() == 6
    same(campaign, typed, body)
    body = json.dumps(
        {"columns": {name: [row.get(name) for row in rows] for name in (id_column(campaign), *campaign.feature_names)}}
    ).encode()
    typed = READERS["wide"].read(body)
    assert typed is not None
    same(campaign, typed, body)


def test_missing_values_are_missing_sent_as_null_or_not_at_all() -> None:
    campaign = CAMPAIGNS["small"]
    rows = make_rows(campaign, 6)
    rows[1]["income"] = rows[2]["region"] = None
    del rows[3]["income"], rows[4]["region"]
    typed = READERS["small"].read(json.dumps(rows).encode())
    assert typed is not None
    assert np.isnan(raw_features(typed.table)[[1, 2, 3, 4], [1, 3, 1, 3]]).all()
    same(campaign, typed, json.dumps(rows).encode())


@given(data=st.data())
@settings(deadline=None, max_examples=300)
def test_it_never_takes_what_the_general_way_would_not(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(CAMPAIGNS)))
    campaign, reader = CAMPAIGNS[name], READERS[name]
    rows: list[Any] = make_rows(campaign, data.draw(st.integers(1, 4)), seed=data.draw(st.integers(0, 9)))
    for _ in range(data.draw(st.integers(0, 2))):
        row = data.draw(st.sampled_from(rows))
        column = data.draw(st.sampled_from([*row, "surplus"]))
        if data.draw(st.booleans()):
            row[column] = data.draw(st.sampled_from(ODD))
        else:
            row.pop(column, None)
    by_column = data.draw(st.booleans()) and all(row.keys() == rows[0].keys() for row in rows)
    value: Any = {"columns": {key: [row[key] for row in rows] for key in rows[0]}} if by_column else {"customers": rows}
    body = json.dumps(value).encode()
    typed = reader.read(body)
    if typed is not None:
        same(campaign, typed, body)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"age"', '"age": 40, "age"', 1),
        lambda text: text.replace('"age"', '"surplus": 1, "age"', 1),
        lambda text: text.replace('"age"', '"a\\u0067e": 40, "age"', 1),
        lambda text: text.replace('"age"', '"age" : 40 , "age"', 1),
        lambda text: text[:-1],
        lambda text: text + " x",
        lambda text: "\ufeff" + text,
        lambda text: text.replace('"age": ', '"age": NaN, "x": ', 1),
    ],
)
def test_a_key_twice_a_surplus_column_or_broken_text_is_left_to_the_general_way(change: Any) -> None:
    rows = make_rows(CAMPAIGNS["small"], 2)
    body = change(json.dumps(rows)).encode()
    assert READERS["small"].read(body) is None
    try:
        post, _ = generally(CAMPAIGNS["small"], body)
        assert post.ignored
    except DataError:
        pass


def test_too_many_rows_and_no_rows_are_left_to_the_general_way() -> None:
    rows = make_rows(CAMPAIGNS["small"], 2) * (MAX_ROWS // 2)
    assert READERS["small"].read(json.dumps(rows).encode()) is not None
    assert READERS["small"].read(json.dumps([*rows, rows[0]]).encode()) is None
    assert READERS["small"].read(b"[]") is None
    assert READERS["small"].read(b'{"columns":{}}') is None


def test_a_campaign_whose_categories_are_of_two_kinds_goes_the_general_way() -> None:
    mixed = make_campaign(name="mixed", features=(Categorical("kind", ("a", 1)),))
    rows = [{"customer_no": "c1", "kind": "a"}, {"customer_no": "c2", "kind": 1}]
    reader = TypedJson(mixed, "customer_no", OPTIONS, MAX_ROWS)
    assert reader.read(json.dumps(rows).encode()) is None
    assert reader.read_lines(b"\n".join(json.dumps(row).encode() for row in rows)) is None
