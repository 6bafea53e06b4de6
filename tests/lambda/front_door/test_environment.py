from __future__ import annotations

import importlib

import pytest

from propensity.errors import SettingsInvalid

environment = importlib.import_module("lambda.front_door.environment")
URL, TIMEOUT = environment.URL, environment.TIMEOUT
SOUND = {URL: "http://scoring.internal:8700", TIMEOUT: "25"}


def test_reads_address_and_timeout() -> None:
    read = environment.read_environment(SOUND)
    assert (read.host, read.port, read.timeout_s) == ("scoring.internal", 8700, 25.0)
    assert environment.read_environment({**SOUND, URL: "http://scoring.internal/"}).port == 80


@pytest.mark.parametrize("name", [URL, TIMEOUT])
@pytest.mark.parametrize("value", [None, ""])
def test_names_what_is_missing(name: str, value: str | None) -> None:
    given = {k: v for k, v in {**SOUND, name: value}.items() if v is not None}
    with pytest.raises(SettingsInvalid, match=name):
        environment.read_environment(given)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (URL, "scoring.internal:8700"),
        (URL, "https://scoring.internal:8700"),
        (URL, "http://"),
        (URL, "http://scoring.internal:http"),
        (URL, "http://scoring.internal/v1"),
        (URL, "http://key:secret-word@scoring.internal"),
        (TIMEOUT, "soon"),
        (TIMEOUT, "0"),
        (TIMEOUT, "29"),
        (TIMEOUT, "nan"),
    ],
)
def test_names_what_is_wrong_and_never_its_value(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=name) as refused:
        environment.read_environment({**SOUND, name: value})
    assert "secret-word" not in str(refused.value)
