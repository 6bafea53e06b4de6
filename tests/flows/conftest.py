"""A platform on a real Postgres and a folder, with a registry in memory, for the term-deposit campaign on synthetic customers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from local.postgres_urls import DatabaseUrls
from propensity import training
from propensity.adapters.migrate import migrate
from propensity.adapters.platform import Platform, open_platform
from propensity.settings import Settings
from tests.fakes import FakeModelRegistry

NAME = "term-deposit"


@pytest.fixture(scope="module")
def at(database: DatabaseUrls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Small constants make training quick; nothing else is replaced but MLflow."""
    migrate(database.owner_url)
    home = tmp_path_factory.mktemp("flows")
    settings = Settings(
        home=home,
        source="synthetic:4000:1",
        database_url=SecretStr(database.app_url),
        store_url=Path(home, "store").as_uri(),
        mlflow_url=SecretStr("postgresql://nobody@127.0.0.1:1/mlflow"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "FOLDS", 2)
        patch.setattr(training, "SEEDS", (0,))
        patch.setattr(training, "MAX_ROUNDS", 100)
        patch.setattr(training, "PARAMS", {**training.PARAMS, "eta": 0.1})
        opened = open_platform(settings)
        patch.setitem(opened.__dict__, "registry", FakeModelRegistry())
        yield opened
        opened.database.close()
