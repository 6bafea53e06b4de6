"""A service that is replaced without a pause, and put back by itself where the new one is no good."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from constructs import Construct

from infra.config import ServiceSize
from infra.constructs.balancer import Balancer, Route
from infra.constructs.task import STOP_S, Task

# The balancer stops sending new requests to a task and lets it finish the old ones for so long. Shorter than `STOP_S`, which begins
# after it, so that no request is cut off.
DEREGISTRATION_S = 30
CPU_TARGET_PERCENT = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where tasks run."""

    cluster: ecs.ICluster
    subnets: ec2.SubnetSelection


class Service(Construct):
    """A rolling update: new tasks are healthy before old ones go.

    Attributes
    ----------
    service : ecs.FargateService
    least : int
        Tasks that there are at any time.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        task: Task,
        size: ServiceSize,
        place: Place,
        security_group: ec2.ISecurityGroup,
        grace: Duration | None = None,
        single: bool = False,
    ) -> None:
        """``grace``: how long a new task may be unhealthy. ``single``: never two at once; the old one stops before the new one starts."""
        super().__init__(scope, construct_id)
        self.least = size.least
        self.service = ecs.FargateService(
            self,
            "Service",
            cluster=place.cluster,
            task_definition=task.definition,
            vpc_subnets=place.subnets,
            security_groups=[security_group],
            desired_count=size.least,
            min_healthy_percent=0 if single else 100,
            max_healthy_percent=100 if single else 200,
            availability_zone_rebalancing=ecs.AvailabilityZoneRebalancing.DISABLED if single else ecs.AvailabilityZoneRebalancing.ENABLED,
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            health_check_grace_period=grace,
            capacity_provider_strategies=[
                ecs.CapacityProviderStrategy(capacity_provider="FARGATE_SPOT" if size.spot else "FARGATE", weight=1)
            ],
            enable_execute_command=False,
            enable_ecs_managed_tags=True,
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
        )
        if size.most > size.least:
            scaling = self.service.auto_scale_task_count(min_capacity=size.least, max_capacity=size.most)
            scaling.scale_on_cpu_utilization("Cpu", target_utilization_percent=CPU_TARGET_PERCENT, scale_in_cooldown=Duration.minutes(5))

    def behind(self, balancer: Balancer, port: int, route: Route) -> elb.ApplicationTargetGroup:
        """Put the service behind the balancer."""
        balancer.name(route.name)
        return balancer.listener.add_targets(
            route.name,
            port=port,
            protocol=elb.ApplicationProtocol.HTTP,
            targets=[self.service],
            conditions=[route.condition(balancer.names)],
            priority=route.priority,
            deregistration_delay=Duration.seconds(DEREGISTRATION_S),
            health_check=elb.HealthCheck(
                path=route.health,
                healthy_http_codes="200",
                interval=Duration.seconds(10),
                timeout=Duration.seconds(5),
                healthy_threshold_count=2,
                unhealthy_threshold_count=3,
            ),
        )


assert DEREGISTRATION_S < STOP_S, "a task would be killed while the balancer lets it finish"
