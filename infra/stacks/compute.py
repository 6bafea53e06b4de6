"""The stack with the cluster, and the migration that runs in it before anything else does."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from infra.acknowledged import acknowledge
from infra.config import Environment
from infra.constructs.migration import Migration
from infra.constructs.registry import Images
from infra.constructs.service import Place
from infra.stacks.database import DatabaseStack
from infra.stacks.network import NetworkStack


class ComputeStack(cdk.Stack):
    """Stacks whose programs need the tables are deployed after this one.

    Attributes
    ----------
    place : Place
        The cluster and the subnets of its tasks.
    migration : Migration
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment: Environment,
        network: NetworkStack,
        database: DatabaseStack,
        images: Images,
    ) -> None:
        super().__init__(scope, construct_id, description="Propensity platform: cluster and migrations")
        cluster = ecs.Cluster(
            self,
            "Cluster",
            vpc=network.network.vpc,
            container_insights_v2=ecs.ContainerInsights.ENABLED if environment.insights else ecs.ContainerInsights.DISABLED,
            enable_fargate_capacity_providers=True,
        )
        if not environment.insights:
            acknowledge(cluster, {"ECS4": "Too dear for this environment; processor and memory of each service are measured without it."})
        self.place = Place(cluster=cluster, subnets=network.network.private)
        self.migration = Migration(
            self,
            "Migration",
            environment=environment,
            database=database.database,
            images=images,
            place=self.place,
            security_group=network.firewall.jobs,
            vpc=network.network.vpc,
        )
