"""A job of EMR Serverless is asked for as AWS describes it, once per token, without a secret."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from flows.spark_list import TOLD, told_in
from propensity.adapters.spark_jobs import PYTHON, SparkJobs, SparkPlace
from propensity.errors import StoreError

PLACE = SparkPlace(
    application_id="00abc123",
    role_arn="arn:aws:iam::123456789012:role/spark",
    code="s3://lake/spark/0123",
    log_group="spark-lines",
    told={"PROPENSITY_STORE_URL": "s3://lake", "PROPENSITY_DATABASE_URL": "postgresql://app@db:5432/propensity?sslmode=verify-full"},
)
ARN = "arn:aws:emr-serverless:eu-central-1:123456789012:/applications/00abc123/jobruns/00j"


@pytest.fixture
def emr() -> Any:
    """A real client: botocore checks what is asked against AWS' own description of the service."""
    make: Any = boto3.client
    return make("emr-serverless", region_name="eu-central-1", aws_access_key_id="testing", aws_secret_access_key="testing")


def test_a_job_is_asked_for_as_aws_describes_it(emr: Any) -> None:
    seen: list[dict[str, Any]] = []
    emr.meta.events.register("provide-client-params.emr-serverless.StartJobRun", lambda params, **_: seen.append(params))
    with Stubber(emr) as stub:
        stub.add_response("start_job_run", {"applicationId": "00abc123", "jobRunId": "00j", "arn": ARN})
        assert SparkJobs(PLACE, emr).run("term-deposit.0", token="list-0") == ARN
    (asked,) = seen
    assert (asked["clientToken"], asked["executionRoleArn"]) == ("list-0", PLACE.role_arn)
    driver = asked["jobDriver"]["sparkSubmit"]
    assert driver["entryPoint"] == "s3://lake/spark/0123/spark_list.py"
    list_id, *words = driver["entryPointArguments"]
    assert list_id == "term-deposit.0"
    assert words[::2] == ["--set", "--set"]
    assert told_in(words[1::2], {}) == PLACE.told
    conf = dict(word.split("=", 1) for word in driver["sparkSubmitParameters"].split(" ") if word != "--conf")
    assert conf["spark.archives"] == "s3://lake/spark/0123/environment.tar.gz#environment"
    assert {value for name, value in conf.items() if "PYTHON" in name} == {PYTHON}
    assert "assword" not in json.dumps(asked).replace("PASSWORD_SECRET_ARN", "")


def test_every_variable_that_a_job_is_told_is_one_that_it_takes() -> None:
    assert set(PLACE.told) <= set(TOLD)


@pytest.mark.parametrize("code", ["ThrottlingException", "ValidationException"])
def test_a_refusal_says_which(emr: Any, code: str) -> None:
    stub = Stubber(emr)
    stub.add_client_error("start_job_run", code)
    with stub, pytest.raises(StoreError, match=code):
        SparkJobs(PLACE, emr).run("term-deposit.0", token="list-0")


def test_an_emr_that_does_not_answer_is_a_store_that_does_not() -> None:
    class Silent:
        def start_job_run(self, **_: object) -> None:
            raise EndpointConnectionError(endpoint_url="x")

    with pytest.raises(StoreError, match="did not answer"):
        SparkJobs(PLACE, Silent()).run("term-deposit.0", token="list-0")
