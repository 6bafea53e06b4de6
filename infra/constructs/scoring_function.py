"""The scoring service as a function, made of the same image: nothing runs, and nothing is paid for, while nobody asks."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.acknowledged import acknowledge
from infra.constructs.access import let_read, let_write
from infra.constructs.front_functions import FUNCTION_TIMEOUT, SCORING_TIMEOUT_S, list_variables
from infra.constructs.function import INTERFACES
from infra.constructs.log_groups import log_group
from infra.constructs.parts import Parts
from infra.constructs.programs import platform_variables

# One processor. Less of it would start slower and cost the same.
MEMORY_MIB = 1769


class ScoringFunction(Construct):
    """Answers everything: lambda/container.py, started in the image of the scoring service.

    Attributes
    ----------
    function : lambda_.DockerImageFunction
    """

    def __init__(self, scope: Construct, construct_id: str, *, parts: Parts) -> None:
        super().__init__(scope, construct_id)
        login = parts.database.login("propensity_app")
        lines = log_group(self, "Log", parts.environment)
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        lines.grant_write(role)
        for actions, resources in (
            (list(INTERFACES), ["*"]),
            (["secretsmanager:GetSecretValue"], [login.password.secret_arn]),
            (["kms:Decrypt"], [parts.database.key.key_arn]),
        ):
            role.add_to_policy(iam.PolicyStatement(actions=actions, resources=resources))
        let_read(role, parts.lake, "models", "lists")
        let_write(role, parts.lake, "lists")
        self.function = lambda_.DockerImageFunction(
            self,
            "Function",
            code=lambda_.DockerImageCode.from_ecr(
                parts.images.repository("api"), tag_or_digest=parts.images.tags["api"], cmd=["python", "-m", "lambda.container"]
            ),
            architecture=lambda_.Architecture.ARM_64 if parts.environment.architecture == "arm64" else lambda_.Architecture.X86_64,
            memory_size=MEMORY_MIB,
            timeout=Duration.seconds(FUNCTION_TIMEOUT.to_seconds()),
            environment={
                **platform_variables(login, parts.lake.bucket),
                **list_variables(parts),
                "PROPENSITY_SCORING_TIMEOUT_S": str(SCORING_TIMEOUT_S),
                "PROPENSITY_PASSWORD_SECRET_ARN": login.password.secret_arn,
            },
            log_group=lines,
            logging_format=lambda_.LoggingFormat.JSON,
            tracing=lambda_.Tracing.ACTIVE,
            role=role,
            vpc=parts.network.vpc,
            vpc_subnets=parts.network.private,
            security_groups=[parts.firewall.scoring],
        )
        acknowledge(role, {"IAM5[Resource::*]": "Traces and network interfaces have no name before they are made."})
