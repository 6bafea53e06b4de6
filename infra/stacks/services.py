"""The stack with what runs all the time, behind one internal balancer."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_elasticloadbalancingv2 as elb
from constructs import Construct

from infra.constructs.balancer import Balancer
from infra.constructs.grafana import Grafana
from infra.constructs.mlflow import Mlflow
from infra.constructs.parts import Parts
from infra.constructs.prefect import Prefect
from infra.constructs.scoring import Scoring
from infra.constructs.served import Served
from infra.constructs.service import Service
from infra.constructs.task import Task
from infra.constructs.worker import Worker


class ServicesStack(cdk.Stack):
    """Stateless: what is here can be deleted and deployed again.

    Attributes
    ----------
    balancer : Balancer
    services : dict of str to Service
    targets : dict of str to elb.ApplicationTargetGroup
        Both by name.
    worker : Worker
    rollback_alarms : list of cloudwatch.Alarm
        What puts the old version of the scoring service back while a deployment is under way.
    """

    def __init__(self, scope: Construct, construct_id: str, *, parts: Parts, flow: Task) -> None:
        super().__init__(scope, construct_id, description="Propensity platform: services")
        self.balancer = Balancer(
            self, "Balancer", environment=parts.environment, network=parts.network, security_group=parts.firewall.balancer
        )
        scoring = Scoring(self, "Scoring", parts=parts, balancer=self.balancer)
        self.rollback_alarms = scoring.alarms
        made: dict[str, Served] = {
            "scoring": scoring,
            "mlflow": Mlflow(self, "Mlflow", parts=parts, balancer=self.balancer),
            "prefect": Prefect(self, "Prefect", parts=parts, balancer=self.balancer),
            "grafana": Grafana(self, "Grafana", parts=parts, balancer=self.balancer),
        }
        self.services: dict[str, Service] = {name: one.service for name, one in made.items()}
        self.targets: dict[str, elb.ApplicationTargetGroup] = {name: one.target for name, one in made.items()}
        self.worker = Worker(self, "Worker", parts=parts, flow=flow)
        self.services["worker"] = self.worker.service
