"""What the function is configured with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..variables import address, arn, bucket_and_prefix, capacity, comma_separated, required, s3_endpoint, seconds

STORE = "PROPENSITY_STORE_URL"
PEOPLE = "PROPENSITY_PEOPLE_TOPIC_ARN"
S3_ENDPOINT = "PROPENSITY_S3_ENDPOINT_URL"
# Where a Prefect server runs:
PREFECT = "PROPENSITY_PREFECT_URL"
PREFECT_TIMEOUT = "PROPENSITY_PREFECT_TIMEOUT_S"
PREFECT_SECRET = "PROPENSITY_PREFECT_SECRET_ARN"  # noqa: S105 - the name of a variable that holds the secret's address
# Where none runs:
CLUSTER = "PROPENSITY_RETRAIN_CLUSTER"
TASK_DEFINITION = "PROPENSITY_RETRAIN_TASK_DEFINITION"
CONTAINER = "PROPENSITY_RETRAIN_CONTAINER"
SUBNETS = "PROPENSITY_RETRAIN_SUBNETS"
SECURITY_GROUPS = "PROPENSITY_RETRAIN_SECURITY_GROUPS"
CAPACITY = "PROPENSITY_RETRAIN_CAPACITY_PROVIDER"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefectServer:
    """A Prefect server whose deployment ``retrain-<campaign>`` is run.

    Attributes
    ----------
    host, port : str, int
        From ``PROPENSITY_PREFECT_URL``, as in ``http://prefect.internal:4200``: without ``/api``.
    timeout_s : float
        How long each of its answers may take, from ``PROPENSITY_PREFECT_TIMEOUT_S``.
    secret_arn : str
        The secret in Secrets Manager whose text is the server's ``PREFECT_SERVER_API_AUTH_STRING`` (``name:password``), from
        ``PROPENSITY_PREFECT_SECRET_ARN``.
    """

    host: str
    port: int
    timeout_s: float
    secret_arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainTask:
    """A task on ECS that runs ``python -m flows.run retrain-<campaign>``, where no Prefect server runs.

    From ``PROPENSITY_RETRAIN_CLUSTER``, ``..._TASK_DEFINITION``, ``..._CONTAINER``, ``..._SUBNETS``, ``..._SECURITY_GROUPS`` and
    ``..._CAPACITY_PROVIDER``, which are as those of the function ``list_uploaded``.
    """

    cluster: str
    task_definition: str
    container: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    capacity_provider: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEnvironment:
    """Who is told of an alert.

    Attributes
    ----------
    bucket, prefix : str
        The data lake, where it is written down that an alert was dealt with, from ``PROPENSITY_STORE_URL``.
    retrain : PrefectServer or RetrainTask
        What retrains: the server where ``PROPENSITY_PREFECT_URL`` is set, else the task.
    people_topic_arn : str
        The SNS topic with people's mail addresses, from ``PROPENSITY_PEOPLE_TOPIC_ARN``.
    s3_endpoint_url : str or None
        Another S3 than that of AWS, from ``PROPENSITY_S3_ENDPOINT_URL``; may be left out.
    """

    bucket: str
    prefix: str
    retrain: PrefectServer | RetrainTask
    people_topic_arn: str
    s3_endpoint_url: str | None


def read_environment(variables: Mapping[str, str]) -> AlertEnvironment:
    """Read the variables. Raises SettingsInvalid, naming the one that is missing or wrong."""
    required(variables, STORE, PEOPLE)
    bucket, prefix = bucket_and_prefix(variables, STORE)
    return AlertEnvironment(
        bucket=bucket,
        prefix=prefix,
        retrain=_server(variables) if variables.get(PREFECT) else _task(variables),
        people_topic_arn=arn(variables, PEOPLE, "sns"),
        s3_endpoint_url=s3_endpoint(variables, S3_ENDPOINT),
    )


def _server(variables: Mapping[str, str]) -> PrefectServer:
    required(variables, PREFECT_TIMEOUT, PREFECT_SECRET)
    host, port = address(variables, PREFECT, "http://prefect.internal:4200")
    timeout_s = seconds(variables, PREFECT_TIMEOUT, 60)
    return PrefectServer(host=host, port=port, timeout_s=timeout_s, secret_arn=arn(variables, PREFECT_SECRET, "secretsmanager"))


def _task(variables: Mapping[str, str]) -> RetrainTask:
    required(variables, CLUSTER, TASK_DEFINITION, CONTAINER, SUBNETS, SECURITY_GROUPS, CAPACITY)
    return RetrainTask(
        cluster=variables[CLUSTER],
        task_definition=variables[TASK_DEFINITION],
        container=variables[CONTAINER],
        subnets=comma_separated(variables, SUBNETS, "subnet-"),
        security_groups=comma_separated(variables, SECURITY_GROUPS, "sg-"),
        capacity_provider=capacity(variables, CAPACITY),
    )
