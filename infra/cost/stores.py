"""What keeps things: databases, buckets, images, keys, secrets, logs."""

from __future__ import annotations

from collections.abc import Iterator

from infra.cost.assembly import Resource
from infra.cost.clock import awake_hours
from infra.cost.lines import Line, Month, Pricing, literal, number
from infra.cost.prices import NotPriced

INSTANCE, CLUSTER = "AWS::RDS::DBInstance", "AWS::RDS::DBCluster"
BUCKET, REPOSITORY, LOGS = "AWS::S3::Bucket", "AWS::ECR::Repository", "AWS::Logs::LogGroup"
SERVERLESS = "db.serverless"


def database(resource: Resource, month: Month) -> Iterator[Line]:
    """A database server all month; a second one stands by where it is in several zones. Members of a cluster share its storage."""
    size = str(literal(resource, "DBInstanceClass"))
    yield from _kept_password(resource, month)
    if size == SERVERLESS:
        yield from _serverless(resource, month)
        return
    copies = 2 if literal(resource, "MultiAZ") in (True, "true") else 1
    yield Line(resource, "RDS", f"{copies} x {size}", copies * month.hours, "hour", month.usd("rds", size))
    if "DBClusterIdentifier" in resource.properties:
        return
    kind = str(literal(resource, "StorageType") or "gp2")
    held = number(literal(resource, "AllocatedStorage"), what="AllocatedStorage")
    if literal(resource, "MaxAllocatedStorage") is not None:
        held = max(held, min(month.usage.database_gb, number(literal(resource, "MaxAllocatedStorage"), what="MaxAllocatedStorage")))
    yield Line(resource, "RDS", f"{kind} storage", copies * held, "GB-month", month.usd("rds_storage", f"gb_month_{kind}"))


def cluster(resource: Resource, month: Month) -> Iterator[Line]:
    """Storage and its reads and writes; the servers are resources of their own."""
    yield from _kept_password(resource, month)
    yield Line(resource, "Aurora", "storage", month.share(CLUSTER, month.usage.database_gb), "GB-month", month.usd("aurora", "gb_month"))
    # A row is written about twice, with its indexes; reading it for monitoring and outcomes takes as much again.
    operations = month.share(CLUSTER, 4 * month.usage.rows * month.usage.row_bytes / 8192 + month.usage.requests)
    yield Line(resource, "Aurora", "reads and writes", operations, "operation", month.usd("aurora", "io"))


def proxy(resource: Resource, month: Month) -> Iterator[Line]:
    """A proxy is paid by the processors of the database behind it: 2 at least."""
    yield Line(resource, "RDS", "proxy", 2 * month.hours, "vCPU-hour", month.usd("rds_storage", "proxy_vcpu_hour"))


def bucket(resource: Resource, month: Month) -> Iterator[Line]:
    """Objects by size, and a few requests for each list and model."""
    yield Line(resource, "S3", "objects", month.share(BUCKET, month.usage.store_gb), "GB-month", month.usd("s3", "gb_month"))
    yield Line(
        resource, "S3", "writes", month.share(BUCKET, 20 * month.usage.lists + month.usage.requests / 10), "PUT", month.usd("s3", "put")
    )


def repository(resource: Resource, month: Month) -> Iterator[Line]:
    """Images by size."""
    yield Line(resource, "ECR", "images", month.share(REPOSITORY, month.usage.image_gb), "GB-month", month.usd("ecr", "gb_month"))


def key(resource: Resource, month: Month) -> Iterator[Line]:
    """A key of one's own. With bucket keys on, its requests cost cents."""
    yield Line(resource, "KMS", "key", 1, "key-month", month.usd("kms", "key_month"))


def secret(resource: Resource, month: Month) -> Iterator[Line]:
    """A secret, read when a task starts."""
    yield Line(resource, "Secrets Manager", "secret", 1, "secret-month", month.usd("secrets", "secret_month"))


def parameter(resource: Resource, month: Month) -> Iterator[Line]:
    """Parameters are free up to 4 KB."""
    if literal(resource, "Tier") == "Advanced":
        yield Line(resource, "Systems Manager", "parameter", 1, "parameter-month", month.usd("parameters", "advanced_month"))


def logs(resource: Resource, month: Month) -> Iterator[Line]:
    """Lines are paid when they are written, and a little while they are kept."""
    written = month.share(LOGS, month.usage.log_gb)
    months = number(literal(resource, "RetentionInDays") or 3653, what="RetentionInDays") / 30.4
    yield Line(resource, "CloudWatch", "log lines written", written, "GB", month.usd("logs", "gb"))
    # Stored compressed, to about 15 %.
    yield Line(resource, "CloudWatch", "log lines kept", 0.15 * written * months, "GB-month", month.usd("logs", "gb_month"))


def _kept_password(resource: Resource, month: Month) -> Iterator[Line]:
    """A password that RDS keeps itself is a secret that no template lists."""
    if literal(resource, "ManageMasterUserPassword"):
        yield Line(resource, "Secrets Manager", "administrator's password", 1, "secret-month", month.usd("secrets", "secret_month"))


def _serverless(resource: Resource, month: Month) -> Iterator[Line]:
    """A member of a cluster that grows and shrinks; it pauses where the cluster's smallest capacity is 0."""
    owner = month.referred(resource.properties.get("DBClusterIdentifier"), resource.stack)
    if owner is None:
        raise NotPriced("its cluster is in none of the templates")
    least = number(literal(owner, "ServerlessV2ScalingConfiguration", "MinCapacity"), what="MinCapacity")
    awake = min(month.hours, month.usage.database_hours + awake_hours(month))
    busy = max(least, month.usage.database_units) * awake
    idle = least * max(0.0, month.hours - awake)
    what = "capacity, paused when idle" if least == 0 else f"capacity, at least {least:g}"
    yield Line(resource, "Aurora", what, busy + idle, "unit-hour", month.usd("aurora", "capacity_hour"))


PRICING: dict[str, Pricing] = {
    INSTANCE: database,
    CLUSTER: cluster,
    "AWS::RDS::DBProxy": proxy,
    BUCKET: bucket,
    REPOSITORY: repository,
    "AWS::KMS::Key": key,
    "AWS::SecretsManager::Secret": secret,
    "AWS::SSM::Parameter": parameter,
    LOGS: logs,
}
