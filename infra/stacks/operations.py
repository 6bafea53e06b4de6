"""The stack that watches the others: alarms, dashboard, budget."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from constructs import Construct

from infra.constructs.alarms import Alarms
from infra.constructs.budget import Budget
from infra.constructs.dashboard import Dashboard
from infra.constructs.parts import Parts
from infra.constructs.schedules import Run, runs
from infra.stacks.front import FrontStack
from infra.stacks.jobs import JobsStack
from infra.stacks.services import ServicesStack
from propensity.campaign import Campaign


class OperationsStack(cdk.Stack):
    """Stateless; nothing depends on it.

    Attributes
    ----------
    alarms : Alarms
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        parts: Parts,
        campaigns: Sequence[Campaign],
        services: ServicesStack | None,
        jobs: JobsStack,
        front: FrontStack,
    ) -> None:
        super().__init__(scope, construct_id, description="Propensity platform: alarms and dashboard")
        due = list(runs(campaigns, servers=services is not None))
        self.alarms = alarms = Alarms(self, "Alarms", people=parts.topics.people)
        alarms.rest_api(front.rest.stage)
        for name, function in {**front.functions, "ListUploaded": jobs.uploaded.function.function}.items():
            alarms.function(name, function)
        self._dead_letters(parts, jobs, front)
        if services is not None:
            alarms.dead_letters("Worker", services.worker.unread, "Prefect's worker cannot read what ECS says of its tasks.")
            for name, target in services.targets.items():
                alarms.target(name, target, services.services[name].least)
        alarms.database(parts.database.server)
        alarms.flows(due, jobs.flow.lines)
        if parts.environment.profile.dashboard:
            self._dashboard(parts, due, services, front)
        Budget(self, "Budget", environment=parts.environment, people=parts.topics.people)

    def _dead_letters(self, parts: Parts, jobs: JobsStack, front: FrontStack) -> None:
        gave_up = front.heard.dead_letters
        assert gave_up is not None, "nobody waits for the answer to an alert"
        self.alarms.dead_letters("Alert", gave_up, "An alert could not be dealt with: nothing was retrained, or nobody told.")
        self.alarms.dead_letters("Uploads", parts.lake.uploads_failed, "An uploaded list could not be started.")
        self.alarms.dead_letters("Schedules", jobs.schedules.not_started, "A flow that was due could not be started.")

    def _dashboard(self, parts: Parts, due: Sequence[Run], services: ServicesStack | None, front: FrontStack) -> None:
        board = Dashboard(self, "Dashboard", alarms=[*self.alarms.made.values(), *(services.rollback_alarms if services else ())])
        board.rest_api(front.rest.stage)
        if services is not None:
            board.services({name: service.service for name, service in services.services.items()}, services.targets)
        board.database(parts.database.server)
        board.flows(due)
