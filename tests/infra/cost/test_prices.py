"""The price table and the stated usage."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.cost.estimate import PRICING
from infra.cost.prices import TABLE, NotPriced, read_prices
from infra.cost.usage import Usage, as_dict, changed
from propensity.errors import SettingsInvalid


def test_the_table_is_dated_and_no_type_is_both_free_and_priced() -> None:
    prices = read_prices("us-east-1")
    assert prices.as_of.year >= 2026
    assert not prices.free & set(PRICING)


def test_a_region_changes_what_it_names_and_keeps_the_rest() -> None:
    here, there = read_prices("us-east-1"), read_prices("eu-central-1")
    assert there.usd("network", "nat_hour") > here.usd("network", "nat_hour")
    assert there.usd("network", "ipv4_hour") == here.usd("network", "ipv4_hour")


def test_an_unknown_region_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(SettingsInvalid, match=r"mars-1.*us-east-1, eu-central-1"):
        read_prices("mars-1")


def test_a_missing_price_is_no_zero() -> None:
    with pytest.raises(NotPriced, match=r"rds\.db\.nothing"):
        read_prices("us-east-1").usd("rds", "db.nothing")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("key_month = 1.00", "key_month = -1.00"),
        ("key_month = 1.00", 'key_month = "1"'),
        ("key_month = 1.00", "key_month = true"),
        ('as_of = "2026', 'as_of = "someday'),
        ("[regions.eu-central-1.balancer]\nhour", "[regions.eu-central-1.balancer]\nhuor"),
        ("hours_per_month = 730", ""),
        ("[kms]", "[kms"),
    ],
)
def test_a_damaged_table_is_refused(before: str, after: str, tmp_path: Path) -> None:
    text = TABLE.read_text(encoding="utf-8")
    assert before in text
    damaged = tmp_path / "prices.toml"
    damaged.write_text(text.replace(before, after), encoding="utf-8")
    with pytest.raises(SettingsInvalid, match="price table"):
        read_prices("eu-central-1", damaged)


def test_usage_is_changed_by_name() -> None:
    usage = changed(Usage(), ["requests=5", "log_gb=0.5"])
    assert (usage.requests, usage.log_gb, usage.rows) == (5, 0.5, Usage().rows)


@pytest.mark.parametrize("given", ["rows", "rows=", "rows=many", "rows=-1", "rows=nan", "rows=inf", "wishes=3"])
def test_unusable_usage_is_refused_with_what_is_allowed(given: str) -> None:
    with pytest.raises(SettingsInvalid, match="rows"):
        changed(Usage(), [given])


def test_the_prediction_log_grows_with_rows() -> None:
    assert Usage(rows=1e6, row_bytes=500, months_kept=12).database_gb == pytest.approx(6.0)
    assert set(as_dict(Usage())) >= {"requests", "rows", "job_hours", "store_gb"}
