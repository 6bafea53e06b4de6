"""A Fargate task with one container: no root, nothing writable but /tmp, its lines in a log group, secrets by reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import aws_cdk as cdk
from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.acknowledged import acknowledge
from infra.config import Environment, TaskSize
from infra.constructs.log_groups import log_group

# Between SIGTERM and SIGKILL. The longest that Fargate allows is 120; the service needs 25 to finish what is in flight.
STOP_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a container runs.

    Attributes
    ----------
    key : kms.IKey or None
        What ``secrets`` are encrypted with, of another stack.
    entry_point, command : sequence of str or None
        None: what the image says itself.
    """

    image: ecs.ContainerImage
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, ecs.Secret] = field(default_factory=dict)
    key: kms.IKey | None = None
    entry_point: Sequence[str] | None = None
    command: Sequence[str] | None = None
    port: int | None = None
    health: ecs.HealthCheck | None = None


class Task(Construct):
    """A task definition.

    Attributes
    ----------
    definition : ecs.FargateTaskDefinition
    container : ecs.ContainerDefinition
    lines : logs.LogGroup
    role : iam.IRole
        What the programs themselves may do: nothing, before they are granted it.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        program: Program,
        size: TaskSize,
        environment: Environment,
        disk_gib: int | None = None,
    ) -> None:
        """``disk_gib``: of /tmp, 21 to 200; None for the 20 that come with every task."""
        super().__init__(scope, construct_id)
        self._environment = environment
        self.lines: logs.LogGroup = log_group(self, "Log", environment)
        self.definition = ecs.FargateTaskDefinition(
            self,
            "Definition",
            cpu=size.cpu,
            memory_limit_mib=size.memory_mib,
            ephemeral_storage_gib=disk_gib,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=ecs.CpuArchitecture.ARM64 if environment.architecture == "arm64" else ecs.CpuArchitecture.X86_64,
                operating_system_family=ecs.OperatingSystemFamily.LINUX,
            ),
            # It is the programs' to write to because the images declare it (VOLUME /tmp): Fargate takes over owner and rights from there,
            # and would else make it root's.
            volumes=[ecs.Volume(name="tmp")],
        )
        self.container = self.add(name, program, essential=True)
        self.role: iam.IRole = self.definition.task_role
        execution = self.definition.execution_role
        assert execution is not None, "a task whose images and secrets are private has an execution role"
        acknowledge(execution, {"IAM5[Resource::*]": "ecr:GetAuthorizationToken names no repository; pulling is for the task's own alone."})
        acknowledge(self.definition, {"ECS2": "The variables are addresses and names; every password comes from Secrets Manager."})

    def add(self, name: str, program: Program, *, essential: bool) -> ecs.ContainerDefinition:
        """Another container in the same task."""
        container = self.definition.add_container(
            name,
            container_name=name,
            image=program.image,
            environment=dict(program.environment),
            secrets=dict(program.secrets),
            entry_point=list(program.entry_point) if program.entry_point else None,
            command=list(program.command) if program.command else None,
            essential=essential,
            readonly_root_filesystem=True,
            stop_timeout=Duration.seconds(STOP_S),
            health_check=program.health,
            port_mappings=[ecs.PortMapping(container_port=program.port)] if program.port else None,
            logging=ecs.LogDrivers.aws_logs(stream_prefix=name, log_group=self.lines, mode=ecs.AwsLogDriverMode.NON_BLOCKING),
            linux_parameters=ecs.LinuxParameters(self, f"Linux-{name}", init_process_enabled=True),
        )
        if program.key is not None:
            self._let_decrypt(program.key)
        container.add_mount_points(ecs.MountPoint(container_path="/tmp", source_volume="tmp", read_only=False))  # noqa: S108 - of the container
        return container

    def _let_decrypt(self, key: kms.IKey) -> None:
        """By the role and not by the key: the key is of an earlier stack, which must not come to know this one."""
        via = f"secretsmanager.{cdk.Stack.of(self).region}.amazonaws.com"
        self.definition.add_to_execution_role_policy(
            iam.PolicyStatement(actions=["kms:Decrypt"], resources=[key.key_arn], conditions={"StringEquals": {"kms:ViaService": via}})
        )

    def may(self, *actions: str, on: Sequence[str], where: Mapping[str, Mapping[str, object]] | None = None) -> None:
        """Let the programs do something with exactly these."""
        self.definition.task_role.add_to_principal_policy(iam.PolicyStatement(actions=list(actions), resources=list(on), conditions=where))
