"""One page that says whether the platform works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_rds as rds
from constructs import Construct

from infra.constructs.alarms import NAMESPACE
from infra.constructs.schedules import Run

PERIOD = Duration.minutes(5)
WIDTH = 12


class Dashboard(Construct):
    """Alarms first, then requests, services, database, and a row of flows for each campaign."""

    def __init__(self, scope: Construct, construct_id: str, *, alarms: Sequence[cloudwatch.IAlarm]) -> None:
        super().__init__(scope, construct_id)
        self._board = cloudwatch.Dashboard(self, "Dashboard", default_interval=Duration.days(1))
        self._board.add_widgets(cloudwatch.AlarmStatusWidget(title="Alarms", alarms=list(alarms), width=2 * WIDTH, height=6))

    def rest_api(self, stage: apigateway.Stage) -> None:
        self._row(
            _graph(
                "Requests",
                [stage.metric_count(period=PERIOD), stage.metric_client_error(period=PERIOD), stage.metric_server_error(period=PERIOD)],
            ),
            _graph("Latency, ms", [stage.metric_latency(period=PERIOD, statistic=s) for s in ("p50", "p99")]),
        )

    def services(self, services: Mapping[str, ecs.FargateService], targets: Mapping[str, elb.ApplicationTargetGroup]) -> None:
        self._row(
            _graph("Processor, %", [s.metric_cpu_utilization(period=PERIOD, label=name) for name, s in services.items()]),
            _graph("Memory, %", [s.metric_memory_utilization(period=PERIOD, label=name) for name, s in services.items()]),
        )
        if targets:
            self._row(
                _graph("Healthy tasks", [t.metrics.healthy_host_count(period=PERIOD, label=name) for name, t in targets.items()]),
                _graph(
                    "Response time, s (p99)",
                    [t.metrics.target_response_time(period=PERIOD, statistic="p99", label=name) for name, t in targets.items()],
                ),
            )

    def database(self, server: rds.DatabaseInstance | rds.DatabaseCluster) -> None:
        self._row(
            _graph("Postgres: processor, %", [server.metric_cpu_utilization(period=PERIOD)]),
            _graph("Postgres: connections", [server.metric_database_connections(period=PERIOD)]),
        )

    def flows(self, runs: Sequence[Run]) -> None:
        for campaign in dict.fromkeys(run.campaign for run in runs):
            own = [run for run in runs if run.campaign == campaign]
            self._row(*(_graph(f"{campaign}: flows {word}", [_count(run, word) for run in own]) for word in ("ended", "failed")))

    def _row(self, *widgets: cloudwatch.IWidget) -> None:
        self._board.add_widgets(*widgets)


def _count(run: Run, word: str) -> cloudwatch.Metric:
    name = f"{run.name}-{word}"
    return cloudwatch.Metric(namespace=NAMESPACE, metric_name=name, statistic="Sum", period=Duration.days(1), label=run.kind)


def _graph(title: str, metrics: Sequence[cloudwatch.IMetric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=WIDTH, height=6)
