"""State folders for tests of the machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder below /tmp that every user may pass through, so that the files of Postgres can lie in it."""
    with tempfile.TemporaryDirectory(prefix="propensity-home-", ignore_cleanup_errors=True) as folder:
        path = Path(folder)
        path.chmod(0o711)
        yield path
