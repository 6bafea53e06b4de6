"""The stack with what runs when it is due or asked for: flows by the clock, uploaded lists, Spark."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from constructs import Construct

from infra.constructs.flow_task import flow_task, list_task
from infra.constructs.lost_tasks import LostTasks
from infra.constructs.parts import Parts
from infra.constructs.schedules import Schedules
from infra.constructs.spark import Spark
from infra.constructs.uploaded import Uploaded
from propensity.campaign import Campaign


class JobsStack(cdk.Stack):
    """Stateless.

    Attributes
    ----------
    flow, scored_list : Task
    schedules : Schedules
    uploaded : Uploaded
    spark : Spark
    """

    def __init__(self, scope: Construct, construct_id: str, *, parts: Parts, campaigns: Sequence[Campaign]) -> None:
        super().__init__(scope, construct_id, description="Propensity platform: flows and lists")
        self.flow = flow_task(self, parts)
        self.scored_list = list_task(self, parts)
        self.schedules = Schedules(self, "Schedules", parts=parts, campaigns=campaigns, flow=self.flow, scored_list=self.scored_list)
        self.spark = Spark(self, "Spark", parts=parts)
        self.uploaded = Uploaded(self, "Uploaded", parts=parts, task=self.scored_list, spark=self.spark)
        LostTasks(self, "LostTasks", parts=parts, tasks=(self.flow, self.scored_list), application=self.spark.application)
