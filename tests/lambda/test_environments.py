"""Every function names what is missing or wrong, and never a value."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import pytest

from propensity.errors import SettingsInvalid

TOPIC = "arn:aws:sns:eu-central-1:123456789012:people"
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prefect-abc"
TASK = {
    "CLUSTER": "platform",
    "TASK_DEFINITION": "job:7",
    "CONTAINER": "flows",
    "SUBNETS": "subnet-1, subnet-2",
    "SECURITY_GROUPS": "sg-1",
    "CAPACITY_PROVIDER": "FARGATE",
}
SPARK = {
    "SPARK_FROM_BYTES": "1000000",
    "SPARK_APPLICATION_ID": "00abc",
    "SPARK_ROLE_ARN": "arn:aws:iam::123456789012:role/spark",
    "SPARK_CODE": "s3://lake/spark/1",
    "SPARK_LOG_GROUP": "spark",
    "SPARK_DATABASE_URL": "postgresql://app@db:5432/propensity",
    "SPARK_PASSWORD_SECRET_ARN": SECRET,
}
SOUND: Mapping[str, Mapping[str, str]] = {
    "lists": {
        "STORE_URL": "s3://lake/a/b",
        "SCORING_URL": "http://scoring.internal:8700",
        "SCORING_TIMEOUT_S": "10",
        "UPLOAD_LIMIT_BYTES": "1000000",
        "UPLOAD_EXPIRY_S": "3600",
        "DOWNLOAD_EXPIRY_S": "300",
    },
    "list_uploaded": {
        "STORE_URL": "s3://lake",
        "UPLOAD_LIMIT_BYTES": "1000000",
        **{f"LIST_{name}": value for name, value in TASK.items()},
        **SPARK,
    },
    "alert": {
        "STORE_URL": "s3://lake",
        "PREFECT_URL": "http://prefect.internal:4200",
        "PREFECT_TIMEOUT_S": "20",
        "PREFECT_SECRET_ARN": SECRET,
        "PEOPLE_TOPIC_ARN": TOPIC,
    },
    "alert without Prefect": {
        "STORE_URL": "s3://lake",
        "PEOPLE_TOPIC_ARN": TOPIC,
        **{f"RETRAIN_{name}": value for name, value in TASK.items()},
    },
}
WRONG = {
    "STORE_URL": ("file:///lake", "s3://", "s3://key:secret-word@lake", "lake"),
    "SCORING_URL": ("https://scoring:8700", "http://scoring:443", "http://x/secret-word", "scoring:8700"),
    "SCORING_TIMEOUT_S": ("0", "29", "soon", "nan"),
    "UPLOAD_LIMIT_BYTES": ("0", "-1", "1e6", "9" * 30, "²"),
    "UPLOAD_EXPIRY_S": ("0", "999999"),
    "DOWNLOAD_EXPIRY_S": ("0", "999999"),
    "SPARK_FROM_BYTES": ("0", "1e9"),
    "SPARK_ROLE_ARN": ("secret-word", "arn:aws:s3:::bucket"),
    "SPARK_CODE": ("lake/spark", "file:///spark"),
    "SPARK_PASSWORD_SECRET_ARN": ("secret-word",),
    "LIST_SUBNETS": (",", "secret-word", "subnet-1,,subnet-2"),
    "LIST_SECURITY_GROUPS": ("subnet-1",),
    "LIST_CAPACITY_PROVIDER": ("fargate", "EC2"),
    "PREFECT_URL": ("http://prefect/api", "https://prefect:4200"),
    "PREFECT_TIMEOUT_S": ("0", "60"),
    "PREFECT_SECRET_ARN": ("prefect:secret-word", TOPIC),
    "PEOPLE_TOPIC_ARN": ("people", SECRET),
    "RETRAIN_CAPACITY_PROVIDER": ("EC2",),
}


def read(function: str, variables: Mapping[str, str]) -> Any:
    module = importlib.import_module(f"lambda.{function.split(maxsplit=1)[0]}.environment")
    return module.read_environment({f"PROPENSITY_{name}": value for name, value in variables.items()})


@pytest.mark.parametrize("function", SOUND)
def test_what_is_complete_is_read(function: str) -> None:
    found = read(function, SOUND[function])
    assert found.bucket == "lake"
    assert found.s3_endpoint_url is None
    assert found == read(function, SOUND[function])
    hash(found)


@pytest.mark.parametrize(("function", "name"), [(function, name) for function, names in SOUND.items() for name in names])
def test_what_is_missing_is_named(function: str, name: str) -> None:
    for value in (None, ""):
        given = {k: v for k, v in {**SOUND[function], name: value}.items() if v is not None}
        # Without the address of Prefect the task's variables are asked for.
        said = "PROPENSITY_RETRAIN_" if name == "PREFECT_URL" else f"PROPENSITY_{name} "
        with pytest.raises(SettingsInvalid, match=said):
            read(function, given)


@pytest.mark.parametrize(
    ("function", "name", "value"),
    [(function, name, value) for function, names in SOUND.items() for name in names for value in WRONG.get(name, ())],
)
def test_what_is_wrong_is_named_and_never_told(function: str, name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"PROPENSITY_{name} ") as refused:
        read(function, {**SOUND[function], name: value})
    assert "secret-word" not in str(refused.value)


def test_an_address_of_another_s3_is_taken_from_wherever_it_is_set() -> None:
    module = importlib.import_module("lambda.lists.environment")
    sound = {f"PROPENSITY_{name}": value for name, value in SOUND["lists"].items()}
    assert module.read_environment({**sound, "AWS_ENDPOINT_URL": "http://a"}).s3_endpoint_url == "http://a"
    both = {**sound, "AWS_ENDPOINT_URL": "http://a", "PROPENSITY_S3_ENDPOINT_URL": "http://b"}
    assert module.read_environment(both).s3_endpoint_url == "http://b"
