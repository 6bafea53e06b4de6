"""The stack with the topics that alarms and alerts are published to."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from infra.config import Environment
from infra.constructs.topics import Topics


class TopicsStack(cdk.Stack):
    """Outputs ``People``: people subscribe their addresses to it, and confirm.

    Attributes
    ----------
    topics : Topics
    """

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment) -> None:
        super().__init__(scope, construct_id, description="Propensity platform: alarms and alerts")
        self.topics = Topics(self, "Topics", environment=environment)
        cdk.CfnOutput(self, "People", value=self.topics.people.topic_arn)
