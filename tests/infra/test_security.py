"""What must hold in every stack of every environment, whoever adds the next resource."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Json = dict[str, Any]
Synthesise = Callable[..., Any]
STREAMS = ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::S3::BucketPolicy")
# "environment" and "always-on" are what is deployed; the other profiles change what runs, not who may do what.
SECRET_NAME = re.compile(r"pass(word)?|secret|token|auth|key", re.IGNORECASE)


@pytest.fixture(params=["always-on", "lean", "near-zero"])
def platform(request: pytest.FixtureRequest, synthesise: Synthesise) -> Any:
    return synthesise("prod" if request.param == "always-on" else "dev", request.param)


def statements(platform: Any) -> Iterator[tuple[str, Json]]:
    """Every statement that lets a role do something."""
    for kind, inside in (("AWS::IAM::Policy", "PolicyDocument"), ("AWS::IAM::ManagedPolicy", "PolicyDocument")):
        for name, properties in platform.properties(kind).items():
            for statement in properties[inside]["Statement"]:
                yield name, statement
    for name, properties in platform.properties("AWS::IAM::Role").items():
        for policy in properties.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_nothing_lets_the_internet_in(platform: Any) -> None:
    # The REST API is AWS' own address: nothing of ours listens to the outside.
    for name, group in platform.properties("AWS::EC2::SecurityGroup").items():
        for rule in group.get("SecurityGroupIngress", []):
            assert rule.get("CidrIp") not in ("0.0.0.0/0",), name
            assert "CidrIpv6" not in rule, name
    for name, rule in platform.properties("AWS::EC2::SecurityGroupIngress").items():
        assert rule.get("CidrIp") != "0.0.0.0/0", name
        assert "CidrIpv6" not in rule, name


def test_only_the_nat_has_a_public_address(platform: Any) -> None:
    for name, subnet in platform.properties("AWS::EC2::Subnet").items():
        assert subnet["MapPublicIpOnLaunch"] is False, name
    for name, balancer in platform.properties("AWS::ElasticLoadBalancingV2::LoadBalancer").items():
        assert balancer["Scheme"] == "internal", name
    for name, service in platform.properties("AWS::ECS::Service").items():
        assert service["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED", name
    for name, server in platform.properties("AWS::RDS::DBInstance").items():
        assert not server.get("PubliclyAccessible"), name


def test_security_groups_have_one_owner(platform: Any) -> None:
    for kind in ("AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress"):
        assert {name.partition("/")[0] for name in platform.of_type(kind)} == {"Network"}, kind


def test_no_right_is_a_wildcard_of_actions(platform: Any) -> None:
    found = list(statements(platform))
    assert found
    for name, statement in found:
        for action in as_list(statement["Action"]):
            assert "*" not in action or action == "xray:*", f"{name}: {action}"
        if "*" in as_list(statement["Resource"]):
            assert not set(as_list(statement["Action"])) & WITH_RESOURCES, name


# Whatever changes or reads something that has a name.
WITH_RESOURCES = {
    "ecs:RunTask",
    "iam:PassRole",
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "lambda:InvokeFunction",
    "s3:GetObject",
    "s3:PutObject",
    "secretsmanager:GetSecretValue",
    "sns:Publish",
    "sqs:SendMessage",
    "sts:AssumeRole",
}


def test_roles_are_passed_to_ecs_by_name(platform: Any) -> None:
    passed = [s for _, s in statements(platform) if "iam:PassRole" in as_list(s["Action"])]
    assert passed
    for statement in passed:
        assert all(isinstance(resource, dict) for resource in as_list(statement["Resource"]))


def test_no_variable_holds_a_secret(platform: Any) -> None:
    for name, task in platform.properties("AWS::ECS::TaskDefinition").items():
        for container in task["ContainerDefinitions"]:
            for variable in container.get("Environment", []):
                assert not SECRET_NAME.search(variable["Name"]), f"{name}: {variable['Name']}"
                assert not re.search(r"://[^/@]*:[^/@]*@", json.dumps(variable["Value"])), f"{name}: {variable['Name']}"
            for secret in container.get("Secrets", []):
                assert "ImportValue" in json.dumps(secret["ValueFrom"]) or "Ref" in json.dumps(secret["ValueFrom"])
    for name, function in platform.properties("AWS::Lambda::Function").items():
        for variable in function.get("Environment", {}).get("Variables", {}):
            assert not SECRET_NAME.search(variable) or variable.endswith("_SECRET_ARN"), f"{name}: {variable}"


def test_passwords_are_made_and_never_written_down(platform: Any) -> None:
    for name, secret in platform.properties("AWS::SecretsManager::Secret").items():
        assert "SecretString" not in secret, name
        assert secret["GenerateSecretString"]["PasswordLength"] >= 32, name
        assert secret["KmsKeyId"], name
    for kind in ("AWS::RDS::DBInstance", "AWS::RDS::DBCluster"):
        for name, server in platform.properties(kind).items():
            if "DBClusterIdentifier" not in server:
                assert server["ManageMasterUserPassword"] is True, name
                assert "MasterUserPassword" not in server, name


def test_every_store_and_queue_refuses_plain_connections(platform: Any) -> None:
    for kind, policies, reference in (
        ("AWS::S3::Bucket", "AWS::S3::BucketPolicy", "Bucket"),
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "Queues"),
        ("AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "Topics"),
    ):
        refusing = set()
        for name, policy in platform.properties(policies).items():
            conditions = [s.get("Condition") for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
            if {"Bool": {"aws:SecureTransport": "false"}} in conditions:
                refusing |= {f"{name.partition('/')[0]}/{one['Ref']}" for one in as_list(policy[reference])}
        assert set(platform.of_type(kind)) <= refusing, kind


def test_postgres_takes_tls_alone_and_programs_ask_for_it(platform: Any) -> None:
    groups = {**platform.properties("AWS::RDS::DBParameterGroup"), **platform.properties("AWS::RDS::DBClusterParameterGroup")}
    assert groups
    assert all(group["Parameters"]["rds.force_ssl"] == "1" for group in groups.values())
    addresses = [
        (name, json.dumps(variable["Value"]))
        for name, task in platform.properties("AWS::ECS::TaskDefinition").items()
        for container in task["ContainerDefinitions"]
        for variable in container.get("Environment", [])
        if "postgresql" in json.dumps(variable["Value"])
    ]
    assert addresses
    for name, address in addresses:
        assert "sslmode=verify-full" in address or "?ssl=verify-full" in address, name


def test_what_is_stored_is_encrypted(platform: Any) -> None:
    for name, server in platform.properties("AWS::RDS::DBInstance").items():
        assert server.get("StorageEncrypted") or "DBClusterIdentifier" in server, name
    for name, server in platform.properties("AWS::RDS::DBCluster").items():
        assert server["StorageEncrypted"] is True, name
    for name, topic in platform.properties("AWS::SNS::Topic").items():
        assert topic["KmsMasterKeyId"], name
    for name, queue in platform.properties("AWS::SQS::Queue").items():
        assert queue["SqsManagedSseEnabled"] is True, name
    for name, repository in platform.properties("AWS::ECR::Repository").items():
        assert repository["EncryptionConfiguration"]["EncryptionType"] == "KMS", name


def test_every_log_is_kept_for_a_stated_time(platform: Any) -> None:
    groups = platform.properties("AWS::Logs::LogGroup")
    assert groups
    for name, group in groups.items():
        assert group["RetentionInDays"] > 0, name
    # A function or a task without a group of its own would make one that never ends.
    for name, function in platform.properties("AWS::Lambda::Function").items():
        if "CustomS3AutoDelete" not in name:
            assert function["LoggingConfig"]["LogGroup"], name
    for name, task in platform.properties("AWS::ECS::TaskDefinition").items():
        for container in task["ContainerDefinitions"]:
            assert container["LogConfiguration"]["Options"]["awslogs-group"], name


def test_containers_write_to_tmp_alone(platform: Any) -> None:
    for name, task in platform.properties("AWS::ECS::TaskDefinition").items():
        for container in task["ContainerDefinitions"]:
            assert container["ReadonlyRootFilesystem"] is True, name
            assert [m["ContainerPath"] for m in container["MountPoints"] if not m["ReadOnly"]] == ["/tmp"], name
            assert not container.get("Privileged"), name


def test_images_are_named_by_their_version(platform: Any) -> None:
    for name, repository in platform.properties("AWS::ECR::Repository").items():
        assert repository["ImageTagMutability"] == "IMMUTABLE", name
    for name, task in platform.properties("AWS::ECS::TaskDefinition").items():
        for container in task["ContainerDefinitions"]:
            assert json.dumps(container["Image"]).rstrip(']}"').endswith(":0123456789ab"), name
