"""Alarms that put the old version of a service back while a deployment is under way."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_sns as sns

from infra.constructs.service import Service

MINUTE = Duration.minutes(1)
# A 500 is a bug; 503 is what the service says while Postgres is away, and rolling back would not bring it back. Both come as 5xx, so it
# takes a number of them in each of two minutes.
ERRORS = 10
SLOW_S = 2.0


def roll_back_on_errors(service: Service, target: elb.ApplicationTargetGroup, *, tell: sns.ITopic) -> list[cloudwatch.Alarm]:
    """Make a deployment of the service fail, and be undone, when its answers are errors or slow. Returns the alarms."""
    errors = cloudwatch.Alarm(
        service,
        "Errors",
        metric=target.metrics.http_code_target(elb.HttpCodeTarget.TARGET_5XX_COUNT, period=MINUTE, statistic="Sum"),
        threshold=ERRORS,
        evaluation_periods=2,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        alarm_description="Many 5xx: a deployment under way is rolled back. Outside of one: see the log of the scoring service.",
    )
    slow = cloudwatch.Alarm(
        service,
        "Slow",
        metric=target.metrics.target_response_time(period=MINUTE, statistic="p99"),
        threshold=SLOW_S,
        evaluation_periods=3,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        alarm_description="The slowest hundredth of answers takes too long: a deployment under way is rolled back.",
    )
    service.service.enable_deployment_alarms([errors.alarm_name, slow.alarm_name], behavior=ecs.AlarmBehavior.ROLLBACK_ON_ALARM)
    for alarm in (errors, slow):
        alarm.add_alarm_action(actions.SnsAction(tell))
    return [errors, slow]
