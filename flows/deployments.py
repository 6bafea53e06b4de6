"""Deployments in Prefect of what the clock says, served by this process."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from propensity.schedules import Scheduled, platform_schedules, schedules

log = logging.getLogger("propensity.flows")
# Prefect's runner ends itself after half a minute without its server.
RUNNER_PAUSE_S = 10.0


def serve(deployments: Sequence[Scheduled] | None = None) -> None:
    """Register every deployment with the Prefect server and run what falls due, until stopped.

    Prefect's runner gives up half a minute after its server did; another then takes its place, for as long as it takes.
    """
    import asyncio

    from propensity.errors import SettingsInvalid, StoreError

    chosen = [*schedules(), *platform_schedules()] if deployments is None else list(deployments)
    while True:
        try:
            _register(chosen)
            asyncio.run(_run(chosen))
            return
        except StoreError as exc:
            log.warning(f"the schedules could not be registered: {exc}")
        except SettingsInvalid:
            raise
        except Exception as exc:  # noqa: BLE001 - whatever ended the runner, mostly an outage of the server: without one, nothing falls due
            log.warning(f"the runner ended ({type(exc).__name__}); another begins in {RUNNER_PAUSE_S:.0f} s")
        time.sleep(RUNNER_PAUSE_S)


def _register(deployments: Sequence[Scheduled]) -> None:
    from propensity.adapters.platform import platform

    platform().heartbeats.register([one.schedule for one in deployments], complete=False)


async def _run(deployments: Sequence[Scheduled]) -> None:
    from prefect.deployments.runner import RunnerDeployment
    from prefect.runner import Runner

    runner = Runner(name="propensity", limit=1)
    for scheduled in deployments:
        deployment = RunnerDeployment.from_entrypoint(
            scheduled.entrypoint, name=scheduled.name, cron=scheduled.cron, parameters=scheduled.parameters
        )
        await runner.aadd_deployment(deployment)
    await runner.start()
