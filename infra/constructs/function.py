"""One Lambda function: a folder of ``lambda/`` with its log group, a role of its own and, where nobody waits, a dead-letter queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.acknowledged import acknowledge
from infra.config import Environment
from infra.constructs.lambda_code import RUNTIME, code, layer
from infra.constructs.log_groups import log_group
from infra.constructs.queues import dead_letter_queue

# What Lambda itself does with a function's network interfaces, in the function's name. It has no narrower form.
INTERFACES = (
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)


@dataclass(frozen=True, slots=True)
class Inside:
    """Within the network: where, and in which security group."""

    vpc: ec2.IVpc
    subnets: ec2.SubnetSelection
    security_group: ec2.ISecurityGroup


class PlatformFunction(Construct):
    """A function that can do nothing but run until it is granted more.

    Attributes
    ----------
    function : lambda_.Function
    role : iam.Role
        May write its own lines and nothing else, before it is granted what it works with.
    dead_letters : sqs.Queue or None
        Events that failed three times; None for a function whose caller waits for the answer.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        folder: str,
        environment: Environment,
        variables: Mapping[str, str],
        timeout: Duration,
        inside: Inside | None = None,
        memory_mib: int = 256,
        asynchronous: bool = False,
    ) -> None:
        super().__init__(scope, construct_id)
        lines = log_group(self, "Log", environment)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        lines.grant_write(self.role)
        if inside is not None:
            self.role.add_to_policy(iam.PolicyStatement(actions=list(INTERFACES), resources=["*"]))
        self.dead_letters: sqs.Queue | None = dead_letter_queue(self, "DeadLetters") if asynchronous else None
        self.function = lambda_.Function(
            self,
            "Function",
            code=code(),
            handler=f"lambda/{folder}/handler.handle",
            runtime=RUNTIME,
            architecture=lambda_.Architecture.ARM_64 if environment.architecture == "arm64" else lambda_.Architecture.X86_64,
            layers=[layer(self)],
            environment=dict(variables),
            timeout=timeout,
            memory_size=memory_mib,
            log_group=lines,
            logging_format=lambda_.LoggingFormat.JSON,
            tracing=lambda_.Tracing.ACTIVE,
            role=self.role,
            dead_letter_queue=self.dead_letters,
            vpc=inside.vpc if inside else None,
            vpc_subnets=inside.subnets if inside else None,
            security_groups=[inside.security_group] if inside else None,
        )
        acknowledge(self.role, {"IAM5[Resource::*]": "Traces and network interfaces have no name before they are made."})

    def may(self, *actions: str, on: list[str]) -> None:
        """Let the function do something with exactly these."""
        self.role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=on))
