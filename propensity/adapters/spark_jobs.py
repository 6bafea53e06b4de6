"""Scoring jobs on EMR Serverless, one per client token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from propensity.errors import StoreError

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 10
# The job's own Python and packages, put together by images/spark.sh, and what Spark starts.
ARCHIVE, SCRIPT = "environment.tar.gz", "spark_list.py"
PYTHON = "./environment/bin/python3"
LONGEST_MINUTES = 12 * 60
# A driver that ranks the whole list in memory and keeps the upload and the call sheet on disk; executors of one size that Fargate has, too.
# So many of them that the connections of all (one for each processor) are far from what a small Postgres takes.
SUBMIT: Mapping[str, str] = {
    "spark.driver.cores": "4",
    "spark.driver.memory": "14g",
    "spark.emr-serverless.driver.disk": "500g",
    "spark.emr-serverless.driver.disk.type": "shuffle_optimized",
    "spark.executor.cores": "4",
    "spark.executor.memory": "14g",
    "spark.executorEnv.OMP_NUM_THREADS": "1",
    "spark.executorEnv.PYSPARK_PYTHON": PYTHON,
    "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": PYTHON,
    "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": PYTHON,
    "spark.dynamicAllocation.maxExecutors": "8",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkPlace:
    """Where jobs run, and as whom.

    Attributes
    ----------
    application_id, role_arn : str
    code : str
        ``s3://bucket/prefix`` below which `ARCHIVE` and `SCRIPT` lie.
    log_group : str
        Of CloudWatch Logs.
    told : mapping of str to str
        Variables that the job is told. No secret: whoever may look at a job sees them.
    """

    application_id: str
    role_arn: str
    code: str
    log_group: str
    told: Mapping[str, str]


class SparkJobs:
    """Starts jobs.

    Parameters
    ----------
    client : EMR Serverless client of boto3, or None
        None: made from the process's own credentials and region.
    """

    def __init__(self, place: SparkPlace, client: Any = None) -> None:
        self._place = place
        self._client = client or _client()

    def run(self, list_id: str, *, token: str) -> str:
        """Start the job of a list, or find the one that was started under this token; its ARN.

        Raises StoreError where EMR does not answer or refuses: trying again may help.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.start_job_run(**self._request(list_id, token))
        except ClientError as exc:
            raise StoreError(f"EMR Serverless did not start a job: {exc.response.get('Error', {}).get('Code', 'unknown')}") from exc
        except BotoCoreError as exc:
            raise StoreError(f"EMR Serverless did not answer: {type(exc).__name__}") from exc
        return str(answer["arn"])

    def _request(self, list_id: str, token: str) -> dict[str, Any]:
        place = self._place
        conf = {"spark.archives": f"{place.code}/{ARCHIVE}#environment", **SUBMIT}
        driver = {
            "entryPoint": f"{place.code}/{SCRIPT}",
            "entryPointArguments": [list_id, *(word for name, value in place.told.items() for word in ("--set", f"{name}={value}"))],
            "sparkSubmitParameters": " ".join(f"--conf {name}={value}" for name, value in conf.items()),
        }
        lines = {"enabled": True, "logGroupName": place.log_group, "logStreamNamePrefix": token}
        return {
            "applicationId": place.application_id,
            "clientToken": token,
            "name": token,
            "executionRoleArn": place.role_arn,
            "executionTimeoutMinutes": LONGEST_MINUTES,
            "jobDriver": {"sparkSubmit": driver},
            "configurationOverrides": {"monitoringConfiguration": {"cloudWatchLoggingConfiguration": lines}},
        }


def _client() -> Any:
    import boto3
    from botocore.config import Config

    retries: Any = {"total_max_attempts": 3, "mode": "standard"}
    config = Config(connect_timeout=CONNECT_TIMEOUT_S, read_timeout=READ_TIMEOUT_S, retries=retries)
    # Typed as Any: of all services, stubs for S3 alone are installed.
    make: Any = boto3.session.Session().client
    return make("emr-serverless", config=config)
