"""The stack that everything else lies in."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from infra.config import Environment
from infra.constructs.firewall import Firewall
from infra.constructs.network import PlatformNetwork


class NetworkStack(cdk.Stack):
    """The network and every rule about who may speak to whom.

    Attributes
    ----------
    network : PlatformNetwork
    firewall : Firewall
    """

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment) -> None:
        super().__init__(scope, construct_id, description="Propensity platform: network")
        self.network = PlatformNetwork(self, "Network", environment=environment)
        self.firewall = Firewall(
            self,
            "Firewall",
            vpc=self.network.vpc,
            operator_cidrs=environment.network.operator_cidrs,
            mail_port=environment.told.smtp_port,
            door=environment.names.port,
        )
