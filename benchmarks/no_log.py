"""The service with a log that keeps nothing, to measure what the log costs: ``python -m benchmarks.no_log``. It is never deployed.

Everything else is the service's own: `api.__main__` runs, and is given services whose log forgets.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import api.__main__
import api.compose
from api.packages import FirstParse
from api.services import Services
from propensity.ports import LoggedRequest, PredictionLog, StoredReply
from propensity.settings import Settings


class Forgetful:
    """A log that says "written" and writes nothing; reading goes to the real one."""

    def __init__(self, real: PredictionLog) -> None:
        self._real = real

    def append(self, entry: LoggedRequest, *, idempotency_key: str | None, body_sha256: str, reply: bytes) -> StoredReply | None:  # noqa: ARG002
        """Nothing is kept."""
        return None

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


def main() -> int:
    """Serve as ``python -m api`` does."""
    real = api.compose.compose

    def forgetful(settings: Settings, first_parse: FirstParse) -> Services:
        services = real(settings, first_parse)
        return replace(services, log=Forgetful(services.log))  # type: ignore[arg-type]

    api.compose.compose = forgetful
    return api.__main__.main()


if __name__ == "__main__":
    sys.exit(main())
