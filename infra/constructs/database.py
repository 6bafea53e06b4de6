"""Postgres, the key that encrypts it, and a secret for each role that logs in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.acknowledged import acknowledge
from infra.config import Environment
from infra.constructs.firewall import POSTGRES
from infra.constructs.network import PlatformNetwork

ADMIN = "propensity_admin"
# Who logs in as what. flows/databases.py makes them; a test compares the two.
ROLES = ("propensity_owner", "propensity_app", "propensity_reader", "mlflow", "prefect", "grafana")
# Everybody's own connection is encrypted, which Postgres insists on, and its certificate verified, name included, with the roots of RDS
# that every image holds (PGSSLROOTCERT): nothing within the network can stand in for the database.
TLS = "verify-full"
PARAMETERS = {
    "rds.force_ssl": "1",
    # Slow statements, without the values in them.
    "log_min_duration_statement": "1000",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
MONITORING = "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole]"
USUAL_PORT = "The port is reachable from six security groups only; another number would hide nothing from them."
NOT_KEPT = "This environment's data are made up and go with the stack on purpose."
BY_HAND = (
    "A new password takes the migration task and a rolling update of its users, in that order, which docs/operations.md describes; "
    "a rotation that knows neither would lock the running tasks out."
)
ONE_ZONE = "This environment stands still while its only database restarts, which its declaration accepts."


@dataclass(frozen=True, slots=True)
class Login:
    """How a program reaches one database: an address without a password, and the secret with it.

    The password comes by ``PGPASSWORD``, which libpq and asyncpg read: an address with a password in it ends up in a log one day.
    """

    role: str
    password: secretsmanager.ISecret
    host: str

    def url(self, database: str, *, driver: str = "postgresql", tls: str = f"sslmode={TLS}") -> str:
        """An address for libpq or SQLAlchemy."""
        return f"{driver}://{self.role}@{self.host}:{POSTGRES}/{database}?{tls}"


class Database(Construct):
    """A Postgres that only the network reaches, by TLS alone.

    Attributes
    ----------
    key : kms.Key
        Encrypts storage, backups and passwords.
    server : rds.DatabaseInstance or rds.DatabaseCluster
    prefect_auth, grafana_admin, session : secretsmanager.ISecret
        Passwords of servers and what signs the cookies of the pages, each the whole text of its secret; there only where the servers are.
    admin : Login
        Made and changed by RDS itself; the migration task alone may read it.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, environment: Environment, network: PlatformNetwork, security_group: ec2.ISecurityGroup
    ) -> None:
        super().__init__(scope, construct_id)
        self._environment = environment
        self.removal = RemovalPolicy.RETAIN if environment.keep_data else RemovalPolicy.DESTROY
        self.key = kms.Key(
            self,
            "Key",
            description="Propensity platform: database, its backups and its passwords",
            enable_key_rotation=True,
            pending_window=Duration.days(environment.key_deletion_days),
            removal_policy=self.removal,
        )
        at: dict[str, Any] = {
            "vpc": network.vpc,
            "vpc_subnets": network.isolated,
            "security_groups": [security_group],
            "credentials": rds.Credentials.from_username(ADMIN, encryption_key=self.key),
            "manage_master_user_password": True,
            "storage_encryption_key": self.key,
            "deletion_protection": environment.keep_data,
            "removal_policy": RemovalPolicy.SNAPSHOT if environment.keep_data else RemovalPolicy.DESTROY,
            "copy_tags_to_snapshot": True,
            "iam_authentication": True,
            "cloudwatch_logs_exports": ["postgresql"],
            "monitoring_interval": Duration.minutes(1),
            "enable_performance_insights": environment.database.kind == "instance",
        }
        self.server = self._instance(at) if environment.database.kind == "instance" else self._cluster(at)
        self._passwords = {role: self._password(role) for role in ROLES}
        acknowledge(
            self.server, {MONITORING: "AWS' own policy, with which RDS writes the metrics of the operating system and nothing else."}
        )
        secret = self.server.secret
        assert secret is not None, "RDS keeps the administrator's password in a secret"
        self.admin = Login(ADMIN, self._by_address(secret, "Admin"), self._host)

    @cached_property
    def prefect_auth(self) -> secretsmanager.ISecret:
        """Made when first asked for: where no server runs nobody does."""
        return self._secret("PrefectAuth", "what the Prefect server asks for")

    @cached_property
    def grafana_admin(self) -> secretsmanager.ISecret:
        return self._secret("GrafanaAdmin", "the first password of Grafana's administrator")

    @cached_property
    def session(self) -> secretsmanager.ISecret:
        return self._secret("Session", "what signs the cookies of people who are signed in")

    def login(self, role: str) -> Login:
        """How to log in as one of `ROLES`."""
        return Login(role, self._passwords[role], self._host)

    def _by_address(self, secret: secretsmanager.ISecret, construct_id: str) -> secretsmanager.ISecret:
        """The secret by its address alone: granting it then changes the reader's role and never the key, which is in this stack."""
        return secretsmanager.Secret.from_secret_complete_arn(self, construct_id, secret.secret_arn)

    @property
    def _host(self) -> str:
        server = self.server
        return server.db_instance_endpoint_address if isinstance(server, rds.DatabaseInstance) else server.cluster_endpoint.hostname

    def _instance(self, at: dict[str, Any]) -> rds.DatabaseInstance:
        size = self._environment.database
        version = self._environment.postgres
        engine = rds.DatabaseInstanceEngine.postgres(version=rds.PostgresEngineVersion.of(version, version))
        instance = rds.DatabaseInstance(
            self,
            "Instance",
            engine=engine,
            instance_type=ec2.InstanceType(size.instance),
            allocated_storage=size.storage_gib,
            max_allocated_storage=size.most_storage_gib,
            storage_type=rds.StorageType.GP3,
            multi_az=size.multi_az,
            backup_retention=Duration.days(self._environment.retention.backup_days),
            delete_automated_backups=not self._environment.keep_data,
            auto_minor_version_upgrade=True,
            performance_insight_encryption_key=self.key,
            ca_certificate=rds.CaCertificate.RDS_CA_RSA2048_G1,
            parameter_group=rds.ParameterGroup(self, "Parameters", engine=engine, parameters=PARAMETERS),
            **at,
        )
        acknowledge(instance, {"RDS11": USUAL_PORT})
        if not self._environment.keep_data:
            acknowledge(instance, {"RDS10": NOT_KEPT})
        if not size.multi_az:
            acknowledge(instance, {"RDS3": ONE_ZONE})
        return instance

    def _cluster(self, at: dict[str, Any]) -> rds.DatabaseCluster:
        version = self._environment.postgres
        engine = rds.DatabaseClusterEngine.aurora_postgres(version=rds.AuroraPostgresEngineVersion.of(version, version))
        cluster = rds.DatabaseCluster(
            self,
            "Cluster",
            engine=engine,
            writer=rds.ClusterInstance.serverless_v2(
                "Writer", auto_minor_version_upgrade=True, ca_certificate=rds.CaCertificate.RDS_CA_RSA2048_G1
            ),
            serverless_v2_min_capacity=0,
            serverless_v2_max_capacity=self._environment.database.most_capacity,
            # The shortest that there is: every hour that it sleeps is not paid for.
            serverless_v2_auto_pause_duration=Duration.minutes(5),
            backup=rds.BackupProps(retention=Duration.days(self._environment.retention.backup_days)),
            parameter_group=rds.ParameterGroup(self, "Parameters", engine=engine, parameters=PARAMETERS),
            **at,
        )
        acknowledge(cluster, {"RDS11": USUAL_PORT})
        if not self._environment.keep_data:
            acknowledge(cluster, {"RDS10": NOT_KEPT})
        return cluster

    def _password(self, role: str) -> secretsmanager.ISecret:
        name = "Password-" + role.replace("_", "-")
        return self._secret(name, f"how {role} logs in to Postgres", template=f'{{"username": "{role}"}}')

    def _secret(self, construct_id: str, what: str, *, template: str | None = None) -> secretsmanager.ISecret:
        """A password that nobody chose; the secret's whole text, or with a template its key ``password``."""
        secret = secretsmanager.Secret(
            self,
            construct_id,
            description=f"Propensity platform: {what}",
            encryption_key=self.key,
            removal_policy=self.removal,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=template,
                generate_string_key="password" if template else None,
                password_length=40,
                exclude_punctuation=True,
            ),
        )
        acknowledge(secret, {"SMG4": BY_HAND})
        return self._by_address(secret, construct_id + "-address")
