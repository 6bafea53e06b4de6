"""Every stack of one environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from constructs import Construct

from infra.config import Environment
from infra.constructs.parts import Parts
from infra.constructs.registry import Image, Images
from infra.stacks.compute import ComputeStack
from infra.stacks.data_lake import DataLakeStack
from infra.stacks.database import DatabaseStack
from infra.stacks.delivery import DeliveryStack
from infra.stacks.front import FrontStack
from infra.stacks.jobs import JobsStack
from infra.stacks.network import NetworkStack
from infra.stacks.operations import OperationsStack
from infra.stacks.registry import RegistryStack
from infra.stacks.services import ServicesStack
from infra.stacks.topics import TopicsStack
from propensity.campaign import Campaign


class PlatformStage(cdk.Stage):
    """Builds the stacks and hands the constructs of one to the next by reference.

    Attributes
    ----------
    network, registry, topics, compute, jobs, front, operations
        Hold nothing that could not be made again.
    data_lake, database
        Hold data: they are never mixed with what only computes.
    services : ServicesStack or None
        None in a profile in which nothing runs while nobody asks.
    delivery : DeliveryStack or None
        Only where ``repository``, as ``owner/name`` on GitHub, deploys by itself.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment: Environment,
        campaigns: Sequence[Campaign],
        tags: Mapping[Image, str],
        version: str,
        repository: str | None = None,
    ) -> None:
        # The account is that of whoever deploys; the region is declared, as it says whose logs the balancer may write.
        super().__init__(scope, construct_id, env=cdk.Environment(region=environment.network.region))
        self.network = NetworkStack(self, "Network", environment=environment)
        self.data_lake = DataLakeStack(self, "DataLake", environment=environment, campaigns=campaigns)
        self.registry = RegistryStack(self, "Registry", environment=environment)
        self.topics = TopicsStack(self, "Topics", environment=environment)
        self.database = DatabaseStack(self, "Database", environment=environment, network=self.network)
        images = Images(self.registry.registry, tags, version)
        self.compute = ComputeStack(self, "Compute", environment=environment, network=self.network, database=self.database, images=images)
        parts = self._parts(environment, images)
        self.jobs = JobsStack(self, "Jobs", parts=parts, campaigns=campaigns)
        self.services = ServicesStack(self, "Services", parts=parts, flow=self.jobs.flow) if environment.profile.servers else None
        self.front = FrontStack(self, "Front", parts=parts, flow=self.jobs.flow)
        self.operations = OperationsStack(
            self, "Operations", parts=parts, campaigns=campaigns, services=self.services, jobs=self.jobs, front=self.front
        )
        self.delivery = repository and DeliveryStack(
            self,
            "Delivery",
            environment=environment,
            repository=repository,
            registry=self.registry.registry,
            lake=self.data_lake.lake,
        )
        cdk.Tags.of(self).add("application", "propensity")
        cdk.Tags.of(self).add("environment", environment.name)
        self._in_order()

    def _parts(self, environment: Environment, images: Images) -> Parts:
        return Parts(
            environment=environment,
            network=self.network.network,
            firewall=self.network.firewall,
            lake=self.data_lake.lake,
            database=self.database.database,
            images=images,
            topics=self.topics.topics,
            place=self.compute.place,
        )

    def _in_order(self) -> None:
        """Tables first: a program of the new version never meets those of the old one."""
        for later in (self.jobs, self.front, self.services):
            if later is not None:
                later.add_stack_dependency(self.compute)
        if self.services is not None:
            # The names that the functions call are those of the services' balancer.
            self.front.add_stack_dependency(self.services)
