"""What the function is configured with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..variables import arn, bucket_and_prefix, capacity, comma_separated, required, s3_endpoint, whole_number

STORE = "PROPENSITY_STORE_URL"
UPLOAD_LIMIT = "PROPENSITY_UPLOAD_LIMIT_BYTES"
CLUSTER = "PROPENSITY_LIST_CLUSTER"
TASK_DEFINITION = "PROPENSITY_LIST_TASK_DEFINITION"
CONTAINER = "PROPENSITY_LIST_CONTAINER"
SUBNETS = "PROPENSITY_LIST_SUBNETS"
SECURITY_GROUPS = "PROPENSITY_LIST_SECURITY_GROUPS"
CAPACITY = "PROPENSITY_LIST_CAPACITY_PROVIDER"
S3_ENDPOINT = "PROPENSITY_S3_ENDPOINT_URL"
SPARK_FROM = "PROPENSITY_SPARK_FROM_BYTES"
SPARK_APPLICATION = "PROPENSITY_SPARK_APPLICATION_ID"
SPARK_ROLE = "PROPENSITY_SPARK_ROLE_ARN"
SPARK_CODE = "PROPENSITY_SPARK_CODE"
SPARK_LOG_GROUP = "PROPENSITY_SPARK_LOG_GROUP"
SPARK_DATABASE = "PROPENSITY_SPARK_DATABASE_URL"
SPARK_PASSWORD = "PROPENSITY_SPARK_PASSWORD_SECRET_ARN"  # noqa: S105 - the name of a variable that holds the secret's address

MOST_BYTES = 100 * 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkEnvironment:
    """The application that scores lists of ``from_bytes`` and above, from the variables ``PROPENSITY_SPARK_...``.

    Attributes
    ----------
    database_url, password_secret_arn : str
        What its jobs are told: an address without a password, and where that is.
    """

    from_bytes: int
    application_id: str
    role_arn: str
    code: str
    log_group: str
    database_url: str
    password_secret_arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListUploadedEnvironment:
    """Where lists lie, and the task that scores one.

    Attributes
    ----------
    bucket, prefix : str
        The data lake, from ``PROPENSITY_STORE_URL``, as in ``s3://bucket`` or ``s3://bucket/prefix``.
    upload_limit_bytes : int
        From ``PROPENSITY_UPLOAD_LIMIT_BYTES``, the same as that of the function ``lists``.
    cluster, task_definition, container : str
        From ``PROPENSITY_LIST_CLUSTER``, ``PROPENSITY_LIST_TASK_DEFINITION`` and ``PROPENSITY_LIST_CONTAINER``: ARNs or names, and the
        name of the container that runs ``python -m flows.list_job``.
    subnets, security_groups : tuple of str
        From ``PROPENSITY_LIST_SUBNETS`` and ``PROPENSITY_LIST_SECURITY_GROUPS``, separated by commas.
    capacity_provider : str
        FARGATE or FARGATE_SPOT, from ``PROPENSITY_LIST_CAPACITY_PROVIDER``.
    s3_endpoint_url : str or None
        Another S3 than that of AWS, from ``PROPENSITY_S3_ENDPOINT_URL``; may be left out.
    spark : SparkEnvironment
    """

    bucket: str
    prefix: str
    upload_limit_bytes: int
    cluster: str
    task_definition: str
    container: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    capacity_provider: str
    s3_endpoint_url: str | None
    spark: SparkEnvironment


def read_environment(variables: Mapping[str, str]) -> ListUploadedEnvironment:
    """Read the variables. Raises SettingsInvalid, naming the one that is missing or wrong."""
    required(variables, STORE, UPLOAD_LIMIT, CLUSTER, TASK_DEFINITION, CONTAINER, SUBNETS, SECURITY_GROUPS, CAPACITY)
    bucket, prefix = bucket_and_prefix(variables, STORE)
    return ListUploadedEnvironment(
        bucket=bucket,
        prefix=prefix,
        upload_limit_bytes=whole_number(variables, UPLOAD_LIMIT, 1, MOST_BYTES),
        cluster=variables[CLUSTER],
        task_definition=variables[TASK_DEFINITION],
        container=variables[CONTAINER],
        subnets=comma_separated(variables, SUBNETS, "subnet-"),
        security_groups=comma_separated(variables, SECURITY_GROUPS, "sg-"),
        capacity_provider=capacity(variables, CAPACITY),
        s3_endpoint_url=s3_endpoint(variables, S3_ENDPOINT),
        spark=_spark(variables),
    )


def _spark(variables: Mapping[str, str]) -> SparkEnvironment:
    required(variables, SPARK_FROM, SPARK_APPLICATION, SPARK_ROLE, SPARK_CODE, SPARK_LOG_GROUP, SPARK_DATABASE, SPARK_PASSWORD)
    # Only checked: Spark takes the address as it is.
    bucket_and_prefix(variables, SPARK_CODE)
    return SparkEnvironment(
        from_bytes=whole_number(variables, SPARK_FROM, 1, MOST_BYTES),
        application_id=variables[SPARK_APPLICATION],
        role_arn=arn(variables, SPARK_ROLE, "iam"),
        code=variables[SPARK_CODE],
        log_group=variables[SPARK_LOG_GROUP],
        database_url=variables[SPARK_DATABASE],
        password_secret_arn=arn(variables, SPARK_PASSWORD, "secretsmanager"),
    )
