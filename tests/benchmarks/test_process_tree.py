"""What the kernel says of a process and its children."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks import process_tree
from benchmarks.limit import measure
from benchmarks.servers import Launch, start
from propensity.errors import ProgramFailed

# Starts a child that computes, and waits for it: the work is the child's.
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc on this system")


@pytest.fixture
def busy() -> Iterator[int]:
    """Process id of a parent whose child computes without end."""
    with subprocess.Popen([sys.executable, "-c", PARENT]) as parent:
        until = time.monotonic() + 20
        while process_tree.cpu_s(parent.pid) < 0.1:
            assert time.monotonic() < until
            time.sleep(0.01)
        pids = process_tree.tree(parent.pid)
        yield parent.pid
        for pid in pids:
            subprocess.run(["kill", "-9", str(pid)], check=False, capture_output=True)


def test_children_are_counted_and_rest_while_paused(busy: int) -> None:
    assert len(process_tree.tree(busy)) == 2
    process_tree.pause(busy)
    time.sleep(0.05)
    before = process_tree.cpu_s(busy)
    time.sleep(0.2)
    assert process_tree.cpu_s(busy) == before
    process_tree.resume(busy)
    until = time.monotonic() + 20
    while process_tree.cpu_s(busy) == before:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_memory_is_that_of_the_whole_tree(busy: int) -> None:
    found = process_tree.memory(busy)
    assert found.rss > 5
    assert found.pss is None or 0 < found.pss <= found.rss


def test_a_server_that_ends_is_told_apart_and_its_log_quoted(tmp_path: Path) -> None:
    server = start(Launch("broken", (sys.executable, "-c", "raise SystemExit('no such model')"), "/"), tmp_path)
    with pytest.raises(ProgramFailed, match="no such model"):
        server.wait_ready()
    server.stop()


def test_a_program_that_does_not_exist_is_said(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailed, match="absent"):
        start(Launch("absent", (str(tmp_path / "nothing"),), "/"), tmp_path)


def test_the_limit_is_measured_over_whole_batches() -> None:
    seen: list[int] = []
    batches = [np.zeros((10, 2), dtype=np.float32) for _ in range(5)]
    assert measure(lambda batch: seen.append(len(batch)), batches, 0.01) >= 0
    assert set(seen) == {10}
    assert len(seen) >= 3
