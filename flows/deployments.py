"""Which flows run when: one set of deployments per campaign, derived from the declarations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from propensity.campaigns import all_campaigns

# UTC. Scoring stands ready when the call centre opens; monitoring sees the whole day.
SCORE_CRON = "0 6 * * *"
MONITOR_CRON = "0 22 * * *"
REPORT_CRON = "30 22 * * *"


@dataclass(frozen=True)
class Scheduled:
    """One deployment. ``entrypoint`` names the flow by module: entry points do not import each other."""

    name: str
    entrypoint: str
    cron: str
    parameters: dict[str, Any]


def schedules() -> list[Scheduled]:
    """Every deployment of every campaign."""
    found = []
    for declared in all_campaigns().values():
        parameters = {"campaign_name": declared.name}
        found += [
            Scheduled(f"retrain-{declared.name}", "flows.retrain.retrain", declared.retrain_cron, parameters),
            Scheduled(f"score-{declared.name}", "flows.score.score", SCORE_CRON, parameters),
            Scheduled(f"monitor-{declared.name}", "monitoring.flow.monitor", MONITOR_CRON, parameters),
            Scheduled(f"report-{declared.name}", "flows.report.report", REPORT_CRON, parameters),
        ]
    return found


def serve() -> None:
    """Register every deployment with the Prefect server and run what falls due, until stopped."""
    import asyncio

    from prefect.deployments.runner import RunnerDeployment
    from prefect.runner import Runner

    async def run() -> None:
        runner = Runner(name="propensity", limit=1)
        for scheduled in schedules():
            deployment = RunnerDeployment.from_entrypoint(
                scheduled.entrypoint, name=scheduled.name, cron=scheduled.cron, parameters=scheduled.parameters
            )
            await runner.aadd_deployment(deployment)
        await runner.start()

    asyncio.run(run())
