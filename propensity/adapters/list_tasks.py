"""Scoring jobs as tasks on ECS, one per client token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from propensity.errors import StoreError

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPlace:
    """Where tasks run and what they run. Names or ARNs."""

    cluster: str
    task_definition: str
    container: str
    subnets: Sequence[str]
    security_groups: Sequence[str]
    capacity_provider: str


class EcsTasks:
    """Starts tasks.

    Parameters
    ----------
    client : ECS client of boto3, or None
        None: made from the process's own credentials and region.
    """

    def __init__(self, place: TaskPlace, client: Any = None) -> None:
        self._place = place
        self._client = client or _client()

    def run(self, command: Sequence[str], *, token: str, group: str) -> str:
        """Start one task, or find the one that was started under this token; its ARN.

        ECS knows a token for up to 24 hours and an hour beyond the task's end ("Ensuring idempotency", ECS API reference).

        Raises StoreError where ECS does not answer, refuses, or has no room: trying again may help.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.run_task(**self._request(command, token, group))
        except ClientError as exc:
            code = exc.response.get("Error", {}).get("Code", "unknown")
            started: Any = exc.response.get("resourceIds") or ()
            if code == "ConflictException" and started:
                # Started by an earlier try, before the task definition or the network changed: it runs, and no second one may.
                return str(started[0])
            raise StoreError(f"ECS did not start a task: {code}") from exc
        except BotoCoreError as exc:
            raise StoreError(f"ECS did not answer: {type(exc).__name__}") from exc
        if not answer.get("tasks"):
            reasons = (
                ", ".join(sorted({str(failure.get("reason", "unknown")) for failure in answer.get("failures", ())})) or "no reason given"
            )
            raise StoreError(f"ECS did not start a task: {reasons}")
        return str(answer["tasks"][0]["taskArn"])

    def _request(self, command: Sequence[str], token: str, group: str) -> dict[str, Any]:
        place = self._place
        network = {"subnets": list(place.subnets), "securityGroups": list(place.security_groups), "assignPublicIp": "DISABLED"}
        return {
            "cluster": place.cluster,
            "taskDefinition": place.task_definition,
            "clientToken": token,
            "count": 1,
            "startedBy": token,
            "group": group,
            "capacityProviderStrategy": [{"capacityProvider": place.capacity_provider, "weight": 1}],
            "networkConfiguration": {"awsvpcConfiguration": network},
            "overrides": {"containerOverrides": [{"name": place.container, "command": list(command)}]},
            "propagateTags": "TASK_DEFINITION",
        }


def _client() -> Any:
    import boto3
    from botocore.config import Config

    retries: Any = {"total_max_attempts": 3, "mode": "standard"}
    config = Config(connect_timeout=CONNECT_TIMEOUT_S, read_timeout=READ_TIMEOUT_S, retries=retries)
    # Typed as Any: of all services, stubs for S3 alone are installed.
    make: Any = boto3.session.Session().client
    return make("ecs", config=config)
