"""What the function is configured with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from propensity.errors import SettingsInvalid

URL = "PROPENSITY_SCORING_URL"
TIMEOUT = "PROPENSITY_SCORING_TIMEOUT_S"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontDoorEnvironment:
    """Where the scoring service is.

    Attributes
    ----------
    host, port : str, int
        From ``PROPENSITY_SCORING_URL``, as in ``http://scoring.internal:8700``.
    timeout_s : float
        How long its answer may take, from ``PROPENSITY_SCORING_TIMEOUT_S``. API Gateway itself gives up after 29 s.
    """

    host: str
    port: int
    timeout_s: float


def read_environment(variables: Mapping[str, str]) -> FrontDoorEnvironment:
    """Read the variables. Raises SettingsInvalid, naming the one that is missing or wrong."""
    for name in (URL, TIMEOUT):
        if not variables.get(name):
            raise SettingsInvalid(f"the environment variable {name} is missing")
    host, port = _address(variables[URL])
    return FrontDoorEnvironment(host=host, port=port, timeout_s=_seconds(variables[TIMEOUT]))


def _address(url: str) -> tuple[str, int]:
    wrong = f"{URL} must be an address without a path, as in http://scoring.internal:8700"
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError as exc:
        raise SettingsInvalid(wrong) from exc
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query or parts.username is not None:
        raise SettingsInvalid(wrong)
    return parts.hostname, port


def _seconds(text: str) -> float:
    wrong = f"{TIMEOUT} must be a number of seconds above 0 and below 29"
    try:
        seconds = float(text)
    except ValueError as exc:
        raise SettingsInvalid(wrong) from exc
    if not 0 < seconds < 29:
        raise SettingsInvalid(wrong)
    return seconds
