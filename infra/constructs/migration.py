"""The task that makes databases, roles and tables, and the step of the deployment that waits for it."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import CustomResource, Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from infra.config import Environment, TaskSize
from infra.constructs.database import ROLES, Database
from infra.constructs.function import PlatformFunction
from infra.constructs.registry import Images
from infra.constructs.running import let_run
from infra.constructs.service import Place
from infra.constructs.task import Program, Task

LONGEST = Duration.minutes(15)


class Migration(Construct):
    """Runs with every new image, before any service gets it.

    Attributes
    ----------
    task : Task
    done : CustomResource
        Whatever needs the tables depends on it.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment: Environment,
        database: Database,
        images: Images,
        place: Place,
        security_group: ec2.ISecurityGroup,
        vpc: ec2.IVpc,
    ) -> None:
        super().__init__(scope, construct_id)
        self.task = self._task(environment, database, images)
        runner = PlatformFunction(self, "Runner", folder="run_migration", environment=environment, variables={}, timeout=LONGEST)
        let_run(runner.role, self.task, place.cluster, stop=True)
        self.done = CustomResource(
            self,
            "Done",
            service_token=runner.function.function_arn,
            properties={
                "Cluster": place.cluster.cluster_arn,
                # A new revision whenever image or variables change, and with it a new run.
                "TaskDefinition": self.task.definition.task_definition_arn,
                "Subnets": vpc.select_subnets(subnet_group_name=place.subnets.subnet_group_name).subnet_ids,
                "SecurityGroups": [security_group.security_group_id],
            },
        )
        self.done.node.add_dependency(runner)
        # As a number: the property of CDK writes a text, which CloudFormation's own schema does not have.
        cfn = self.done.node.default_child
        assert isinstance(cfn, cdk.CfnResource)
        cfn.add_property_override("ServiceTimeout", LONGEST.to_seconds())

    def _task(self, environment: Environment, database: Database, images: Images) -> Task:
        """Told the administrator's password, as no other program is, and those that the roles are to have."""
        passwords = {"PROPENSITY_ADMIN_PASSWORD": database.admin.password}
        passwords |= {f"PROPENSITY_PASSWORD_{role.upper()}": database.login(role).password for role in ROLES}
        return Task(
            self,
            "Task",
            name="migration",
            size=TaskSize(cpu=256, memory_mib=512),
            environment=environment,
            program=Program(
                image=images.container("flows"),
                environment={"PROPENSITY_ADMIN_URL": database.admin.url("postgres")},
                secrets={name: ecs.Secret.from_secrets_manager(secret, "password") for name, secret in passwords.items()},
                key=database.key,
                command=["python", "-m", "flows.databases"],
            ),
        )
