"""The short form of every promise, through the same functions as the full run."""

from __future__ import annotations

import pytest

from faults.catalogue import CATALOGUE
from faults.promise import NotPossible, Promise, Scale
from faults.world import World


@pytest.mark.slow
@pytest.mark.parametrize("promise", CATALOGUE, ids=lambda promise: promise.name)
def test_the_promise_is_kept(promise: Promise, fault_world: World) -> None:
    try:
        result = promise.run(fault_world, Scale.SHORT)
    except NotPossible as exc:
        pytest.skip(str(exc))
    assert result.passed, f"{promise.name}: {result.figure} ({promise.needs} needed; tried: {result.tried})"


def test_every_promise_has_one_experiment() -> None:
    ids = [name for promise in CATALOGUE for name in promise.ids]
    assert len(ids) == len(set(ids))
