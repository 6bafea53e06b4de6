"""What the tests of the domain share."""

from __future__ import annotations

import pytest

from propensity.model import Model
from propensity.snapshot import SnapshotData
from propensity.training import Training
from tests.builders import tiny_snapshot, train_fast


@pytest.fixture(scope="session")
def snapshot() -> SnapshotData:
    """1,500 rows of the tiny campaign over six months, with a signal."""
    return tiny_snapshot()


@pytest.fixture(scope="session")
def trained(snapshot: SnapshotData) -> Training:
    return train_fast(snapshot)


@pytest.fixture(scope="session")
def model(trained: Training) -> Model:
    return trained.model
