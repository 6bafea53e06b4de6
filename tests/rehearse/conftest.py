"""An emulator for a test. Its packages are its own: where they cannot be installed, these tests are skipped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from propensity.errors import ProgramFailed
from rehearse.emulator import Emulator, prepare, running
from rehearse.story import only_aws


@pytest.fixture
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A running emulator with everything that is added to it; nothing in this process knows another AWS until the test has ended."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"the program {program} is not installed, and the command line of the CDK runs on it")
    try:
        python = prepare(print)
    except ProgramFailed as exc:
        pytest.skip(f"the emulator is not here and cannot be installed: {exc}")
    with running(python, tmp_path_factory.mktemp("emulator"), {}) as started, only_aws(started):
        yield started


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the CDK may write."""
    return tmp_path
