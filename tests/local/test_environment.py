from __future__ import annotations

import stat
from pathlib import Path

import pytest

from local.environment import PROJECT, compose, environ, home_folder, prefect_auth, start_databases
from local.postgres_urls import DatabaseUrls, given_urls
from propensity.errors import SettingsInvalid
from propensity.settings import Settings

URLS = DatabaseUrls("postgresql://app:a@h/p", "postgresql://owner:o@h/p", "postgresql+psycopg://m:m@h/m", "postgresql+asyncpg://p:p@h/p")


def test_the_home_is_in_the_project_unless_it_is_set(tmp_path: Path) -> None:
    assert home_folder({}) == PROJECT / ".propensity"
    assert home_folder({"PROPENSITY_HOME": str(tmp_path)}) == tmp_path


def test_everything_lies_in_the_home_by_default(home: Path) -> None:
    settings = compose(home, URLS, {}, api_port=8701)
    assert settings.store_url == (home / "store").as_uri()
    assert settings.mlflow_artifacts == (home / "mlflow").as_uri()
    assert settings.api_port == 8701
    assert settings.database_url.get_secret_value() == URLS.app_url


def test_the_environment_wins(home: Path) -> None:
    settings = compose(home, URLS, {"PROPENSITY_STORE_URL": "s3://bucket/prefix", "PROPENSITY_API_THREADS": "3"})
    assert settings.store_url == "s3://bucket/prefix"
    assert settings.api_threads == 3


def test_a_wrong_variable_is_named_without_its_value(home: Path) -> None:
    with pytest.raises(SettingsInvalid, match="PROPENSITY_API_THREADS") as caught:
        compose(home, URLS, {"PROPENSITY_API_THREADS": "secret-word"})
    assert "secret-word" not in str(caught.value)


def test_a_child_reads_back_the_settings_it_was_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = compose(home, URLS, {"PROPENSITY_DATA_DIR": "/data"}, api_port=8701)
    for name, value in environ(settings, owner=True, base={}).items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings


def test_relative_folders_are_the_same_for_a_child_that_works_elsewhere(home: Path) -> None:
    settings = compose(home, URLS, {"PROPENSITY_DATA_DIR": "data"})
    assert settings.data_dir == Path("data").absolute()
    told = environ(settings, base={"PROPENSITY_CAMPAIGNS_DIR": "mine"})
    assert told["PROPENSITY_CAMPAIGNS_DIR"] == str(Path("mine").absolute())


def test_the_scoring_service_learns_neither_owner_nor_mlflow(home: Path) -> None:
    told = environ(compose(home, URLS, {}), mlflow=False, base={})
    assert URLS.owner_url not in told.values()
    assert URLS.mlflow_url not in told.values()
    assert told["PROPENSITY_DATABASE_URL"] == URLS.app_url


def test_a_persons_own_servers_are_not_reached(home: Path) -> None:
    base = {"PREFECT_API_URL": "https://elsewhere", "MLFLOW_TRACKING_URI": "https://elsewhere", "PATH": "/bin"}
    told = environ(compose(home, URLS, {}), base=base)
    assert "https://elsewhere" not in told.values()
    assert told["PATH"] == "/bin"
    assert environ(compose(home, URLS, {}), prefect_api_url="http://here/api", base=base)["PREFECT_API_URL"] == "http://here/api"


def test_telemetry_is_off_for_every_library_that_has_some(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.telemetry.utils import is_telemetry_disabled
    from prefect.settings.models.root import Settings as PrefectSettings

    for name, value in environ(compose(home, URLS, {}), base={}).items():
        monkeypatch.setenv(name, value)
    assert is_telemetry_disabled()
    prefect = PrefectSettings()
    assert prefect.server.analytics_enabled is False
    assert prefect.server.api.auth_string is not None
    assert prefect.server.api.auth_string.get_secret_value() == prefect_auth(home)
    assert prefect.api.auth_string is not None


def test_the_prefect_password_is_made_once_and_only_its_owner_reads_it(home: Path) -> None:
    first = prefect_auth(home)
    assert first.startswith("propensity:")
    assert prefect_auth(home) == first
    assert stat.S_IMODE((home / "secrets.json").stat().st_mode) == 0o600


def test_a_given_database_is_used_and_nothing_is_started(home: Path) -> None:
    given = {"PROPENSITY_DATABASE_URL": "a", "PROPENSITY_OWNER_URL": "b", "PROPENSITY_MLFLOW_URL": "c"}
    urls, server, started = start_databases(home, given)
    assert (urls.app_url, urls.owner_url, urls.mlflow_url) == ("a", "b", "c")
    assert server is None
    assert not started
    assert list(home.iterdir()) == []


def test_a_database_given_in_part_is_refused_naming_the_rest() -> None:
    with pytest.raises(SettingsInvalid, match="PROPENSITY_MLFLOW_URL"):
        given_urls({"PROPENSITY_DATABASE_URL": "a", "PROPENSITY_OWNER_URL": "b"})
