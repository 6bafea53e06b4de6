"""Object storage: one encrypted, versioned bucket whose prefixes are kept for as long as each is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.config import Environment, Retention
from infra.constructs.queues import dead_letter_queue
from propensity.campaign import Campaign

# Snapshots, models and trainings never expire: any prediction must be traceable to them. The first and the last are read when
# a model is trained or its drift is measured; after this many days that is rare enough for the cheaper class. Models are read
# at every start of the service and stay where they are.
COOL_AFTER_DAYS = 90
COOLED = ("snapshots", "trainings")
# Whatever has rows of customers in it: lists, and outcomes as they were brought in. What counts of them is in Postgres by then.
PER_CAMPAIGN = ("inbox", "lists", "outcomes", "outcome-errors", "outcomes-set-aside")
# Objects that are an uploaded list: lists/<campaign>/<token>/upload.
UPLOADED = {"prefix": "lists/", "suffix": "/upload"}
# How often starting a list is tried, and how long one try may take: six times as long as the function that tries.
TRIES = 5
VISIBILITY_S = 360


class DataLake(Construct):
    """A bucket, the key that encrypts it, and the bucket with its access log.

    Attributes
    ----------
    key : kms.Key
        Customer managed and rotated every year.
    bucket : s3.Bucket
        Refuses public access and plain HTTP.
    uploads, uploads_failed : sqs.Queue
        S3 tells ``uploads`` of every list that was uploaded; what could not be started `TRIES` times is in the other.
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
        self.uploads_failed = dead_letter_queue(self, "UploadsFailed")
        self.uploads = self._told_of_uploads()

    def _told_of_uploads(self) -> sqs.Queue:
        """A queue that S3 writes to when a list was uploaded.

        It is here, with the bucket, because each must know the other. S3 checks that it may write when the bucket is made, so that the
        right to it names the account: the bucket's own name is not known before.
        """
        queue = sqs.Queue(
            self,
            "Uploads",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(4),
            visibility_timeout=Duration.seconds(VISIBILITY_S),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.uploads_failed, max_receive_count=TRIES),
        )
        queue.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["sqs:SendMessage"],
                principals=[iam.ServicePrincipal("s3.amazonaws.com")],
                resources=[queue.queue_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
            )
        )
        bucket = self.bucket.node.default_child
        assert isinstance(bucket, s3.CfnBucket)
        by_name = s3.CfnBucket.S3KeyFilterProperty(
            rules=[s3.CfnBucket.FilterRuleProperty(name=name, value=value) for name, value in UPLOADED.items()]
        )
        bucket.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            queue_configurations=[
                s3.CfnBucket.QueueConfigurationProperty(
                    event="s3:ObjectCreated:*", queue=queue.queue_arn, filter=s3.CfnBucket.NotificationFilterProperty(s3_key=by_name)
                )
            ]
        )
        self.bucket.node.add_dependency(queue)
        return queue

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
    # What was done about an alert is of no use once its report has gone.
    for prefix in ("reports", "alerts"):
        yield s3.LifecycleRule(id=prefix, prefix=f"{prefix}/", expiration=Duration.days(retention.report_days))
    for campaign in campaigns:
        days = Duration.days(campaign.label.window_days + retention.list_days)
        for prefix in PER_CAMPAIGN:
            yield s3.LifecycleRule(id=f"{prefix}-{campaign.name}", prefix=f"{prefix}/{campaign.name}/", expiration=days)
