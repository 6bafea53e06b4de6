"""One stand for all tests here: a model of the campaign is trained once, on customers drawn by its recipe."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from local.postgres import EmbeddedPostgres
from propensity.campaigns import campaign
from propensity.ingest import ingest
from propensity.snapshot import read_snapshot
from propensity.synthetic import generate
from tests.api.browser import chromium
from tests.api.test_server import serving
from tests.builders import train_fast
from tests.pages.stand import NAME, Stand, stand

ROWS = 4_000


@pytest.fixture(scope="package")
def platform(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """The stand, with a live model and one that waits for approval."""
    name = f"pages_{secrets.token_hex(4)}"
    urls = postgres.create_database(name)
    with stand(urls, tmp_path_factory.mktemp("stand")) as found:
        declared = campaign(NAME)
        made = ingest(declared, generate(declared, ROWS, 3), found.platform.store).manifest
        data = read_snapshot(found.platform.store, declared, made.snapshot_id)
        found.promote(train_fast(data, declared, rounds=40).model, 1)
        found.promote(train_fast(data, declared, rounds=15, seed=1).model, 2, action="refuse", step="pending")
        found.services.keys.start()
        found.services.models.start()
        yield found
        found.services.keys.stop()
    postgres.drop_database(name)


@pytest.fixture(scope="package")
def address(platform: Stand) -> Iterator[str]:
    """Where the pages are."""
    with serving(platform.app, threads=4) as (server, _, _):
        yield server.address


# Not longer: its driver keeps an event loop running in this thread, which other modules' tests must not meet.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the tests of a module; a machine that does other things as well is waited for."""
    expect.set_options(timeout=20_000)
    with chromium() as found:
        yield found
