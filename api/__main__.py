"""``python -m api``: read the settings, serve until asked to stop, finish what is in flight."""

from __future__ import annotations

import sys

from api import logs
from api.app import create_app
from api.server import Server
from propensity.errors import PropensityError
from propensity.settings import read_settings


def main() -> int:
    """Returns the process exit code: 0 after a clean end, 1 where requests were cut off, else that of the error."""
    from api.compose import compose

    try:
        settings = read_settings()
        services = compose(settings)
        server = Server(create_app(services), settings.api_host, settings.api_port, settings.api_threads, services.draining)
    except PropensityError as exc:
        print(f"the scoring service cannot start: {exc}", file=sys.stderr)
        return exc.exit_code
    lines = logs.configure()
    services.metrics.watch_logs(lambda: lines.dropped)
    server.stop_on_signals()
    print(f"scoring service on {server.address}", flush=True)
    services.models.start()
    finished = server.run()
    services.models.stop()
    if services.tracing is not None:
        services.tracing.stop()
    return 0 if finished else 1


if __name__ == "__main__":
    sys.exit(main())
