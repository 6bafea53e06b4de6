"""Object storage: one encrypted, versioned bucket whose prefixes are kept for as long as each is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.config import Environment, Retention
from propensity.campaign import Campaign

# Snapshots, models and trainings never expire: any prediction must be traceable to them. The first and the last are read when
# a model is trained or its drift is measured; after this many days that is rare enough for the cheaper class. Models are read
# at every start of the service and stay where they are.
COOL_AFTER_DAYS = 90
COOLED = ("snapshots", "trainings")
PER_CAMPAIGN = ("inbox", "lists")


class DataLake(Construct):
    """A bucket, the key that encrypts it, and the bucket with its access log.

    Attributes
    ----------
    key : kms.Key
        Customer managed and rotated every year.
    bucket : s3.Bucket
        Refuses public access and plain HTTP.
    access_log : s3.Bucket
        Who asked ``bucket`` for what. S3 delivers access logs only to buckets with its own encryption, so this has no key of ours.
    """

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment, campaigns: Sequence[Campaign]) -> None:
        super().__init__(scope, construct_id)
        self.access_log = self._access_log(environment)
        self.key = kms.Key(
            self,
            "Key",
            description="Propensity platform: objects of the data lake",
            enable_key_rotation=True,
            pending_window=Duration.days(environment.key_deletion_days),
            removal_policy=_removal(environment),
        )
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            bucket_key_enabled=True,
            versioned=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            server_access_logs_bucket=self.access_log,
            lifecycle_rules=list(_lifecycle(environment.retention, campaigns)),
            removal_policy=_removal(environment),
            auto_delete_objects=not environment.keep_data,
        )

    def _access_log(self, environment: Environment) -> s3.Bucket:
        return s3.Bucket(
            self,
            "AccessLog",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            lifecycle_rules=[s3.LifecycleRule(id="expire", expiration=Duration.days(environment.retention.access_log_days))],
            removal_policy=_removal(environment),
            auto_delete_objects=not environment.keep_data,
        )


def _removal(environment: Environment) -> RemovalPolicy:
    return RemovalPolicy.RETAIN if environment.keep_data else RemovalPolicy.DESTROY


def _lifecycle(retention: Retention, campaigns: Sequence[Campaign]) -> Iterator[s3.LifecycleRule]:
    yield s3.LifecycleRule(
        id="replaced-and-unfinished",
        noncurrent_version_expiration=Duration.days(retention.replaced_days),
        expired_object_delete_marker=True,
        abort_incomplete_multipart_upload_after=Duration.days(1),
    )
    for prefix in COOLED:
        transition = s3.Transition(storage_class=s3.StorageClass.INFREQUENT_ACCESS, transition_after=Duration.days(COOL_AFTER_DAYS))
        yield s3.LifecycleRule(id=prefix, prefix=f"{prefix}/", transitions=[transition])
    yield s3.LifecycleRule(id="reports", prefix="reports/", expiration=Duration.days(retention.report_days))
    for campaign in campaigns:
        days = Duration.days(campaign.label.window_days + retention.list_days)
        for prefix in PER_CAMPAIGN:
            yield s3.LifecycleRule(id=f"{prefix}-{campaign.name}", prefix=f"{prefix}/{campaign.name}/", expiration=days)
