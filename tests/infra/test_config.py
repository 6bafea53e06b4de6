from __future__ import annotations

import dataclasses

import pytest

from infra.config import ENVIRONMENTS, environment_named
from propensity.errors import SettingsInvalid


def test_environments_have_names_of_their_own() -> None:
    assert [environment.name for environment in ENVIRONMENTS] == ["dev", "staging", "prod"]


@pytest.mark.parametrize("name", [None, "production", "", 1])
def test_an_unknown_environment_is_refused_by_naming_those_that_exist(name: object) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        environment_named(name)
    assert refused.value.exit_code == 3
    assert all(environment.name in str(refused.value) for environment in ENVIRONMENTS)


def test_an_environment_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        environment_named("prod").keep_data = False  # type: ignore[misc]


def test_data_that_are_kept_are_kept_longest_in_production() -> None:
    prod = environment_named("prod")
    assert prod.keep_data
    assert prod.termination_protection
    for other in ENVIRONMENTS:
        assert all(getattr(prod.retention, f.name) >= getattr(other.retention, f.name) for f in dataclasses.fields(prod.retention))
