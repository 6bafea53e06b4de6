"""What a function pays for before its first request."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.proxy_events import event

FUNCTIONS = ("front_door", "lists", "list_uploaded", "alert")
# Each would cost more than all of the function's own modules; the last is not even installed on Lambda.
HEAVY = ("boto3", "botocore", "aws_lambda_powertools", "pydantic", "numpy", "pandas", "flask", "prefect", "xgboost", "msgspec")
LOOK = """
import importlib, json, sys
handler = importlib.import_module("lambda.{function}.handler")
print(json.dumps([name for name in {heavy!r} if name in sys.modules]))
"""
SOUND = {
    "STORE_URL": "s3://lake",
    "SCORING_URL": "http://127.0.0.1:1",
    "SCORING_TIMEOUT_S": "5",
    "UPLOAD_LIMIT_BYTES": "1000",
    "UPLOAD_EXPIRY_S": "60",
    "DOWNLOAD_EXPIRY_S": "60",
    "PEOPLE_TOPIC_ARN": "arn:aws:sns:eu-central-1:123456789012:people",
    "SPARK_FROM_BYTES": "1000",
    "SPARK_APPLICATION_ID": "00f1",
    "SPARK_ROLE_ARN": "arn:aws:iam::123456789012:role/spark",
    "SPARK_CODE": "s3://lake/spark",
    "SPARK_LOG_GROUP": "/spark",
    "SPARK_DATABASE_URL": "postgresql://app@db:5432/propensity",
    "SPARK_PASSWORD_SECRET_ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app",
    **{
        f"{job}_{name}": value
        for job in ("LIST", "RETRAIN")
        for name, value in (
            ("CLUSTER", "platform"),
            ("TASK_DEFINITION", "job"),
            ("CONTAINER", "flows"),
            ("SUBNETS", "subnet-1"),
            ("SECURITY_GROUPS", "sg-1"),
            ("CAPACITY_PROVIDER", "FARGATE"),
        )
    },
}


def run(code: str, **variables: str) -> Any:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PROPENSITY_", "AWS_"))}
    environment = {**kept, "AWS_DEFAULT_REGION": "eu-central-1", **variables}
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("function", FUNCTIONS)
def test_importing_a_handler_imports_nothing_heavy_and_needs_no_variable(function: str) -> None:
    assert run(LOOK.format(function=function, heavy=HEAVY)) == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_lambda_prepares_it_while_it_initialises_without_what_lambda_does_not_have(function: str) -> None:
    variables = {f"PROPENSITY_{name}": value for name, value in SOUND.items()}
    found = run(LOOK.format(function=function, heavy=HEAVY), AWS_LAMBDA_INITIALIZATION_TYPE="on-demand", **variables)
    # powertools itself looks into botocore to say its name in the user agent.
    assert set(found) - {"botocore"} == {"aws_lambda_powertools"} | (set() if function == "front_door" else {"boto3"})


def test_a_function_that_is_not_configured_starts_and_says_so_by_a_problem() -> None:
    code = f"""
import importlib, json
handler = importlib.import_module("lambda.lists.handler")
class Context:
    def get_remaining_time_in_millis(self): return 20000
reply = handler.handle({event("GET", "/v1/lists/x")!r}, Context())
print(json.dumps([reply["statusCode"], json.loads(reply["body"])["code"]]))
"""
    assert run(code, AWS_LAMBDA_INITIALIZATION_TYPE="on-demand") == [500, "internal_error"]
