from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.contact_policy import SUPPRESSED
from propensity.customer_key import customer_key, customer_keys
from propensity.schema import check_ids
from propensity.suppressed import Suppressed

IDS = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), min_size=1, max_size=12)


@pytest.mark.parametrize(
    "same",
    [
        ["17", "17.0", "017", "+17", " 17 ", "1.7e+1", "17.", "0017.00"],
        ["0", "-0", "0.0", "000"],
        ["10000000000000000", "1e+16", "10000000000000000.0"],
        ["K-9", "k-9", " K-9", "Ｋ-９"],
        ["Straße", "STRASSE"],
        ["a  b", "A b"],
    ],
)
def test_what_means_the_same_customer(same: list[str]) -> None:
    assert len(set(customer_keys(same))) == 1


def test_what_does_not() -> None:
    apart = ["17", "17.5", "-17", "1.7", "170", "17a", "12e5", "1200000", "k9", "k-9", "0x11", "1.2.3", "00-1", "0-1", ".", "+", "1_7"]
    assert len(set(customer_keys(apart))) == len(apart)


@settings(max_examples=200, deadline=None)
@given(st.lists(IDS, max_size=6))
def test_keys_are_found_one_by_one_or_together_and_stay(ids: list[str]) -> None:
    keys = customer_keys(ids)
    assert keys == [customer_key(name) for name in ids]
    assert customer_keys(keys) == keys
    assert all(keys)


@settings(max_examples=60, deadline=None)
@given(st.integers(-(10**30), 10**30) | st.floats(-(2.0**53), 2.0**53))
def test_a_number_and_its_text_are_one_customer(number: float) -> None:
    (name,) = check_ids([number], 1, [])
    assert customer_key(name) == customer_key(f" {name} ")
    if float(number).is_integer():
        assert customer_key(name) == customer_key(str(int(number)))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_in_memory_is_what_the_entries_say(data: st.DataObject) -> None:
    """Entries in any order of pages, with liftings, of one campaign or all: as a dictionary of the newest would have it."""
    names = [f"c{at}" for at in range(8)]
    entry = st.tuples(
        st.sampled_from(names), st.sampled_from([None, "small", "other"]), st.sampled_from(["add", "lift"]), st.sampled_from(SUPPRESSED)
    )
    entries = [(at, *one) for at, one in enumerate(data.draw(st.lists(entry, max_size=30)), 1)]
    known, newest = Suppressed(), {}
    cuts = sorted(data.draw(st.lists(st.integers(0, len(entries)), max_size=4)))
    for begin, end in zip([0, *cuts], [*cuts, len(entries)], strict=True):
        page = {(key, campaign): row for row in entries[begin:end] for _, key, campaign, *_ in [row]}
        known = known.after([list(page.values())], b"salt")
    for _, key, campaign, action, reason in entries:
        newest[key, campaign] = reason if action == "add" else None
    for campaign in ("small", "third"):
        expected = [newest.get((name, None)) or newest.get((name, campaign)) for name in names]
        codes = known.codes(campaign, names)
        found = [None] * len(names) if codes is None else [SUPPRESSED[code - 1] if code else None for code in codes.tolist()]
        assert found == expected
    assert known.version == len(entries)
    assert known.is_empty == (not any(newest.values()))


def test_a_reason_that_a_newer_program_wrote_is_a_reason() -> None:
    known = Suppressed().after([[(1, "a", None, "add", "reason of tomorrow")]], b"")
    codes = known.codes("any", ["a", "b"])
    assert codes is not None
    assert np.flatnonzero(codes).tolist() == [0]
