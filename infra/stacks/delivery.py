"""The stack with the pipeline's role. Only where a repository is named; deployed once by a person."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from infra.config import Environment
from infra.constructs.data_lake import DataLake
from infra.constructs.delivery import Delivery
from infra.constructs.registry import Registry


class DeliveryStack(cdk.Stack):
    """Output ``Role``: what the workflow assumes.

    Attributes
    ----------
    delivery : Delivery
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, environment: Environment, repository: str, registry: Registry, lake: DataLake
    ) -> None:
        super().__init__(scope, construct_id, description="Propensity platform: the pipeline's role")
        self.delivery = Delivery(self, "Delivery", environment=environment, repository=repository, registry=registry, lake=lake)
        cdk.CfnOutput(self, "Role", value=self.delivery.role.role_arn)
