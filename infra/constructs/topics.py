"""Where alarms and alerts go: people's addresses are subscribed to one topic, programs to the other."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.config import Environment

# They publish in AWS' own name, and must be allowed to use the key.
PUBLISHERS = ("cloudwatch", "events", "budgets")


class Topics(Construct):
    """Two encrypted topics.

    Attributes
    ----------
    key : kms.Key
    people : sns.Topic
        Alarms, and what the function ``alert`` has to say. Addresses are subscribed by hand, because each has to be confirmed.
    alerts : sns.Topic
        Drift and performance alerts of the monitor flow, for the function ``alert``.
    """

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment) -> None:
        super().__init__(scope, construct_id)
        self.key = kms.Key(
            self,
            "Key",
            description="Propensity platform: alarms and alerts on their way",
            enable_key_rotation=True,
            pending_window=Duration.days(environment.key_deletion_days),
            removal_policy=RemovalPolicy.DESTROY,
        )
        for service in PUBLISHERS:
            self.key.grant(iam.ServicePrincipal(f"{service}.amazonaws.com"), "kms:Decrypt", "kms:GenerateDataKey")
        self.people = sns.Topic(self, "People", master_key=self.key, enforce_ssl=True)
        self.alerts = sns.Topic(self, "Alerts", master_key=self.key, enforce_ssl=True)
        own = {"StringEquals": {"aws:SourceAccount": Stack.of(self).account}}
        for service in PUBLISHERS:
            # Of this account alone, so that nobody else's budget writes here. EventBridge says no account, and asks for a rule of ours.
            conditions = None if service == "events" else own
            self.people.add_to_resource_policy(
                iam.PolicyStatement(
                    actions=["sns:Publish"],
                    principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
                    resources=[self.people.topic_arn],
                    conditions=conditions,
                )
            )
