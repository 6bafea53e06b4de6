"""EMR Serverless: Spark for lists that one machine cannot hold. Costs nothing while no job runs."""

from __future__ import annotations

from aws_cdk import aws_emrserverless as emr
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.access import let_read, let_write
from infra.constructs.parts import Parts

RELEASE = "emr-7.9.0"
IDLE_MINUTES = 10


class Spark(Construct):
    """An application that starts with a job and stops when idle.

    Attributes
    ----------
    application : emr.CfnApplication
    role : iam.Role
        What jobs run as.
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
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("emr-serverless.amazonaws.com"))
        let_read(self.role, parts.lake, "lists", "models", "snapshots")
        let_write(self.role, parts.lake, "lists")
