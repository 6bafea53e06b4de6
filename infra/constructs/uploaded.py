"""From an uploaded list to exactly one task that scores it."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_lambda_event_sources as sources
from constructs import Construct

from infra.constructs.access import let_read, let_write
from infra.constructs.data_lake import VISIBILITY_S
from infra.constructs.flow_task import LIST
from infra.constructs.function import PlatformFunction
from infra.constructs.parts import Parts
from infra.constructs.running import let_run, task_variables
from infra.constructs.spark import Spark
from infra.constructs.task import Task

TIMEOUT = Duration.seconds(VISIBILITY_S // 6)
GIB = 1024**3


class Uploaded(Construct):
    """The function ``list_uploaded``, fed by the queue that S3 writes to.

    Attributes
    ----------
    function : PlatformFunction
    """

    def __init__(self, scope: Construct, construct_id: str, *, parts: Parts, task: Task, spark: Spark) -> None:
        super().__init__(scope, construct_id)
        self.function = PlatformFunction(
            self,
            "Function",
            folder="list_uploaded",
            environment=parts.environment,
            timeout=TIMEOUT,
            variables={
                "PROPENSITY_STORE_URL": parts.lake.bucket.s3_url_for_object(),
                "PROPENSITY_UPLOAD_LIMIT_BYTES": str(parts.environment.upload_limit_gib * GIB),
                **task_variables("LIST", parts, task, LIST),
                "PROPENSITY_SPARK_FROM_BYTES": str(parts.environment.spark_from_gib * GIB),
                **spark.variables,
            },
        )
        let_read(self.function.role, parts.lake, "lists")
        let_write(self.function.role, parts.lake, "lists")
        let_run(self.function.role, task, parts.place.cluster)
        spark.let_start(self.function.role)
        self.function.function.add_event_source(sources.SqsEventSource(parts.lake.uploads, batch_size=10, report_batch_item_failures=True))
