"""Alerts and letters to SNS topics, and secrets from Secrets Manager."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from propensity.errors import StoreError

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 10


def publish(topic_arn: str, message: str, *, subject: str | None = None, client: Any = None) -> str:
    """Publish a message; its id. SNS gives it to subscribers at least once. Raises StoreError."""
    with _answers("SNS"):
        sns = client or _client("sns")
        told: dict[str, Any] = {"TopicArn": topic_arn, "Message": message, **({"Subject": subject} if subject else {})}
        return str(sns.publish(**told)["MessageId"])


def read_secret(arn: str, *, client: Any = None) -> str:
    """The text of a secret. Raises StoreError, which never holds it."""
    with _answers("Secrets Manager"):
        return str((client or _client("secretsmanager")).get_secret_value(SecretId=arn)["SecretString"])


def _client(service: str) -> Any:
    import boto3
    from botocore.config import Config

    retries: Any = {"total_max_attempts": 3, "mode": "standard"}
    config = Config(connect_timeout=CONNECT_TIMEOUT_S, read_timeout=READ_TIMEOUT_S, retries=retries)
    # Typed as Any: of all services, stubs for S3 alone are installed.
    make: Any = boto3.session.Session().client
    return make(service, config=config)


@contextmanager
def _answers(service: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as exc:
        raise StoreError(f"{service} refused: {exc.response.get('Error', {}).get('Code', 'unknown')}") from exc
    except BotoCoreError as exc:
        raise StoreError(f"{service} did not answer: {type(exc).__name__}") from exc
