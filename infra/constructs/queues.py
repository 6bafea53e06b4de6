"""Queues for what could not be done: nothing is lost silently, and an alarm tells of the first."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.acknowledged import acknowledge


def dead_letter_queue(scope: Construct, construct_id: str) -> sqs.Queue:
    """Keeps what failed for two weeks, encrypted, taken by TLS only."""
    queue = sqs.Queue(scope, construct_id, retention_period=Duration.days(14), encryption=sqs.QueueEncryption.SQS_MANAGED, enforce_ssl=True)
    acknowledge(queue, {"SQS3": "This is a dead-letter queue itself."})
    return queue
