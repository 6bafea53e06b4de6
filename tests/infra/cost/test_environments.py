"""The environments themselves: everything in their templates has a price or costs nothing, and they keep within their budgets."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from infra.cost.assembly import read_assembly, synthesise
from infra.cost.estimate import Estimate, estimate
from infra.cost.prices import read_prices
from infra.cost.usage import Usage, changed
from infra.preflight_asked import chosen

IDLE = ("requests=0", "rows=0", "lists=0", "job_hours=5", "database_hours=10", "log_gb=0.5", "nat_gb=2", "out_gb=0", "store_gb=5")


@cache
def priced(name: str, profile: str, idle: bool = False) -> Estimate:
    with TemporaryDirectory() as folder:
        synthesise(name, profile, Path(folder))
        resources = read_assembly(Path(folder))
    usage = changed(Usage(), IDLE) if idle else Usage()
    return estimate(resources, read_prices(chosen(name, profile).network.region), usage)


@pytest.mark.slow
@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(("name", "profile"), [("dev", "always-on"), ("staging", "always-on"), ("prod", "always-on"), ("dev", "near-zero")])
def test_everything_is_priced_and_within_the_budget(name: str, profile: str) -> None:
    found = priced(name, profile)
    assert found.not_priced == {}
    assert len(found.month.resources) > 100
    assert 0 < found.usd <= chosen(name, profile).budget_usd


@pytest.mark.slow
@pytest.mark.usefixtures("node")
def test_profiles_cost_less_from_one_to_the_next_and_least_when_idle() -> None:
    always, lean, near_zero = (priced("prod", profile).usd for profile in ("always-on", "lean", "near-zero"))
    assert always > 2 * lean > 2 * near_zero
    assert priced("prod", "near-zero", idle=True).usd < 0.7 * near_zero
