"""The benchmark's campaign, and a small model of it."""

from __future__ import annotations

import pytest

from benchmarks import package
from propensity.campaign import Campaign
from propensity.model import Model


@pytest.fixture
def campaign(monkeypatch: pytest.MonkeyPatch) -> Campaign:
    """The campaign as the service finds it."""
    monkeypatch.setenv("PROPENSITY_CAMPAIGNS_DIR", str(package.CAMPAIGNS))
    return package.benchmark_campaign()


@pytest.fixture
def model(campaign: Campaign) -> Model:
    """A model of a few trees, made as the benchmark makes its own."""
    return package.train(campaign, rows=2_000, trees=5)
