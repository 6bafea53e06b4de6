from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from flows.outcomes import ERRORS, INBOX, SET_ASIDE
from infra.config import environment_named
from propensity.campaigns import all_campaigns

if TYPE_CHECKING:
    import aws_cdk as cdk

BUCKET = "AWS::S3::Bucket"
Synthesise = Callable[[str], Any]


def rules(synthesise: Synthesise, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = synthesise(name)["DataLake"].named("LakeBucket", BUCKET)["Properties"]["LifecycleConfiguration"]["Rules"]
    return found


def days_until_expired(synthesise: Synthesise, name: str, key: str) -> int | None:
    days = [r["ExpirationInDays"] for r in rules(synthesise, name) if key.startswith(r.get("Prefix", "")) and "ExpirationInDays" in r]
    return min(days, default=None)


def test_what_holds_data_keeps_its_logical_id(synthesise: Synthesise, name: str) -> None:
    # Another id makes CloudFormation create an empty bucket or key beside the one with the data.
    lake = synthesise(name)["DataLake"]
    assert set(lake.of_type(BUCKET)) == {"LakeBucketB1D32E10", "LakeAccessLogC6959085"}
    assert set(lake.of_type("AWS::KMS::Key")) == {"LakeKey7B6C155C"}


def test_nothing_has_a_physical_name(synthesise: Synthesise, name: str) -> None:
    for bucket in synthesise(name).of_type(BUCKET).values():
        assert "BucketName" not in bucket["Properties"]


def test_objects_are_encrypted_with_a_rotating_key_of_ours(synthesise: Synthesise, name: str) -> None:
    lake = synthesise(name)["DataLake"]
    (rule,) = lake.named("LakeBucket", BUCKET)["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": {"Fn::GetAtt": ["LakeKey7B6C155C", "Arn"]},
    }
    assert lake.named("LakeKey", "AWS::KMS::Key")["Properties"]["EnableKeyRotation"] is True


def test_the_lake_keeps_versions_and_an_access_log(synthesise: Synthesise, name: str) -> None:
    lake = synthesise(name)["DataLake"].named("LakeBucket", BUCKET)["Properties"]
    assert lake["VersioningConfiguration"] == {"Status": "Enabled"}
    assert lake["LoggingConfiguration"]["DestinationBucketName"] == {"Ref": "LakeAccessLogC6959085"}


def test_no_bucket_can_be_public_or_be_read_without_tls(synthesise: Synthesise, name: str) -> None:
    lake = synthesise(name)["DataLake"]
    for bucket_id, bucket in lake.of_type(BUCKET).items():
        assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
        (policy,) = (p for p in lake.of_type("AWS::S3::BucketPolicy").values() if p["Properties"]["Bucket"] == {"Ref": bucket_id})
        refused = [s["Condition"] for s in policy["Properties"]["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
        assert {"Bool": {"aws:SecureTransport": "false"}} in refused


@pytest.mark.parametrize("key", ["snapshots/a/b/data.parquet", "models/a/b/model.json", "trainings/a/b/report.json"])
def test_the_evidence_of_predictions_never_expires(synthesise: Synthesise, name: str, key: str) -> None:
    assert days_until_expired(synthesise, name, key) is None


@pytest.mark.parametrize("prefix", ["inbox", "lists", INBOX, ERRORS, SET_ASIDE])
def test_customer_lists_outlive_the_label_window_and_then_go(synthesise: Synthesise, name: str, prefix: str) -> None:
    for campaign in all_campaigns().values():
        days = days_until_expired(synthesise, name, f"{prefix}/{campaign.name}/list.csv")
        assert days == campaign.label.window_days + environment_named(name).retention.list_days


def test_reports_and_replaced_versions_expire(synthesise: Synthesise, name: str) -> None:
    retention = environment_named(name).retention
    assert days_until_expired(synthesise, name, "reports/term-deposit/x.html") == retention.report_days
    everywhere = [r for r in rules(synthesise, name) if "Prefix" not in r]
    assert [r["NoncurrentVersionExpiration"]["NoncurrentDays"] for r in everywhere] == [retention.replaced_days]


def test_data_outlive_their_stack_only_where_the_environment_keeps_them(synthesise: Synthesise, name: str) -> None:
    lake = synthesise(name)["DataLake"]
    kept = "Retain" if environment_named(name).keep_data else "Delete"
    stateful = {**lake.of_type(BUCKET), **lake.of_type("AWS::KMS::Key")}
    assert {resource["DeletionPolicy"] for resource in stateful.values()} == {kept}
    emptied = lake.of_type("Custom::S3AutoDeleteObjects")
    assert bool(emptied) is not environment_named(name).keep_data
    assert bool(lake.protected) is environment_named(name).termination_protection


def test_a_resource_that_breaks_the_policy_stops_the_synthesis(new_app: Callable[[str], cdk.App]) -> None:
    from aws_cdk import aws_s3 as s3

    from infra.app import build

    app = new_app("dev")
    s3.Bucket(build(app).data_lake, "Careless")
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
