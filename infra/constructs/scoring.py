"""The scoring service."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from infra.constructs.access import let_read
from infra.constructs.balancer import Balancer, Route
from infra.constructs.firewall import SCORING
from infra.constructs.parts import Parts
from infra.constructs.programs import password_of, platform_variables
from infra.constructs.rollback import roll_back_on_errors
from infra.constructs.served import Served
from infra.constructs.task import Program

GRACE = Duration.seconds(60)
# Started once, not ready now: a balancer that asked for Postgres would have every task replaced while Postgres is down.
STARTED = "/startupz"


class Scoring(Served):
    """Reads models and the lists that it is asked about, and writes nothing but the prediction log.

    Attributes
    ----------
    alarms : list of cloudwatch.Alarm
        What puts the old version back while a deployment is under way.
    """

    def __init__(self, scope: Construct, construct_id: str, *, parts: Parts, balancer: Balancer) -> None:
        login = parts.database.login("propensity_app")
        super().__init__(
            scope,
            construct_id,
            parts=parts,
            balancer=balancer,
            size=parts.environment.services.scoring,
            security_group=parts.firewall.scoring,
            route=Route(name="scoring", priority=10, health=STARTED),
            grace=GRACE,
            program=Program(
                image=parts.images.container("api"),
                environment={
                    **platform_variables(login, parts.lake.bucket),
                    "PROPENSITY_API_HOST": "0.0.0.0",  # noqa: S104 - of the task's own network interface
                    "PROPENSITY_API_PORT": str(SCORING),
                },
                # The same in every task, so that people stay signed in whichever answers.
                secrets={**password_of(login), "PROPENSITY_SESSION_SECRET": ecs.Secret.from_secrets_manager(parts.database.session)},
                key=parts.database.key,
                port=SCORING,
            ),
        )
        let_read(self.task.role, parts.lake, "models")
        self.alarms: list[cloudwatch.Alarm] = roll_back_on_errors(self.service, self.target, tell=parts.topics.people)
