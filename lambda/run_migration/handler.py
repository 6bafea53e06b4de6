"""``lambda/run_migration/handler.handle``: CloudFormation -> this function -> a task that migrates -> CloudFormation.

A custom resource whose properties name the task. Services depend on it: they are updated only after the tables are as the new version
wants them, and where the task fails the deployment fails before it touched a service.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from propensity.errors import PropensityError

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.utilities.typing import LambdaContext

# Left of the function's own time to tell CloudFormation that the task took too long.
RESERVE_S = 20.0
PHYSICAL_ID = "migration"


def handle(event: dict[str, Any], context: LambdaContext) -> None:
    """Answer CloudFormation, whatever happens: a deployment that hears nothing hangs for an hour."""
    failed = ""
    try:
        if event["RequestType"] in ("Create", "Update"):
            _run(event["ResourceProperties"], time.monotonic() + context.get_remaining_time_in_millis() / 1000 - RESERVE_S)
    except PropensityError as exc:
        failed = str(exc)
    except Exception as exc:  # noqa: BLE001 - the outermost edge: the deployment must hear of it
        failed = f"the migration could not be started: {type(exc).__name__}"
        _logger().exception("the migration could not be started")
    _logger().info("migration", request=event["RequestType"], failed=failed)
    _answer(event, failed)


def _run(properties: Mapping[str, Any], deadline: float) -> None:
    from propensity.adapters.fargate import run_to_end

    run_to_end(
        cluster=properties["Cluster"],
        task_definition=properties["TaskDefinition"],
        subnets=properties["Subnets"],
        security_groups=properties["SecurityGroups"],
        deadline=deadline,
    )


def _answer(event: Mapping[str, Any], failed: str) -> None:
    body = {
        "Status": "FAILED" if failed else "SUCCESS",
        "Reason": failed or "done",
        "PhysicalResourceId": event.get("PhysicalResourceId", PHYSICAL_ID),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    # The signature of the address covers an empty content type.
    request = urllib.request.Request(  # noqa: S310 - CloudFormation's own address
        event["ResponseURL"], data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310
        pass


@cache
def _logger() -> Logger:
    # Made when first used: powertools reads the environment as it makes one.
    from aws_lambda_powertools import Logger

    return Logger(service="run-migration")
