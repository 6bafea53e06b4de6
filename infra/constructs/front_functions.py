"""The functions that take requests and alerts in, each with what it may do."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.constructs.access import let_read, let_write
from infra.constructs.flow_task import FLOW
from infra.constructs.function import Inside, PlatformFunction
from infra.constructs.parts import Parts
from infra.constructs.running import let_run, task_variables
from infra.constructs.task import Task
from infra.constructs.uploaded import GIB

# API Gateway gives up after 29 s: the function answers before, and the service before the function.
FUNCTION_TIMEOUT = Duration.seconds(29)
SCORING_TIMEOUT_S = 27
UPLOAD_EXPIRY_S = 3600
DOWNLOAD_EXPIRY_S = 900
ALERTS = "alerts"


def scoring_variables(parts: Parts, timeout_s: int) -> dict[str, str]:
    """Where the scoring service is and how long its answer may take."""
    return {"PROPENSITY_SCORING_URL": parts.environment.names.url("scoring"), "PROPENSITY_SCORING_TIMEOUT_S": str(timeout_s)}


def list_variables(parts: Parts) -> dict[str, str]:
    """Where lists lie, how large one may be, and how long its addresses are good."""
    return {
        "PROPENSITY_STORE_URL": parts.lake.bucket.s3_url_for_object(),
        "PROPENSITY_UPLOAD_LIMIT_BYTES": str(parts.environment.upload_limit_gib * GIB),
        "PROPENSITY_UPLOAD_EXPIRY_S": str(UPLOAD_EXPIRY_S),
        "PROPENSITY_DOWNLOAD_EXPIRY_S": str(DOWNLOAD_EXPIRY_S),
    }


def front_door(scope: Construct, parts: Parts) -> PlatformFunction:
    """Passes requests on to the scoring service. Bodies of 6 MB and their copies are held in memory."""
    return PlatformFunction(
        scope,
        "FrontDoor",
        folder="front_door",
        environment=parts.environment,
        variables=scoring_variables(parts, SCORING_TIMEOUT_S),
        timeout=FUNCTION_TIMEOUT,
        inside=_inside(parts),
        memory_mib=512,
    )


def lists(scope: Construct, parts: Parts) -> PlatformFunction:
    """Creates lists and gives out addresses for upload and download. Its credentials sign them, so that it may do what they allow."""
    function = PlatformFunction(
        scope,
        "Lists",
        folder="lists",
        environment=parts.environment,
        variables={
            **scoring_variables(parts, 10),
            **list_variables(parts),
        },
        timeout=FUNCTION_TIMEOUT,
        memory_mib=512,
        inside=_inside(parts),
    )
    let_read(function.role, parts.lake, "lists")
    let_write(function.role, parts.lake, "lists")
    return function


def alert(scope: Construct, parts: Parts, flow: Task) -> PlatformFunction:
    """Hears of drift, has the campaign retrained by Prefect or, where no server of it runs, by a task, and tells people."""
    servers = parts.environment.profile.servers
    function = PlatformFunction(
        scope,
        "Alert",
        folder="alert",
        environment=parts.environment,
        variables={
            "PROPENSITY_STORE_URL": parts.lake.bucket.s3_url_for_object(),
            "PROPENSITY_PEOPLE_TOPIC_ARN": parts.topics.people.topic_arn,
            **(_by_prefect(parts) if servers else task_variables("RETRAIN", parts, flow, FLOW)),
        },
        timeout=Duration.seconds(60),
        inside=_inside(parts) if servers else None,
        asynchronous=True,
    )
    let_read(function.role, parts.lake, ALERTS)
    let_write(function.role, parts.lake, ALERTS)
    if servers:
        function.may("secretsmanager:GetSecretValue", on=[parts.database.prefect_auth.secret_arn])
        function.may("kms:Decrypt", on=[parts.database.key.key_arn])
    else:
        let_run(function.role, flow, parts.place.cluster)
    function.may("sns:Publish", on=[parts.topics.people.topic_arn])
    function.may("kms:GenerateDataKey", "kms:Decrypt", on=[parts.topics.key.key_arn])
    parts.topics.alerts.add_subscription(subscriptions.LambdaSubscription(function.function))
    return function


def _by_prefect(parts: Parts) -> dict[str, str]:
    return {
        "PROPENSITY_PREFECT_URL": parts.environment.names.url("prefect"),
        "PROPENSITY_PREFECT_TIMEOUT_S": "20",
        "PROPENSITY_PREFECT_SECRET_ARN": parts.database.prefect_auth.secret_arn,
    }


def _inside(parts: Parts) -> Inside:
    return Inside(parts.network.vpc, parts.network.private, parts.firewall.functions)
