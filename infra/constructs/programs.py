"""Environment variables of the platform's programs on AWS, in one place. Not one of them is a secret."""

from __future__ import annotations

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_s3 as s3

from infra.constructs.database import Login

# Nothing talks to the outside.
QUIET = {
    "DO_NOT_TRACK": "true",
    "EVIDENTLY_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_CLI_PROMPT": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONUNBUFFERED": "1",
    # Only /tmp can be written to.
    "HOME": "/tmp",  # noqa: S108 - of the container
    "PREFECT_HOME": "/tmp/prefect",  # noqa: S108
    "MPLCONFIGDIR": "/tmp/matplotlib",  # noqa: S108
}
PASSWORD = "PGPASSWORD"  # noqa: S105 - the name of a variable


def password_of(login: Login) -> dict[str, ecs.Secret]:
    """The password, where libpq and asyncpg look for it."""
    return {PASSWORD: ecs.Secret.from_secrets_manager(login.password, "password")}


def platform_variables(login: Login, bucket: s3.IBucket) -> dict[str, str]:
    """Where predictions and objects lie, for the scoring service and for flows."""
    return {**QUIET, "PROPENSITY_DATABASE_URL": login.url("propensity"), "PROPENSITY_STORE_URL": bucket.s3_url_for_object()}


def flow_variables(login: Login, bucket: s3.IBucket, *, mlflow_url: str, prefect_url: str | None = None) -> dict[str, str]:
    """What a flow is told on top: MLflow, and the Prefect server that keeps the record of its runs."""
    variables = {
        **platform_variables(login, bucket),
        "PROPENSITY_MLFLOW_URL": mlflow_url,
        "PROPENSITY_MLFLOW_ARTIFACTS": bucket.s3_url_for_object("mlflow"),
        "PROPENSITY_HOME": "/tmp/propensity",  # noqa: S108
    }
    return variables if prefect_url is None else {**variables, "PREFECT_API_URL": f"{prefect_url}/api"}
