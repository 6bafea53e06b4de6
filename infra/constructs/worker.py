"""Prefect's worker: starts the flow runs that people and alerts ask for, each as a task of its own."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.acknowledged import acknowledge
from infra.constructs.flow_task import FLOW
from infra.constructs.parts import Parts
from infra.constructs.programs import QUIET
from infra.constructs.queues import dead_letter_queue
from infra.constructs.running import let_run, task_variables
from infra.constructs.service import Service
from infra.constructs.task import Program, Task

HEALTH_PORT = 8080


class Worker(Construct):
    """A single worker: two would both start every run.

    Attributes
    ----------
    service : Service
    task : Task
    unread : sqs.Queue
        What the worker was told of tasks that ended and could not read.
    """

    def __init__(self, scope: Construct, construct_id: str, *, parts: Parts, flow: Task) -> None:
        super().__init__(scope, construct_id)
        size = parts.environment.services.worker
        self.unread: sqs.Queue = dead_letter_queue(self, "TasksEndedUnread")
        ended = self._tasks_that_ended(parts)
        look = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{HEALTH_PORT}/health', timeout=3)"
        self.task = Task(
            self,
            "Task",
            name="worker",
            size=size.task,
            environment=parts.environment,
            program=Program(
                image=parts.images.container("flows"),
                environment={**QUIET, **_variables(parts, flow, ended)},
                secrets={"PREFECT_API_AUTH_STRING": ecs.Secret.from_secrets_manager(parts.database.prefect_auth)},
                key=parts.database.key,
                command=["python", "-m", "flows.worker"],
                health=ecs.HealthCheck(command=["CMD", "python", "-c", look], start_period=Duration.seconds(120), retries=3),
            ),
        )
        self._allow(parts, flow, ended)
        self.service = Service(
            self, "Service", task=self.task, size=size, place=parts.place, security_group=parts.firewall.jobs, single=True
        )

    def _tasks_that_ended(self, parts: Parts) -> sqs.Queue:
        """Without it a run whose task never came up would be pending for ever."""
        queue = sqs.Queue(
            self,
            "TasksEnded",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.hours(12),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.unread, max_receive_count=5),
        )
        pattern = events.EventPattern(
            source=["aws.ecs"], detail_type=["ECS Task State Change"], detail={"clusterArn": [parts.place.cluster.cluster_arn]}
        )
        events.Rule(self, "TaskEvents", event_pattern=pattern, targets=[targets.SqsQueue(queue)])
        return queue

    def _allow(self, parts: Parts, flow: Task, ended: sqs.Queue) -> None:
        let_run(self.task.role, flow, parts.place.cluster, stop=True)
        # These name nothing that could be narrowed down.
        self.task.may("ecs:DescribeTaskDefinition", "ec2:DescribeVpcs", "ec2:DescribeSubnets", on=["*"])
        self.task.may("sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:DeleteMessage", on=[ended.queue_arn])
        self.task.may("logs:GetLogEvents", on=[flow.lines.log_group_arn])
        acknowledge(self.task.role, {"IAM5[Resource::*]": "Task definitions, networks and subnets are described without naming one."})


def _variables(parts: Parts, flow: Task, ended: sqs.Queue) -> dict[str, str]:
    return {
        "PREFECT_API_URL": f"{parts.environment.names.url('prefect')}/api",
        "PREFECT_WORKER_WEBSERVER_PORT": str(HEALTH_PORT),
        "PREFECT_INTEGRATIONS_AWS_ECS_OBSERVER_SQS_QUEUE_NAME": ended.queue_name,
        **task_variables("FLOW", parts, flow, FLOW),
        "PROPENSITY_FLOW_VPC": parts.network.vpc.vpc_id,
    }
