"""EMR Serverless: Spark for lists that one machine cannot hold. Costs nothing while no job runs."""

from __future__ import annotations

from aws_cdk import aws_emrserverless as emr
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.acknowledged import acknowledge
from infra.constructs.access import let_read, let_write
from infra.constructs.log_groups import log_group
from infra.constructs.parts import Parts

RELEASE = "emr-7.11.0"
# Below it lie the jobs' packages by version, put there by images/spark.sh.
CODE = "spark"
IDLE_MINUTES = 10


class Spark(Construct):
    """An application that starts with a job and stops when idle.

    Attributes
    ----------
    application : emr.CfnApplication
    role : iam.Role
        What jobs run as: they read uploads, models and their own code, write lists, and append to the prediction log.
    lines : logs.LogGroup
    """

    def __init__(self, scope: Construct, construct_id: str, *, parts: Parts) -> None:
        super().__init__(scope, construct_id)
        subnets = parts.network.vpc.select_subnets(subnet_group_name=parts.network.private.subnet_group_name)
        self.application = emr.CfnApplication(
            self,
            "Application",
            release_label=RELEASE,
            type="SPARK",
            architecture="ARM64" if parts.environment.architecture == "arm64" else "X86_64",
            auto_start_configuration=emr.CfnApplication.AutoStartConfigurationProperty(enabled=True),
            auto_stop_configuration=emr.CfnApplication.AutoStopConfigurationProperty(enabled=True, idle_timeout_minutes=IDLE_MINUTES),
            # The bill has an upper end.
            maximum_capacity=emr.CfnApplication.MaximumAllowedResourcesProperty(cpu="64 vCPU", memory="256 GB", disk="1000 GB"),
            network_configuration=emr.CfnApplication.NetworkConfigurationProperty(
                subnet_ids=subnets.subnet_ids, security_group_ids=[parts.firewall.spark.security_group_id]
            ),
        )
        self.lines = log_group(self, "Log", parts.environment)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("emr-serverless.amazonaws.com"))
        self._login = parts.database.login("propensity_app")
        let_read(self.role, parts.lake, "lists", "models", CODE)
        let_write(self.role, parts.lake, "lists")
        # Executors log what they score: the password comes from its secret, never with the job.
        for actions, resources in (
            (["secretsmanager:GetSecretValue"], [self._login.password.secret_arn]),
            (["kms:Decrypt"], [parts.database.key.key_arn]),
        ):
            self.role.add_to_policy(iam.PolicyStatement(actions=actions, resources=resources))
        self._let_log()
        self._code = parts.lake.bucket.s3_url_for_object(f"{CODE}/{parts.images.version}")

    def _let_log(self) -> None:
        self.role.add_to_policy(
            iam.PolicyStatement(
                actions=["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], resources=[self.lines.log_group_arn]
            )
        )
        # EMR looks for the group before it writes, and CloudWatch Logs lets nobody look for one alone.
        self.role.add_to_policy(iam.PolicyStatement(actions=["logs:DescribeLogGroups"], resources=["*"]))
        acknowledge(self.role, {"IAM5[Resource::*]": "logs:DescribeLogGroups knows no narrower form; it tells names alone."})

    @property
    def variables(self) -> dict[str, str]:
        """What whoever starts jobs is told."""
        return {
            "PROPENSITY_SPARK_APPLICATION_ID": self.application.attr_application_id,
            "PROPENSITY_SPARK_ROLE_ARN": self.role.role_arn,
            "PROPENSITY_SPARK_CODE": self._code,
            "PROPENSITY_SPARK_LOG_GROUP": self.lines.log_group_name,
            "PROPENSITY_SPARK_DATABASE_URL": self._login.url("propensity"),
            "PROPENSITY_SPARK_PASSWORD_SECRET_ARN": self._login.password.secret_arn,
        }

    def let_start(self, role: iam.IRole) -> None:
        """Let it start jobs of this application, as this role and no other."""
        to_emr = {"StringEquals": {"iam:PassedToService": "emr-serverless.amazonaws.com"}}
        role.add_to_principal_policy(iam.PolicyStatement(actions=["emr-serverless:StartJobRun"], resources=[self.application.attr_arn]))
        role.add_to_principal_policy(iam.PolicyStatement(actions=["iam:PassRole"], resources=[self.role.role_arn], conditions=to_emr))
