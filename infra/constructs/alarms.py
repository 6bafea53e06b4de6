"""Alarms: each says what it means and tells people. docs/operations.md says what to do."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.schedules import Run

NAMESPACE = "Propensity"
MINUTES_5 = Duration.minutes(5)
MISSING_IS_FINE = cloudwatch.TreatMissingData.NOT_BREACHING
MISSING_IS_BAD = cloudwatch.TreatMissingData.BREACHING
GIB = 1024**3
# A daily flow that has not ended well for so many days is late. A monthly one is seen by its failure and by its schedule's dead letters.
LATE_DAYS = 2
DAILY = ("compare", "follow", "monitor", "outcomes", "retention", "score")


class Alarms(Construct):
    """Alarms by name; all of them tell ``people``.

    Attributes
    ----------
    made : dict of str to cloudwatch.Alarm
    """

    def __init__(self, scope: Construct, construct_id: str, *, people: sns.ITopic) -> None:
        super().__init__(scope, construct_id)
        self._tell = actions.SnsAction(people)
        self.made: dict[str, cloudwatch.Alarm] = {}

    def add(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        above: float,
        meaning: str,
        *,
        times: int = 1,
        below: bool = False,
        missing: cloudwatch.TreatMissingData = MISSING_IS_FINE,
    ) -> None:
        """Alarm when ``metric`` is at least ``above`` (or, with ``below``, under it) ``times`` periods in a row."""
        operator = cloudwatch.ComparisonOperator
        alarm = cloudwatch.Alarm(
            self,
            name,
            metric=metric,
            threshold=above,
            comparison_operator=operator.LESS_THAN_THRESHOLD if below else operator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=times,
            treat_missing_data=missing,
            alarm_description=meaning,
        )
        alarm.add_alarm_action(self._tell)
        self.made[name] = alarm

    def rest_api(self, stage: apigateway.Stage) -> None:
        self.add(
            "ApiErrors",
            stage.metric_server_error(period=MINUTES_5, statistic="Sum"),
            5,
            "Callers are answered 5xx by the REST API.",
            times=2,
        )
        self.add(
            "ApiSlow",
            stage.metric_latency(period=MINUTES_5, statistic="p99"),
            15_000,
            "The slowest hundredth of requests takes over 15 s; at 29 s API Gateway gives up.",
            times=3,
        )

    def function(self, name: str, function: lambda_.IFunction) -> None:
        self.add(f"{name}Errors", function.metric_errors(period=MINUTES_5), 1, f"The function {name} failed.", times=2)
        self.add(
            f"{name}Throttled", function.metric_throttles(period=MINUTES_5), 1, f"The function {name} was not let run: raise its limit."
        )

    def dead_letters(self, name: str, queue: sqs.IQueue, meaning: str) -> None:
        metric = queue.metric_approximate_number_of_messages_visible(period=MINUTES_5, statistic="Maximum")
        self.add(f"{name}DeadLetters", metric, 1, meaning)

    def target(self, name: str, target: elb.ApplicationTargetGroup, least: int) -> None:
        healthy = target.metrics.healthy_host_count(period=Duration.minutes(1), statistic="Minimum")
        self.add(
            f"{name.capitalize()}Healthy",
            healthy,
            least,
            f"Fewer tasks of {name} are healthy than there should be.",
            times=5,
            below=True,
            missing=MISSING_IS_BAD,
        )

    def database(self, server: rds.DatabaseInstance | rds.DatabaseCluster) -> None:
        self.add("DatabaseCpu", server.metric_cpu_utilization(period=MINUTES_5), 85, "Postgres is short of processor time.", times=3)
        self.add(
            "DatabaseConnections",
            server.metric_database_connections(period=MINUTES_5, statistic="Maximum"),
            80,
            "Postgres is near its limit of connections: who holds them?",
            times=3,
        )
        if isinstance(server, rds.DatabaseInstance):
            self.add(
                "DatabaseStorage",
                server.metric_free_storage_space(period=MINUTES_5, statistic="Minimum"),
                4 * GIB,
                "Postgres has less than 4 GiB left, and predictions are refused when it has none.",
                below=True,
            )

    def flows(self, runs: Sequence[Run], lines: logs.ILogGroup) -> None:
        """For every campaign: a flow that failed, and a daily one that is late."""
        for run in runs:
            failed = self._counted(run, lines, ok=False)
            self.add(f"{run.name}-failed", failed, 1, f"The flow {run.kind} of {run.campaign} failed: its log says why.")
            if run.kind in DAILY:
                ended = self._counted(run, lines, ok=True)
                meaning = f"The flow {run.kind} of {run.campaign} has not ended well for {LATE_DAYS} days."
                self.add(f"{run.name}-late", ended, 1, meaning, times=LATE_DAYS, below=True, missing=MISSING_IS_BAD)

    def _counted(self, run: Run, lines: logs.ILogGroup, *, ok: bool) -> cloudwatch.Metric:
        """How often flows/run.py wrote that the flow ended so."""
        name = f"{run.name}-{'ended' if ok else 'failed'}"
        named = logs.FilterPattern.string_value("$.flow", "=", run.name)
        so = logs.FilterPattern.boolean_value("$.ok", ok)
        found = logs.MetricFilter(
            self,
            f"Count-{name}",
            log_group=lines,
            filter_pattern=logs.FilterPattern.all(named, so),
            metric_namespace=NAMESPACE,
            metric_name=name,
            metric_value="1",
        )
        return found.metric(statistic="Sum", period=Duration.days(1) if ok else MINUTES_5)
