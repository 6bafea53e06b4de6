"""The clock: every campaign's flows at their times, from the declarations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aws_cdk import Duration, TimeZone
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.flow_task import FLOW, LIST
from infra.constructs.parts import Parts
from infra.constructs.queues import dead_letter_queue
from infra.constructs.running import let_run
from infra.constructs.task import Task
from infra.cron import scheduler_expression
from propensity.campaign import Campaign
from propensity.schedules import platform_schedules, schedules

PENDING = "pending-lists"
HEALTH = "flow-health"


@dataclass(frozen=True, slots=True)
class Run:
    """A flow of a campaign, or of the platform, and when it is due. ``name``: its deployment in Prefect, as in ``retrain-term-deposit``."""

    kind: str
    campaign: str
    expression: str

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.campaign}"


def runs(campaigns: Sequence[Campaign], *, servers: bool) -> Iterator[Run]:
    """Those of each campaign and of the platform. ``servers``: whether Prefect's runs. Raises CampaignError for what AWS cannot express."""
    for one in [*schedules(campaigns), *platform_schedules(prefect=servers)]:
        yield Run(one.flow, one.campaign, scheduler_expression(one.cron, campaign=one.campaign))


class Schedules(Construct):
    """A schedule for each run, one that sees to lists whose job was killed, and one that watches the flows.

    Attributes
    ----------
    not_started : sqs.Queue
        What EventBridge could not start although it tried again.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, parts: Parts, campaigns: Sequence[Campaign], flow: Task, scored_list: Task
    ) -> None:
        super().__init__(scope, construct_id)
        self._parts = parts
        self.not_started: sqs.Queue = dead_letter_queue(self, "NotStarted")
        self._role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("scheduler.amazonaws.com"))
        self._group = scheduler.ScheduleGroup(self, "Group")
        for task in (flow, scored_list):
            let_run(self._role, task, parts.place.cluster)
        for run in runs(campaigns, servers=parts.environment.profile.servers):
            expression = scheduler.ScheduleExpression.expression(run.expression, TimeZone.ETC_UTC)
            self._add(run.name, f"{run.kind} {run.campaign}", expression, flow, FLOW, ["flows.run", run.name])
        # Nobody starts the task of a list again where it was killed.
        hourly = scheduler.ScheduleExpression.rate(Duration.hours(1))
        self._add(PENDING, "lists left half done", hourly, scored_list, LIST, ["flows.list_job", "--pending"])
        looks = scheduler.ScheduleExpression.rate(Duration.hours(parts.environment.profile.look_hours))
        self._add(HEALTH, "flows that are late or failed", looks, flow, FLOW, ["flows.health", "--once"])

    def _add(
        self, name: str, what: str, expression: scheduler.ScheduleExpression, task: Task, container: str, module: Sequence[str]
    ) -> None:
        provider = "FARGATE_SPOT" if self._parts.environment.services.spot_jobs else "FARGATE"
        override = {"containerOverrides": [{"name": container, "command": ["python", "-m", *module]}]}
        target = targets.EcsRunFargateTask(
            self._parts.place.cluster,
            task_definition=task.definition,
            vpc_subnets=self._parts.place.subnets,
            security_groups=[self._parts.firewall.jobs],
            capacity_provider_strategies=[ecs.CapacityProviderStrategy(capacity_provider=provider, weight=1)],
            propagate_tags=True,
            role=self._role,
            input=scheduler.ScheduleTargetInput.from_object(override),
            dead_letter_queue=self.not_started,
            retry_attempts=10,
            max_event_age=Duration.hours(2),
        )
        description = f"Propensity platform: {what}"
        scheduler.Schedule(self, name, description=description, schedule_group=self._group, schedule=expression, target=target)
