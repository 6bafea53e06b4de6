"""A program that is served: tasks of its own, replaced without a pause, behind the balancer."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from constructs import Construct

from infra.config import ServiceSize
from infra.constructs.balancer import Balancer, Route
from infra.constructs.parts import Parts
from infra.constructs.service import Service
from infra.constructs.task import Program, Task


class Served(Construct):
    """What the scoring service, MLflow, Prefect and Grafana have in common.

    Attributes
    ----------
    task : Task
        May do nothing before it is granted it.
    service : Service
    target : elb.ApplicationTargetGroup
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        parts: Parts,
        balancer: Balancer,
        program: Program,
        size: ServiceSize,
        security_group: ec2.ISecurityGroup,
        route: Route,
        grace: Duration,
    ) -> None:
        """``grace``: how long a new task may be unhealthy. The container is named as the route is."""
        super().__init__(scope, construct_id)
        assert program.port is not None, "what is served listens"
        self.task = Task(self, "Task", name=route.name, size=size.task, environment=parts.environment, program=program)
        self.service = Service(self, "Service", task=self.task, size=size, place=parts.place, security_group=security_group, grace=grace)
        self.target: elb.ApplicationTargetGroup = self.service.behind(balancer, program.port, route)
