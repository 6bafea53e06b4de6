"""The tasks that flows and list scoring run in, one at a time and then gone."""

from __future__ import annotations

from aws_cdk import aws_ecs as ecs
from constructs import Construct

from infra.constructs.access import let_read, let_write
from infra.constructs.firewall import MLFLOW
from infra.constructs.mlflow import mlflow_program
from infra.constructs.parts import Parts
from infra.constructs.programs import flow_variables, password_of
from infra.constructs.task import Program, Task

FLOW = "flow"
LIST = "list"
# A list lies on disk as it came, and what was done of it beside it. 200 is the most that Fargate has.
DISK_FACTOR, LARGEST_DISK_GIB = 4, 200
LOCAL = "127.0.0.1"
READ = ("inbox", "lists", "mlflow", "models", "outcomes", "reports", "snapshots", "trainings")
WRITTEN = ("lists", "mlflow", "models", "outcome-errors", "outcomes-set-aside", "reports", "snapshots", "trainings")


def flow_task(scope: Construct, parts: Parts) -> Task:
    """A task that runs one flow: ``python -m flows.run NAME``, or what Prefect's worker asks for.

    Where no MLflow server runs, the task brings one along; it ends with the flow.
    """
    environment = parts.environment
    login = parts.database.login("propensity_app")
    servers, names = environment.profile.servers, environment.names
    task = Task(
        scope,
        "FlowTask",
        name=FLOW,
        size=environment.services.flow,
        environment=environment,
        program=Program(
            image=parts.images.container("flows"),
            environment=flow_variables(
                login,
                parts.lake.bucket,
                mlflow_url=names.url("mlflow") if servers else f"http://{LOCAL}:{MLFLOW}",
                prefect_url=names.url("prefect") if servers else None,
            )
            | {"PROPENSITY_ALERTS_TOPIC_ARN": parts.topics.alerts.topic_arn}
            # How far apart the clock's looks are: else each would find that nobody had looked since the one before.
            | {"PROPENSITY_CHECKS_EVERY_S": str(environment.profile.look_hours * 3600)}
            | _prefect_variables(parts),
            secrets=password_of(login) | _prefect_secrets(parts),
            key=parts.database.key,
            command=["python", "-m", "flows.run"],
        ),
    )
    if not servers:
        _bring_mlflow(task, parts)
    let_read(task.role, parts.lake, *READ)
    let_write(task.role, parts.lake, *WRITTEN)
    task.may("sns:Publish", on=[parts.topics.alerts.topic_arn])
    task.may("kms:GenerateDataKey", "kms:Decrypt", on=[parts.topics.key.key_arn])
    return task


def list_task(scope: Construct, parts: Parts) -> Task:
    """A task that scores one uploaded list: ``python -m flows.list_job ID``."""
    login = parts.database.login("propensity_app")
    task = Task(
        scope,
        "ListTask",
        name=LIST,
        size=parts.environment.services.scored_list,
        environment=parts.environment,
        disk_gib=min(LARGEST_DISK_GIB, 20 + DISK_FACTOR * min(parts.environment.upload_limit_gib, parts.environment.spark_from_gib)),
        program=Program(
            image=parts.images.container("flows"),
            # The stores are put together as for every flow; a list asks MLflow nothing, but its address must be one.
            environment=flow_variables(login, parts.lake.bucket, mlflow_url=parts.environment.names.url("mlflow")),
            secrets=password_of(login),
            key=parts.database.key,
            command=["python", "-m", "flows.list_job"],
        ),
    )
    let_read(task.role, parts.lake, "lists", "models")
    let_write(task.role, parts.lake, "lists")
    return task


def _prefect_variables(parts: Parts) -> dict[str, str]:
    """Where the nightly flow finds what is old in Prefect's own database."""
    if not parts.environment.profile.servers:
        return {}
    return {"PROPENSITY_PREFECT_DATABASE_URL": parts.database.login("prefect").url("prefect")}


def _prefect_secrets(parts: Parts) -> dict[str, ecs.Secret]:
    """What the server asks for, and the password of its database under a name of its own: ``PGPASSWORD`` is the platform's."""
    if not parts.environment.profile.servers:
        return {}
    return {
        "PREFECT_API_AUTH_STRING": ecs.Secret.from_secrets_manager(parts.database.prefect_auth),
        "PROPENSITY_PREFECT_DATABASE_PASSWORD": ecs.Secret.from_secrets_manager(parts.database.login("prefect").password, "password"),
    }


def _bring_mlflow(task: Task, parts: Parts) -> None:
    look = f"import urllib.request as r; r.urlopen('http://{LOCAL}:{MLFLOW}/health', timeout=3)"
    program = mlflow_program(parts, listen=LOCAL, health=ecs.HealthCheck(command=["CMD", "python", "-c", look]))
    server = task.add("mlflow", program, essential=False)
    task.container.add_container_dependencies(ecs.ContainerDependency(container=server, condition=ecs.ContainerDependencyCondition.HEALTHY))
