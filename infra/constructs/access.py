"""What a program may do with the data lake: by prefix, nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from aws_cdk import aws_iam as iam

from infra.acknowledged import acknowledge, exported
from infra.constructs.data_lake import DataLake


def let_read(role: iam.IRole, lake: DataLake, *prefixes: str) -> None:
    """Read objects below these prefixes, older versions of them too, and see which there are.

    Who may not list a bucket is told 403 and not 404 of an object that is not there, and asking for one names no prefix: hence IfExists.
    """
    _allow(role, lake, prefixes, "s3:GetObject", "s3:GetObjectVersion")
    role.add_to_principal_policy(
        iam.PolicyStatement(
            actions=["s3:ListBucket"],
            resources=[lake.bucket.bucket_arn],
            conditions={"StringLikeIfExists": {"s3:prefix": [f"{prefix}/*" for prefix in prefixes]}},
        )
    )
    role.add_to_principal_policy(iam.PolicyStatement(actions=["kms:Decrypt"], resources=[lake.key.key_arn]))


def let_write(role: iam.IRole, lake: DataLake, *prefixes: str) -> None:
    """Write objects below these prefixes. What is replaced stays as an older version; nothing can be deleted."""
    _allow(role, lake, prefixes, "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
    # Parts of an upload are put together under the key, so that writing takes reading.
    role.add_to_principal_policy(iam.PolicyStatement(actions=["kms:GenerateDataKey", "kms:Decrypt"], resources=[lake.key.key_arn]))


def _allow(role: iam.IRole, lake: DataLake, prefixes: Iterable[str], *actions: str) -> None:
    for prefix in prefixes:
        resource = lake.bucket.arn_for_objects(f"{prefix}/*")
        role.add_to_principal_policy(iam.PolicyStatement(actions=list(actions), resources=[resource]))
        named = f"{exported(lake.bucket.bucket_arn, lake)}/{prefix}/*"
        acknowledge(role, {f"IAM5[Resource::{named}]": f"Objects below {prefix}/ get their names when they are written."})
