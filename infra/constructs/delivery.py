"""What the pipeline may do: push images, upload what Spark runs, deploy; by OpenID Connect, without a key that could be lost."""

from __future__ import annotations

import re

import aws_cdk as cdk
from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.acknowledged import acknowledge
from infra.config import Environment
from infra.constructs.access import let_read, let_write
from infra.constructs.data_lake import DataLake
from infra.constructs.registry import Registry
from infra.constructs.spark import CODE
from propensity.errors import SettingsInvalid

ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
_REPOSITORY = re.compile(r"[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}", re.ASCII)
# Roles that `cdk bootstrap` made; they, and not the pipeline's own, may change anything.
BOOTSTRAP = "cdk-hnb659fds-{role}-{account}-{region}"
ROLES = ("deploy-role", "file-publishing-role", "lookup-role")
PUSH = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:DescribeImages",
    "ecr:DescribeImageScanFindings",
    "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
)


def repository_named(name: object) -> str | None:
    """The repository ``owner/name`` whose workflows deploy; None where none was named. Raises SettingsInvalid for what is none."""
    if name is None or name == "":
        return None
    if not _REPOSITORY.fullmatch(str(name)):
        raise SettingsInvalid(f"{name!r} is no repository: -c github=OWNER/NAME")
    return str(name)


class Delivery(Construct):
    """A role for the workflows of one repository, in the GitHub environment of this environment's name alone.

    Attributes
    ----------
    role : iam.Role
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, environment: Environment, repository: str, registry: Registry, lake: DataLake
    ) -> None:
        super().__init__(scope, construct_id)
        provider = iam.OidcProviderNative(self, "GitHub", url=f"https://{ISSUER}", client_ids=[AUDIENCE])
        allowed = {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": f"repo:{repository}:environment:{environment.name}"}
        self.role = iam.Role(
            self,
            "Role",
            description=f"Deploys {environment.name} from {repository}",
            assumed_by=iam.OpenIdConnectPrincipal(provider, conditions={"StringEquals": allowed}),
            max_session_duration=Duration.hours(1),
        )
        stack = cdk.Stack.of(self)
        roles = [
            stack.format_arn(
                service="iam",
                region="",
                resource="role",
                resource_name=BOOTSTRAP.format(role=role, account=stack.account, region=stack.region),
            )
            for role in ROLES
        ]
        for actions, resources in (
            (["sts:AssumeRole"], roles),
            (list(PUSH), [repository.repository_arn for repository in registry.repositories.values()]),
            (["ecr:GetAuthorizationToken"], ["*"]),
        ):
            self.role.add_to_policy(iam.PolicyStatement(actions=actions, resources=resources))
        # images/spark.sh looks whether a version is there already, and uploads it where it is not. Customers' objects lie elsewhere.
        let_read(self.role, lake, CODE)
        let_write(self.role, lake, CODE)
        acknowledge(self.role, {"IAM5[Resource::*]": "ecr:GetAuthorizationToken names no repository; pushing is allowed for these alone."})
