"""The service with a log that keeps nothing, to measure what the log costs: ``python -m benchmarks.no_log``. It is never deployed.

Everything else is the service's own: `api.__main__` runs, and is given services whose log forgets.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from propensity.first_parse import NEEDLESS

if TYPE_CHECKING:
    from api.services import Services
    from propensity.ports import LoggedRequest, PredictionLog, StoredReply


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
    # As the service itself does before its imports, so that both hold the same in memory.
    sys.modules.update(dict.fromkeys(NEEDLESS))  # type: ignore[arg-type]
    from api import __main__ as service
    from api import compose

    real = compose.compose

    def forgetful(*args: Any, **kwargs: Any) -> Services:
        services = real(*args, **kwargs)
        return replace(services, log=Forgetful(services.log))  # type: ignore[arg-type]

    compose.compose = forgetful
    return service.main()


if __name__ == "__main__":
    sys.exit(main())
