"""Tasks that AWS ended or never began: no line of their own log tells of it, so that nothing else would."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_emrserverless as emr
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from infra.constructs.parts import Parts
from infra.constructs.task import Task

# "Stopped tasks error codes", Amazon ECS developer guide. A program that ends by itself, well or not, is not among them: its log says so.
LOST = ("TaskFailedToStart", "SpotInterruption", "TerminationNotice")


class LostTasks(Construct):
    """People are told when a flow or the job of a list was lost."""

    def __init__(
        self, scope: Construct, construct_id: str, *, parts: Parts, tasks: Sequence[Task], application: emr.CfnApplication
    ) -> None:
        super().__init__(scope, construct_id)
        lost = {
            "clusterArn": [parts.place.cluster.cluster_arn],
            "taskDefinitionArn": [task.definition.task_definition_arn for task in tasks],
            "lastStatus": ["STOPPED"],
            "stopCode": list(LOST),
        }
        pattern = events.EventPattern(source=["aws.ecs"], detail_type=["ECS Task State Change"], detail=lost)
        told = events.RuleTargetInput.from_text(
            f"Propensity {parts.environment.name}: the task {events.EventField.from_path('$.detail.taskArn')} was lost "
            f"({events.EventField.from_path('$.detail.stopCode')}). A list is seen to within the hour; start a flow again by hand."
        )
        events.Rule(self, "Rule", event_pattern=pattern, targets=[targets.SnsTopic(parts.topics.people, message=told)])
        # "Monitoring EMR Serverless applications and jobs with Amazon EventBridge", EMR Serverless user guide.
        failed = {"applicationId": [application.attr_application_id], "state": ["FAILED", "CANCELLED"]}
        pattern = events.EventPattern(source=["aws.emr-serverless"], detail_type=["EMR Serverless Job Run State Change"], detail=failed)
        told = events.RuleTargetInput.from_text(
            f"Propensity {parts.environment.name}: the Spark job {events.EventField.from_path('$.detail.jobRunName')} of a list ended as "
            f"{events.EventField.from_path('$.detail.state')}. Its log says why; a task sees to the list within the hour."
        )
        events.Rule(self, "Spark", event_pattern=pattern, targets=[targets.SnsTopic(parts.topics.people, message=told)])
