"""Every stack of one environment."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from constructs import Construct

from infra.config import Environment
from infra.stacks.data_lake import DataLakeStack
from propensity.campaign import Campaign


class PlatformStage(cdk.Stage):
    """Builds the stacks and hands the constructs of one to the next by reference.

    Attributes
    ----------
    data_lake : DataLakeStack
        Object storage. Holds data: it is never mixed with what only computes.
    """

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment, campaigns: Sequence[Campaign]) -> None:
        super().__init__(scope, construct_id)
        self.data_lake = DataLakeStack(self, "DataLake", environment=environment, campaigns=campaigns)
        cdk.Tags.of(self).add("application", "propensity")
        cdk.Tags.of(self).add("environment", environment.name)
