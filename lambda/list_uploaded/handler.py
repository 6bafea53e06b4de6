"""``lambda/list_uploaded/handler.handle``: S3 -> queue -> this function -> one scoring job per list: a task, or for large ones Spark.

The queue's messages are answered one by one (``ReportBatchItemFailures``): what failed comes again, and after the queue's
``maxReceiveCount`` it lies among the dead letters. S3 may also call the function itself: then a failure is raised, once everything else
was done, and the function's own dead-letter queue takes the event after two more tries.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from propensity.errors import PropensityError
from propensity.list_state import ListId

from ..edge import logger, prepare, unexpected
from .environment import STORE, ListUploadedEnvironment, read_environment
from .logic import records_in, start, token_of, uploads_in

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from propensity.adapters.list_tasks import EcsTasks
    from propensity.adapters.object_store import S3Store
    from propensity.adapters.spark_jobs import SparkJobs

SERVICE = "list-uploaded"
GROUP = "propensity-lists"


class NotAllStarted(Exception):
    """Of an event that S3 itself delivered, something failed: raised so that the event is delivered again."""


def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Start what was uploaded; which messages failed, for the queue to give again. Raises NotAllStarted where S3 itself called."""
    request_id = context.aws_request_id
    environment = read_environment(os.environ)
    messages = event.get("Records", [])
    if messages and all("body" in message and "messageId" in message for message in messages):
        failures = [m["messageId"] for m in messages if not _dealt(environment, m["body"], request_id, m["messageId"])]
        return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in failures]}
    # Each record by itself: one that fails must not keep the others from being started.
    bodies = [json.dumps({"Records": [record]}) for record in messages] or [json.dumps(event)]
    done = [_dealt(environment, body, request_id, None) for body in bodies]
    if not all(done):
        raise NotAllStarted(f"{done.count(False)} of {len(done)} records failed; the log says why")
    return {"batchItemFailures": []}


def _dealt(environment: ListUploadedEnvironment, body: str, request_id: str, message_id: str | None) -> bool:
    """Whether everything that a message tells of is seen to. Every record is tried, also after one that failed."""
    log = logger(SERVICE)
    known: dict[str, Any] = {"request_id": request_id, "message_id": message_id}
    try:
        records = records_in(body)
    except PropensityError as exc:
        log.error(str(exc), code=exc.code, **known)
        return False
    outcomes = [_started(environment, record, known) for record in records]
    return all(outcomes)


def _started(environment: ListUploadedEnvironment, record: Any, known: dict[str, Any]) -> bool:
    log = logger(SERVICE)
    try:
        for uploaded in uploads_in([record], environment.bucket, environment.prefix):
            # Every line about a list names it, so that its way can be followed from here to the task's own log.
            known = {**known, "list_id": str(uploaded.list_id)}
            dealt = start(
                uploaded,
                store=_store(environment),
                run_task=lambda list_id: _run(environment, list_id),
                limit_bytes=environment.upload_limit_bytes,
                now=datetime.now(UTC),
                run_spark=lambda list_id: _jobs(environment).run(str(list_id), token=token_of(list_id)),
                spark_from_bytes=environment.spark.from_bytes,
            )
            log.info("upload", outcome=dealt.outcome, other_version=dealt.other_version, size_bytes=uploaded.size_bytes, **known)
    except PropensityError as exc:
        log.error(str(exc), code=exc.code, **known)
        return False
    except Exception as exc:  # noqa: BLE001 - the outermost edge: one message that nobody foresaw must not stop the others
        unexpected(log, exc, **known)
        return False
    return True


def _run(environment: ListUploadedEnvironment, list_id: ListId) -> str:
    command = ["python", "-m", "flows.list_job", str(list_id)]
    return _tasks(environment).run(command, token=token_of(list_id), group=GROUP)


@cache
def _store(environment: ListUploadedEnvironment) -> S3Store:
    from propensity.adapters.object_store import open_s3

    return open_s3(environment.bucket, environment.prefix, environment.s3_endpoint_url)


@cache
def _tasks(environment: ListUploadedEnvironment) -> EcsTasks:
    from propensity.adapters.list_tasks import EcsTasks, TaskPlace

    place = TaskPlace(
        cluster=environment.cluster,
        task_definition=environment.task_definition,
        container=environment.container,
        subnets=environment.subnets,
        security_groups=environment.security_groups,
        capacity_provider=environment.capacity_provider,
    )
    return EcsTasks(place)


@cache
def _jobs(environment: ListUploadedEnvironment) -> SparkJobs:
    from propensity.adapters.spark_jobs import SparkJobs, SparkPlace

    spark = environment.spark
    # The names that flows/spark_list.py takes.
    told = {
        "PROPENSITY_STORE_URL": os.environ[STORE],
        "PROPENSITY_DATABASE_URL": spark.database_url,
        "PROPENSITY_PASSWORD_SECRET_ARN": spark.password_secret_arn,
    }
    place = SparkPlace(application_id=spark.application_id, role_arn=spark.role_arn, code=spark.code, log_group=spark.log_group, told=told)
    return SparkJobs(place)


def _prepared() -> None:
    logger(SERVICE)
    environment = read_environment(os.environ)
    _store(environment)
    _tasks(environment)


prepare(_prepared)
