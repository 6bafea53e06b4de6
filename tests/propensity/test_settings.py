from __future__ import annotations

from pathlib import Path

import pytest

from propensity.errors import SettingsInvalid
from propensity.settings import read_settings


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("PROPENSITY_")]:
        monkeypatch.delenv(name)


def test_the_service_listens_on_this_machine_alone_unless_told_otherwise() -> None:
    assert read_settings().api_host == "127.0.0.1"
    assert read_settings().data_dir is None


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROPENSITY_API_PORT", "0")
    monkeypatch.setenv("PROPENSITY_DATA_DIR", "/somewhere")
    assert read_settings().api_port == 0
    assert read_settings().data_dir == Path("/somewhere")


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROPENSITY_DATA_DIR", "")
    monkeypatch.setenv("PROPENSITY_S3_ENDPOINT_URL", "")
    assert read_settings().data_dir is None
    assert read_settings().s3_endpoint_url is None


@pytest.mark.parametrize("name", ["PROPENSITY_API_PORT", "PROPENSITY_RELOAD_S", "PROPENSITY_API_THREADS"])
def test_a_wrong_setting_is_named_and_its_value_is_not(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "sekrit")
    with pytest.raises(SettingsInvalid) as refusal:
        read_settings()
    assert name in str(refusal.value)
    assert "sekrit" not in str(refusal.value)


def test_passwords_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROPENSITY_DATABASE_URL", "postgresql://app:sekrit@127.0.0.1/propensity")
    monkeypatch.setenv("PROPENSITY_MLFLOW_URL", "postgresql://app:sekrit@127.0.0.1/mlflow")
    assert "sekrit" not in repr(read_settings())
    assert "sekrit" in read_settings().database_url.get_secret_value()
