"""The Prefect server, which keeps the record of every flow run, and the worker that starts the runs people and alerts ask for."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from infra.constructs.balancer import Balancer, Route
from infra.constructs.database import TLS
from infra.constructs.firewall import PREFECT
from infra.constructs.parts import Parts
from infra.constructs.programs import QUIET, password_of
from infra.constructs.served import Served
from infra.constructs.task import Program

GRACE = Duration.seconds(240)
# Its table of events grows without end otherwise. ISO 8601.
EVENTS_KEPT = "P7D"


class Prefect(Served):
    """The server behind the balancer."""

    def __init__(self, scope: Construct, construct_id: str, *, parts: Parts, balancer: Balancer) -> None:
        login = parts.database.login("prefect")
        super().__init__(
            scope,
            construct_id,
            parts=parts,
            balancer=balancer,
            size=parts.environment.services.prefect,
            security_group=parts.firewall.prefect,
            route=Route(name="prefect", priority=30, health="/api/health"),
            grace=GRACE,
            program=Program(
                image=parts.images.container("flows"),
                environment={
                    **QUIET,
                    "PREFECT_SERVER_DATABASE_CONNECTION_URL": login.url("prefect", driver="postgresql+asyncpg", tls=f"ssl={TLS}"),
                    "PREFECT_SERVER_UI_API_URL": f"{parts.environment.names.url('prefect')}/api",
                    "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": EVENTS_KEPT,
                },
                secrets={
                    **password_of(login),
                    "PREFECT_SERVER_API_AUTH_STRING": ecs.Secret.from_secrets_manager(parts.database.prefect_auth),
                },
                entry_point=["prefect"],
                command=["server", "start", "--host", "0.0.0.0", "--port", str(PREFECT)],  # noqa: S104 - of the task's own interface
                key=parts.database.key,
                port=PREFECT,
            ),
        )
