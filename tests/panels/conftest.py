"""One filled Postgres for all tests here: filling it takes longer than asking it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from local.postgres import EmbeddedPostgres
from tests.panels.filled import Filled, filled


@pytest.fixture(scope="package")
def platform(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """The platform, filled."""
    name = f"panels_{secrets.token_hex(4)}"
    urls = postgres.create_database(name)
    with filled(urls, tmp_path_factory.mktemp("store")) as found:
        yield found
    postgres.drop_database(name)
