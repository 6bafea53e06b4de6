"""Grafana: dashboards over the metric tables, which it can read and nothing else."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.config import Names, Told
from infra.constructs.balancer import Balancer, Route
from infra.constructs.database import TLS, Login
from infra.constructs.firewall import GRAFANA, POSTGRES
from infra.constructs.parts import Parts
from infra.constructs.served import Served
from infra.constructs.task import Program

GRACE = Duration.seconds(120)


class Grafana(Served):
    """The server behind the balancer; its administrator logs in with a password that Secrets Manager made."""

    def __init__(self, scope: Construct, construct_id: str, *, parts: Parts, balancer: Balancer) -> None:
        told = parts.environment.told
        own, reader = parts.database.login("grafana"), parts.database.login("propensity_reader")
        super().__init__(
            scope,
            construct_id,
            parts=parts,
            balancer=balancer,
            size=parts.environment.services.grafana,
            security_group=parts.firewall.grafana,
            route=Route(name="grafana", priority=40, health="/api/health"),
            grace=GRACE,
            program=Program(
                image=parts.images.container("grafana"),
                environment=_variables(own, reader, parts.environment.names) | _letters(told),
                secrets={
                    "GF_DATABASE_PASSWORD": ecs.Secret.from_secrets_manager(own.password, "password"),
                    "GF_SECURITY_ADMIN_PASSWORD": ecs.Secret.from_secrets_manager(parts.database.grafana_admin),
                    "PROPENSITY_READER_PASSWORD": ecs.Secret.from_secrets_manager(reader.password, "password"),
                    **_of_whoever_is_told(scope, told),
                },
                key=parts.database.key,
                port=GRAFANA,
            ),
        )


def _of_whoever_is_told(scope: Construct, told: Told) -> dict[str, ecs.Secret]:
    """Secrets that people made, encrypted with the account's own key for secrets: a key of theirs would have to let this task read."""
    found: dict[str, ecs.Secret] = {}
    if told.webhook_secret_arn is not None:
        webhook = secretsmanager.Secret.from_secret_complete_arn(scope, "GrafanaWebhook", told.webhook_secret_arn)
        found["PROPENSITY_ALERT_WEBHOOK"] = ecs.Secret.from_secrets_manager(webhook)
    if told.smtp_secret_arn is not None:
        smtp = secretsmanager.Secret.from_secret_complete_arn(scope, "GrafanaSmtp", told.smtp_secret_arn)
        found["GF_SMTP_USER"] = ecs.Secret.from_secrets_manager(smtp, "username")
        found["GF_SMTP_PASSWORD"] = ecs.Secret.from_secrets_manager(smtp, "password")
    return found


def _letters(told: Told) -> dict[str, str]:
    """The mail server, and to whom; nothing where nobody is named, so that the image's own defaults hold."""
    if told.email is None or told.smtp_host is None or told.smtp_from is None:
        return {}
    return {
        "PROPENSITY_ALERT_EMAIL": told.email,
        "GF_SMTP_ENABLED": "true",
        "GF_SMTP_HOST": told.smtp_host,
        "GF_SMTP_FROM_ADDRESS": told.smtp_from,
        "GF_SMTP_STARTTLS_POLICY": "MandatoryStartTLS",
    }


def _variables(own: Login, reader: Login, names: Names) -> dict[str, str]:
    """Grafana's own database, and that of the dashboards, which the image's provisioning takes from its environment."""
    return {
        "GF_SERVER_HTTP_PORT": str(GRAFANA),
        "GF_SERVER_ROOT_URL": f"{names.url('grafana')}/",
        "GF_DATABASE_TYPE": "postgres",
        "GF_DATABASE_HOST": f"{own.host}:{POSTGRES}",
        "GF_DATABASE_NAME": "grafana",
        "GF_DATABASE_USER": own.role,
        "GF_DATABASE_SSL_MODE": TLS,
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_USERS_ALLOW_SIGN_UP": "false",
        "GF_PATHS_DATA": "/tmp/grafana",  # noqa: S108 - of the container
        "PROPENSITY_READER_HOST": f"{reader.host}:{POSTGRES}",
        "PROPENSITY_READER_USER": reader.role,
        "PROPENSITY_READER_SSL_MODE": TLS,
    }
