"""The clock: which flows run when, one set per campaign, derived from the declarations, and those of the platform as a whole.

Prefect on one machine, Prefect's worker and EventBridge on AWS go by it alike. Times are UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from propensity.campaign import Campaign
from propensity.campaigns import all_campaigns
from propensity.flow_health import PLATFORM, Schedule

# Scoring stands ready when the call centre opens; monitoring sees the whole day.
SCORE_CRON = "0 6 * * *"
# What came back by the evening counts in the monitoring of the same day.
OUTCOMES_CRON = "0 21 * * *"
MONITOR_CRON = "0 22 * * *"
REPORT_CRON = "30 22 * * *"
# Before scoring, and once more when the day's traffic can be seen.
FOLLOW_CRON = "30 5,12 * * *"
# So that a comparison finds little left to score.
SHADOW_CRON = "25 */6 * * *"
# A day's predictions mature at midnight.
COMPARE_CRON = "40 0 * * *"
RETENTION_CRON = "30 2 * * *"
# How long after its due time a flow may take to end, in seconds.
GRACE_S = 2 * 3600
RETRAIN_GRACE_S = 6 * 3600


@dataclass(frozen=True)
class Scheduled:
    """One flow and when it is due, named ``<flow>-<campaign>``. ``entrypoint``: by module, since entry points do not import each other.

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


def schedules(campaigns: Iterable[Campaign] | None = None) -> list[Scheduled]:
    """Every flow of these campaigns, by default of all."""
    found = []
    for declared in all_campaigns().values() if campaigns is None else campaigns:
        parameters = {"campaign_name": declared.name}
        found += [
            Scheduled(f"retrain-{declared.name}", "flows.retrain.retrain", declared.retrain_cron, parameters, RETRAIN_GRACE_S),
            Scheduled(f"score-{declared.name}", "flows.score.score", SCORE_CRON, parameters),
            Scheduled(f"outcomes-{declared.name}", "flows.outcomes.outcomes", OUTCOMES_CRON, parameters),
            Scheduled(f"monitor-{declared.name}", "monitoring.flow.monitor", MONITOR_CRON, parameters),
            Scheduled(f"report-{declared.name}", "flows.report.report", REPORT_CRON, parameters),
            Scheduled(f"shadow-{declared.name}", "flows.shadow.shadow", SHADOW_CRON, parameters),
            Scheduled(f"compare-{declared.name}", "flows.compare.compare_models", COMPARE_CRON, parameters),
        ]
        if declared.retraining.follows:
            found.append(Scheduled(f"follow-{declared.name}", "flows.follow.follow", FOLLOW_CRON, parameters))
    return found


def platform_schedules() -> list[Scheduled]:
    """Flows that belong to no campaign."""
    return [Scheduled(f"retention-{PLATFORM}", "flows.retention.retention", RETENTION_CRON, {})]
