"""What the function is configured with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..variables import address, required, seconds

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
    required(variables, URL, TIMEOUT)
    host, port = address(variables, URL, "http://scoring.internal:8700")
    return FrontDoorEnvironment(host=host, port=port, timeout_s=seconds(variables, TIMEOUT, 29))
