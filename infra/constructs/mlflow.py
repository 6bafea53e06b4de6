"""The MLflow server: experiments and registered models, for people and for flows. The scoring service never asks it."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from infra.constructs.access import let_read, let_write
from infra.constructs.balancer import Balancer, Route
from infra.constructs.firewall import MLFLOW
from infra.constructs.parts import Parts
from infra.constructs.programs import QUIET, password_of
from infra.constructs.served import Served
from infra.constructs.task import Program

# It takes half a minute to start on half a processor, and makes its tables first.
GRACE = Duration.seconds(240)
PREFIX = "mlflow"


def mlflow_program(parts: Parts, *, listen: str, health: ecs.HealthCheck | None = None) -> Program:
    """The server, listening on that address of its task."""
    login = parts.database.login("mlflow")
    artifacts = parts.lake.bucket.s3_url_for_object(PREFIX)
    door, here = parts.environment.names.host("mlflow"), "127.0.0.1"
    names = [here, f"{here}:{MLFLOW}", door, f"{door}:{parts.environment.names.port}", "localhost"]
    return Program(
        image=parts.images.container("mlflow"),
        environment={
            **QUIET,
            "MLFLOW_HOST": listen,
            "MLFLOW_PORT": str(MLFLOW),
            "MLFLOW_BACKEND_STORE_URI": login.url("mlflow", driver="postgresql+psycopg"),
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": artifacts,
            "MLFLOW_ARTIFACTS_DESTINATION": artifacts,
            # To any other name it answers 403.
            "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(names),
        },
        secrets=password_of(login),
        key=parts.database.key,
        port=MLFLOW,
        health=health,
    )


class Mlflow(Served):
    """The server behind the balancer."""

    def __init__(self, scope: Construct, construct_id: str, *, parts: Parts, balancer: Balancer) -> None:
        super().__init__(
            scope,
            construct_id,
            parts=parts,
            balancer=balancer,
            size=parts.environment.services.mlflow,
            security_group=parts.firewall.mlflow,
            route=Route(name="mlflow", priority=20, health="/health"),
            grace=GRACE,
            program=mlflow_program(parts, listen="0.0.0.0"),  # noqa: S104 - of the task's own network interface
        )
        let_read(self.task.role, parts.lake, PREFIX)
        let_write(self.task.role, parts.lake, PREFIX)
