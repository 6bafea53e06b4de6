"""What every test may use: a real PostgreSQL of its own, and databases in it."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from local.postgres import EmbeddedPostgres
from local.postgres_binaries import find_binaries
from local.postgres_urls import DatabaseUrls
from propensity.errors import SettingsInvalid

# Whole platforms, real faults and measurements: beside others they would say something about these.
ALONE = frozenset({"benchmarks", "e2e", "faults", "rehearse", "replay"})
OPTIONAL = ("PROPENSITY_DATA_DIR", "PROPENSITY_SPARK_PYTHON")


def pytest_report_header() -> list[str]:
    try:
        postgres = str(find_binaries())
    except SettingsInvalid as exc:
        postgres = str(exc)
    return [f"postgres: {postgres}", f"data: {os.environ.get('PROPENSITY_DATA_DIR', 'PROPENSITY_DATA_DIR is not set: no real data')}"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark ``alone`` by folder."""
    for item in items:
        if ALONE.intersection(item.path.relative_to(Path(__file__).parent).parts[:1]):
            item.add_marker(pytest.mark.alone)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where PROPENSITY_REQUIRE_SERVICES is 1, as in continuous integration, a skip is a failure: an absent service proves nothing.

    The public data files are no service, and Spark is half a gigabyte for one test: a machine may do without them.
    """
    report = yield
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
    required = os.environ.get("PROPENSITY_REQUIRE_SERVICES") == "1"
    if required and report.skipped and not hasattr(report, "wasxfail") and not any(name in reason for name in OPTIONAL):
        report.outcome = "failed"
        report.longrepr = f"PROPENSITY_REQUIRE_SERVICES is set, and this test did not run: {reason}"
    return report


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with the public data files; tests that ask for it are skipped where there is none."""
    folder = os.environ.get("PROPENSITY_DATA_DIR")
    if not folder:
        pytest.skip("PROPENSITY_DATA_DIR is not set: no real data")
    return Path(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A running server for the whole session. Commits do not wait for the disk: nobody needs these data after a power cut."""
    with tempfile.TemporaryDirectory(prefix="propensity-tests-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o711)  # as root, the server's own user must be able to pass
        with EmbeddedPostgres(home, fsync=False) as server:
            yield server


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[DatabaseUrls]:
    """Addresses (``app_url``, ``owner_url``) of an empty database for this test module; dropped afterwards."""
    name = re.sub(r"\W+", "_", request.module.__name__.rpartition(".")[2]).lower()[:40] + "_" + secrets.token_hex(4)
    urls = postgres.create_database(name)
    yield urls
    postgres.drop_database(name)
