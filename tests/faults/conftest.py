"""One Postgres with ``fsync`` on for all experiments of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faults.world import World, open_world


@pytest.fixture(scope="session")
def fault_world() -> Iterator[World]:
    with open_world() as world:
        yield world
