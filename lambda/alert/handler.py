"""``lambda/alert/handler.handle``: SNS -> this function -> the retrain flow, and people.

SNS delivers at least once and tries again where the function raises; after that the event lies in the function's dead-letter queue.
"""

from __future__ import annotations

import os
import time
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from propensity.alerts import Alert, from_message
from propensity.errors import PropensityError, StoreError

from ..edge import logger, prepare, unexpected
from ..exchange import BROKEN, Answer, Outgoing, fetch
from .environment import AlertEnvironment, PrefectServer, RetrainTask, read_environment
from .logic import deal, deployment_name, find_deployment, id_in, messages_in, start_run, task_token

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from propensity.adapters.list_tasks import EcsTasks
    from propensity.adapters.object_store import S3Store

SERVICE = "alert"
GROUP = "propensity-retraining"
RESERVE_S = 2.0


class NotAllDone(Exception):
    """Something about an alert failed: raised so that the event is delivered again."""


def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Deal with every alert of the event; how many those were. Raises NotAllDone where something of it failed, once all was tried."""
    latest = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - RESERVE_S
    environment = read_environment(os.environ)
    messages = messages_in(event)
    done = [_dealt(environment, message, context.aws_request_id, latest) for message in messages]
    if not all(done):
        raise NotAllDone(f"{done.count(False)} of {len(done)} alerts failed; the log says why")
    return {"alerts": len(done)}


def _dealt(environment: AlertEnvironment, message: str, request_id: str, latest: float) -> bool:
    log = logger(SERVICE)
    known: dict[str, Any] = {"request_id": request_id}
    try:
        alert = from_message(message)
        known |= {"campaign": alert.campaign, "kind": alert.kind, "verdict": alert.verdict, "run_id": alert.run_id}
        made = deal(
            alert,
            store=_store(environment),
            retrain=partial(_retrain, environment.retrain, latest),
            tell=partial(_tell, environment),
        )
    except PropensityError as exc:
        log.error(str(exc), code=exc.code, **known)
        return False
    except Exception as exc:  # noqa: BLE001 - the outermost edge: one alert that nobody foresaw must not stop the others
        unexpected(log, exc, **known)
        return False
    for problem in made.problems:
        log.error(str(problem), code=problem.code, **known)
    log.info("alert", retraining=made.run, **known)
    return not made.problems


def _retrain(by: PrefectServer | RetrainTask, latest: float, alert: Alert) -> str:
    if isinstance(by, RetrainTask):
        return _tasks(by).run(["python", "-m", "flows.run", deployment_name(alert)], token=task_token(alert), group=GROUP)
    secret = _secret(by.secret_arn)
    found = _ask(by, find_deployment(alert, secret), latest)
    if found.status == 401:
        # It may have been changed since this process began.
        _secret.cache_clear()
    return id_in(_ask(by, start_run(alert, id_in(found), secret), latest))


def _ask(server: PrefectServer, request: Outgoing, latest: float) -> Answer:
    try:
        return fetch(server.host, server.port, request, min(latest, time.monotonic() + server.timeout_s))
    except TimeoutError as exc:
        raise StoreError("Prefect did not answer in time") from exc
    except BROKEN as exc:
        raise StoreError(f"Prefect cannot be reached: {type(exc).__name__}") from exc


def _tell(environment: AlertEnvironment, subject: str, text: str) -> str:
    from propensity.adapters.alert_topics import publish

    return publish(environment.people_topic_arn, text, subject=subject)


@cache
def _secret(arn: str) -> str:
    from propensity.adapters.alert_topics import read_secret

    return read_secret(arn)


@cache
def _tasks(place: RetrainTask) -> EcsTasks:
    from propensity.adapters.list_tasks import EcsTasks, TaskPlace

    return EcsTasks(
        TaskPlace(
            cluster=place.cluster,
            task_definition=place.task_definition,
            container=place.container,
            subnets=place.subnets,
            security_groups=place.security_groups,
            capacity_provider=place.capacity_provider,
        )
    )


@cache
def _store(environment: AlertEnvironment) -> S3Store:
    from propensity.adapters.object_store import open_s3

    return open_s3(environment.bucket, environment.prefix, environment.s3_endpoint_url)


def _prepared() -> None:
    logger(SERVICE)
    _store(read_environment(os.environ))


prepare(_prepared)
