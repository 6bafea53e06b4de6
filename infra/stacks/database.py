"""The stack that holds the database."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from infra.config import Environment
from infra.constructs.database import Database
from infra.stacks.network import NetworkStack


class DatabaseStack(cdk.Stack):
    """Stateful.

    Attributes
    ----------
    database : Database
    """

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment, network: NetworkStack) -> None:
        super().__init__(
            scope, construct_id, description="Propensity platform: Postgres", termination_protection=environment.termination_protection
        )
        self.database = Database(
            self, "Database", environment=environment, network=network.network, security_group=network.firewall.database
        )
