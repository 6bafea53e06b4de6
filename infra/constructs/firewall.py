"""Who may speak to whom: every security group and every rule between them, in one table.

One owner on purpose: groups made where they are used refer to each other across stacks in both directions, which no deployment
can resolve. Nothing is reachable from outside the network; the REST API has no address in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

POSTGRES = 5432
SCORING = 8700
MLFLOW = 5000
PREFECT = 4200
GRAFANA = 3000
HTTPS = 443
EVERYWHERE = "0.0.0.0/0"


class Firewall(Construct):
    """Security groups without default egress. ``door``: the port of the balancer; ``mail_port``: of the mail server that Grafana uses.

    Attributes
    ----------
    functions, balancer, scoring, mlflow, prefect, grafana, jobs, spark, database : ec2.SecurityGroup
        ``functions``: the Lambdas within the network. ``jobs``: flows, list scoring, the worker that starts flows, migrations.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, vpc: ec2.IVpc, operator_cidrs: Sequence[str], door: int, mail_port: int | None
    ) -> None:
        super().__init__(scope, construct_id)
        self._vpc = vpc
        self.functions = self._group("Functions", "Lambda functions: the front door, lists, alerts")
        self.balancer = self._group("Balancer", "Internal balancer")
        self.scoring = self._group("Scoring", "Scoring service")
        self.mlflow = self._group("Mlflow", "MLflow")
        self.prefect = self._group("Prefect", "Prefect server")
        self.grafana = self._group("Grafana", "Grafana")
        self.jobs = self._group("Jobs", "Flows, list scoring, the worker that starts flows, migrations")
        self.spark = self._group("Spark", "EMR Serverless")
        self.database = self._group("Database", "Postgres")
        self._allow(operator_cidrs, door)
        if mail_port is not None:
            self.grafana.add_egress_rule(ec2.Peer.ipv4(EVERYWHERE), ec2.Port.tcp(mail_port), "letters of Grafana, by TLS")

    def _group(self, name: str, description: str) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(self, name, vpc=self._vpc, description=description, allow_all_outbound=False)

    def _allow(self, operator_cidrs: Sequence[str], door: int) -> None:
        for caller in (self.functions, self.jobs):
            caller.connections.allow_to(self.balancer, ec2.Port.tcp(door), "to the services, by name")
        for cidr in operator_cidrs:
            self.balancer.add_ingress_rule(ec2.Peer.ipv4(cidr), ec2.Port.tcp(door), "people, to MLflow, Prefect and Grafana")
        served = ((self.scoring, SCORING), (self.mlflow, MLFLOW), (self.prefect, PREFECT), (self.grafana, GRAFANA))
        for service, port in served:
            self.balancer.connections.allow_to(service, ec2.Port.tcp(port), "requests and health checks")
        for client in (self.scoring, self.mlflow, self.prefect, self.grafana, self.jobs, self.spark, self.functions):
            if client is not self.functions:
                client.connections.allow_to(self.database, ec2.Port.tcp(POSTGRES), "Postgres")
            client.add_egress_rule(ec2.Peer.ipv4(EVERYWHERE), ec2.Port.tcp(HTTPS), "S3, images, secrets and other AWS services, by TLS")
        # Executors of one Spark job speak to each other on ports that they choose.
        self.spark.connections.allow_internally(ec2.Port.all_tcp(), "between the executors of a job")
