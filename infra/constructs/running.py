"""The right to start tasks of one definition in one cluster, and nothing else of ECS."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam

from infra.acknowledged import acknowledge, exported
from infra.constructs.parts import Parts
from infra.constructs.task import Task

WHY = "Tasks of the cluster get their names when they start."


def let_run(role: iam.IRole, task: Task, cluster: ecs.ICluster, *, stop: bool = False) -> None:
    """Start the task, tag it, look at it and, where ``stop``, end it."""
    stack = cdk.Stack.of(role)
    execution = task.definition.execution_role
    assert execution is not None, "a task whose images and secrets are private has an execution role"
    tasks = stack.format_arn(service="ecs", resource="task", resource_name=f"{cluster.cluster_name}/*")
    looking = ["ecs:DescribeTasks", "ecs:TagResource", *(["ecs:StopTask"] if stop else [])]
    for actions, resources in (
        (["ecs:RunTask"], [task.definition.task_definition_arn]),
        (["iam:PassRole"], [task.role.role_arn, execution.role_arn]),
        (looking, [tasks]),
    ):
        role.add_to_principal_policy(iam.PolicyStatement(actions=actions, resources=resources))
    named = exported(cluster.cluster_name, cluster) if cdk.Stack.of(cluster) is not stack else f"<{_id(cluster)}>"
    acknowledge(role, {f"IAM5[Resource::arn:<AWS::Partition>:ecs:{stack.region}:<AWS::AccountId>:task/{named}/*]": WHY})


def task_variables(prefix: str, parts: Parts, task: Task, container: str) -> dict[str, str]:
    """Where and how to run the task, as variables ``PROPENSITY_<prefix>_...``."""
    subnets = parts.network.vpc.select_subnets(subnet_group_name=parts.network.private.subnet_group_name).subnet_ids
    told = {
        "CLUSTER": parts.place.cluster.cluster_arn,
        "TASK_DEFINITION": task.definition.task_definition_arn,
        "CONTAINER": container,
        "SUBNETS": cdk.Fn.join(",", subnets),
        "SECURITY_GROUPS": parts.firewall.jobs.security_group_id,
        "CAPACITY_PROVIDER": "FARGATE_SPOT" if parts.environment.services.spot_jobs else "FARGATE",
    }
    return {f"PROPENSITY_{prefix}_{name}": value for name, value in told.items()}


def _id(cluster: ecs.ICluster) -> str:
    child = cluster.node.default_child
    assert isinstance(child, cdk.CfnElement)
    return str(cdk.Stack.of(cluster).get_logical_id(child))
