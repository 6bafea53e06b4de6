"""Where programs' lines go, and for how long."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.config import Environment
from propensity.errors import SettingsInvalid

_DAYS = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    90: logs.RetentionDays.THREE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    731: logs.RetentionDays.TWO_YEARS,
}


def log_retention(days: int) -> logs.RetentionDays:
    """CloudWatch Logs' own word for a number of days. Raises SettingsInvalid for one that it does not know."""
    if days not in _DAYS:
        raise SettingsInvalid(f"logs cannot be kept for {days} days: one of {', '.join(map(str, _DAYS))}")
    return _DAYS[days]


def log_group(scope: Construct, construct_id: str, environment: Environment) -> logs.LogGroup:
    """Lines of a program. They hold no customer's data; what was answered to whom is in the prediction log."""
    return logs.LogGroup(
        scope,
        construct_id,
        retention=log_retention(environment.retention.log_days),
        removal_policy=RemovalPolicy.RETAIN if environment.keep_data else RemovalPolicy.DESTROY,
    )
