"""The stack that holds the objects: snapshots, models, lists and reports."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from constructs import Construct

from infra.config import Environment
from infra.constructs.data_lake import DataLake
from propensity.campaign import Campaign


class DataLakeStack(cdk.Stack):
    """Stateful. Its output ``StoreUrl`` is the value of ``PROPENSITY_STORE_URL``.

    Attributes
    ----------
    lake : DataLake
    """

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment, campaigns: Sequence[Campaign]) -> None:
        super().__init__(
            scope,
            construct_id,
            description="Propensity platform: snapshots, models, lists and reports",
            termination_protection=environment.termination_protection,
        )
        self.lake = DataLake(self, "Lake", environment=environment, campaigns=campaigns)
        cdk.CfnOutput(self, "StoreUrl", value=self.lake.bucket.s3_url_for_object())
