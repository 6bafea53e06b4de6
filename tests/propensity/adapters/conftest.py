"""What the tests of the Postgres stores share: a migrated database and the application's way into it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.postgres_urls import DatabaseUrls
from propensity.adapters.database import Database
from propensity.adapters.migrate import migrate


@pytest.fixture(scope="module")
def stores(database: DatabaseUrls) -> Iterator[Database]:
    """The migrated database of this test module, seen through the role that may only insert and select."""
    migrate(database.owner_url)
    app = Database(database.app_url, pool_size=12, timeout_s=10.0)
    yield app
    app.close()
