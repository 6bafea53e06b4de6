"""``python -m api``: read the settings, serve until asked to stop, finish what is in flight."""

from __future__ import annotations

import gc
import os
import sys

from propensity.adapters.first_parse import FirstParse
from propensity.errors import PropensityError
from propensity.first_parse import rule_out_needless


def main() -> int:
    """Returns the process exit code: 0 after a clean end, 1 where requests were cut off, else that of the error."""
    # The first model is parsed in a process of its own, which imports what it needs while this one does the same.
    first_parse = FirstParse()
    try:
        first_parse.prepare()
        return _serve(first_parse)
    except PropensityError as exc:
        print(f"the scoring service cannot start: {exc}", file=sys.stderr)
        return exc.exit_code
    finally:
        first_parse.close()


def _serve(first_parse: FirstParse) -> int:
    rule_out_needless()
    # Threads of XGBoost that wait for each other sleep: the core may be needed for another request.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from api import logs
    from api.app import create_app
    from api.compose import compose
    from api.memory import keep_small
    from api.server import Server
    from propensity.settings import read_settings

    settings = read_settings()
    services = compose(settings, first_parse)
    server = Server(create_app(services), settings.api_host, settings.api_port, settings.api_threads, services.draining)
    server.admission.refused = services.metrics.refused
    services.metrics.watch_server(queued=lambda: server.waiting, in_flight=lambda: server.in_flight)
    lines = logs.configure()
    services.metrics.watch_logs(lambda: lines.dropped)
    keep_small()
    # What is here stays to the end: the collector of cycles need not look at it again and again, nor so often at what lists bring.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    server.stop_on_signals()
    print(f"scoring service on {server.address}", flush=True)
    services.keys.start()
    services.models.start()
    if services.telemetry is not None:
        services.telemetry.start()
    finished = server.run()
    if services.telemetry is not None:
        services.telemetry.stop()
    services.models.stop()
    services.keys.stop()
    if services.tracing is not None:
        services.tracing.stop()
    return 0 if finished else 1


if __name__ == "__main__":
    sys.exit(main())
