from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from propensity.gate_ports import ArmsOfRequest
from propensity.holdout import Holdout
from propensity.measured_lift import incremental, lift_of, measure, paired
from propensity.ports import LabelledRequest
from tests.builders import tiny_campaign
from tests.fake_gate import FakeSuppressionStore, GatedLog
from tests.fakes import FakeDatabase, FakeOutcomeStore

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 6, 1, tzinfo=UTC)
Pair = tuple[ArmsOfRequest, LabelledRequest]


def request(
    day: float, names: Sequence[str], arms: str, labels: str, *, key: str | None = "k", number: int = 0
) -> Pair:  # fmt: skip
    """One request: arms as ``c`` (contact), ``h`` (held out) or ``-``; labels as ``1``, ``0`` or ``?``."""
    at, name = BEGIN + timedelta(days=day), f"r{number:03d}"
    contact, held = np.array([arm == "c" for arm in arms]), np.array([arm == "h" for arm in arms])
    known = np.array([label != "?" for label in labels])
    hits = np.array([label == "1" for label in labels])
    times = np.full(len(names), np.datetime64("NaT"), dtype="datetime64[us]")
    told = (np.full(len(names), 0.5), contact, hits, known, known, times)
    return ArmsOfRequest(name, at, list(names), contact, held, key, 0.5, "d", "{}"), LabelledRequest(name, at, "d", *told)


def test_each_customer_counts_once_in_the_arm_he_was_first_drawn_into() -> None:
    found = measure(
        [
            request(1, ["a", "b", "c", "d", "e"], "cch-h", "10?1?"),
            # Another list: a again, under another spelling; c's outcome is found here; e is in the other arm since the share changed.
            request(2, ["A ", "c", "e"], "chc", "011"),
            # Not chosen any more, but this is where d's and b's outcome stands.
            request(3, ["b", "d"], "--", "11"),
        ],
        "k",
        LATER,
    )
    assert (found.contact.customers, found.contact.known, found.contact.conversions) == (2, 2, 2)
    assert (found.holdout.customers, found.holdout.known, found.holdout.conversions) == (2, 2, 2)
    # a on two days, b on one.
    assert found.contacts == 3


def test_what_was_before_is_not_of_the_experiment() -> None:
    found = measure([request(1, ["a"], "-", "1"), request(2, ["a", "b"], "ch", "00")], "k", LATER)
    assert (found.contact.conversions, found.holdout.conversions) == (0, 0)


def test_other_keys_and_young_customers_do_not_count() -> None:
    pairs = [request(1, ["a", "b"], "ch", "11", key="old"), request(2, ["c", "d"], "ch", "10"), request(90, ["e", "c"], "cc", "11")]
    found = measure(pairs, "k", BEGIN + timedelta(days=60))
    assert (found.contact.customers, found.holdout.customers, found.young) == (1, 1, 1)
    assert measure(pairs, "old", LATER).contact.customers == 1
    assert measure(pairs, "none", LATER).verdict == "no_data"
    assert measure([], "k", LATER).verdict == "no_data"


def test_money_is_worth_less_cost_to_the_cent() -> None:
    names = [f"c{at}" for at in range(200)]
    arms = "c" * 100 + "h" * 100
    labels = "1" * 30 + "0" * 70 + "1" * 10 + "0" * 90
    found = measure([request(1, names, arms, labels), request(2, names, arms, labels)], "k", LATER)
    assert found.verdict == "more"
    told = incremental(found, tiny_campaign())
    assert told["conversions"]["estimate"] == pytest.approx(20)
    # 20 conversions more at 20 EUR; 100 customers on two days at 5 EUR.
    assert (told["money"]["estimate"], told["money"]["contacts"], told["money"]["cost"]) == ("-600.00", 200, "1000.00")
    low, high = (Decimal(told["money"][end]) for end in ("low", "high"))
    assert low < Decimal(-600) < high
    assert float(low) == pytest.approx(found.difference.low * 100 * 20 - 1000, abs=0.01)


def test_requests_that_one_of_them_does_not_know_are_passed_over() -> None:
    whole = [request(day, ["a"], "c", "1", number=day) for day in range(6)]
    arms, labels = [one for one, _ in whole], [other for _, other in whole]
    found = paired(iter(arms[:2] + arms[3:]), iter(labels[1:]))
    assert [(one.request_id, other.request_id) for one, other in found] == [(f"r{at:03d}",) * 2 for at in (1, 3, 4, 5)]
    assert list(paired(iter(arms), iter(()))) == []


def test_a_campaign_without_a_holdout_has_no_data() -> None:
    database = FakeDatabase()
    log = GatedLog(database, FakeSuppressionStore(database))
    for declared in (tiny_campaign(), tiny_campaign(holdout=Holdout(share=0.1, key="k"))):
        found = lift_of(declared, log.contacts, FakeOutcomeStore(log), BEGIN, LATER, LATER)
        assert (found["verdict"], found["difference"]["estimate"], found["incremental"]["money"]) == ("no_data", None, None)
        assert found["share"]["suspicious"] is None
