"""Which flows run when: one set of deployments per campaign, derived from the declarations, and those of the platform as a whole."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from propensity.campaigns import all_campaigns
from propensity.flow_health import PLATFORM, Schedule

log = logging.getLogger("propensity.flows")
# UTC. Scoring stands ready when the call centre opens; monitoring sees the whole day.
SCORE_CRON = "0 6 * * *"
# What came back by the evening counts in the monitoring of the same day.
OUTCOMES_CRON = "0 21 * * *"
MONITOR_CRON = "0 22 * * *"
SHADOW_CRON = "25 * * * *"
# A day's predictions mature at midnight.
COMPARE_CRON = "40 0 * * *"
RETENTION_CRON = "30 2 * * *"
# How long after its due time a flow may take to end, in seconds.
GRACE_S = 2 * 3600
RETRAIN_GRACE_S = 6 * 3600
# Prefect's runner ends itself after half a minute without its server.
RUNNER_PAUSE_S = 10.0


@dataclass(frozen=True)
class Scheduled:
    """One deployment, named ``<flow>-<campaign>``. ``entrypoint`` names the flow by module: entry points do not import each other.

    ``grace_s``: how long after its due time it may take to end before that is told.
    """

    name: str
    entrypoint: str
    cron: str
    parameters: dict[str, Any]
    grace_s: int = GRACE_S

    @property
    def campaign(self) -> str:
        """Its campaign, or that of what belongs to none."""
        return str(self.parameters.get("campaign_name", PLATFORM))

    @property
    def flow(self) -> str:
        """The name that it records its runs under."""
        return self.name.removesuffix(f"-{self.campaign}")

    @property
    def schedule(self) -> Schedule:
        """What its health is judged by."""
        return Schedule(self.flow, self.campaign, self.cron, self.grace_s)


def schedules() -> list[Scheduled]:
    """Every deployment of every campaign."""
    found = []
    for declared in all_campaigns().values():
        parameters = {"campaign_name": declared.name}
        found += [
            Scheduled(f"retrain-{declared.name}", "flows.retrain.retrain", declared.retrain_cron, parameters, RETRAIN_GRACE_S),
            Scheduled(f"score-{declared.name}", "flows.score.score", SCORE_CRON, parameters),
            Scheduled(f"outcomes-{declared.name}", "flows.outcomes.outcomes", OUTCOMES_CRON, parameters),
            Scheduled(f"monitor-{declared.name}", "monitoring.flow.monitor", MONITOR_CRON, parameters),
            Scheduled(f"shadow-{declared.name}", "flows.shadow.shadow", SHADOW_CRON, parameters),
            Scheduled(f"compare-{declared.name}", "flows.compare.compare_models", COMPARE_CRON, parameters),
        ]
    return found


def platform_schedules() -> list[Scheduled]:
    """Deployments that belong to no campaign."""
    return [Scheduled(f"retention-{PLATFORM}", "flows.retention.retention", RETENTION_CRON, {})]


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
