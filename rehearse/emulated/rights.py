"""Who may do what: the emulator evaluates every policy, of roles and of resources, and what it refuses is told in its log."""

from __future__ import annotations

import json
import logging
from typing import Any

from rehearse.emulated import spark_runs

logger = logging.getLogger("rehearsal")
# The emulator is reached by plain HTTP, on this machine alone; every bucket, queue and topic of the platform asks for TLS.
_BY_TLS = {"aws:securetransport": "true", "s3:tlsversion": "1.3"}


def register() -> None:
    """Count every request as sent by TLS, judge tasks as AWS does, and tell what is refused."""
    from ministack.core import iam_actions, iam_evaluator

    enforce, resolve = iam_evaluator.enforce, iam_evaluator._resolve_condition_key

    def told(access_key_id: str, iam_action: str, service: str, *args: Any, **kwargs: Any) -> Any:
        refused = enforce(access_key_id, iam_action, service, *args, **kwargs)
        if refused is not None:
            who = getattr(refused, "principal_arn", None) or refused
            logger.warning("refused: %s on %s by %s", iam_action, kwargs.get("resource_arn", "*"), who)
        return refused

    def by_tls(key: str, context: Any) -> Any:
        return _BY_TLS.get(key.lower()) or resolve(key, context)

    def of_tasks(service: str, method: str, path: str, headers: dict[str, str], body: bytes, *args: Any) -> str:
        found = _of_ecs(headers, body) if service == "ecs" else spark_runs.resource_of(path) if service == spark_runs.SERVICE else None
        return found or str(named(service, method, path, headers, body, *args))

    named = iam_actions.extract_resource_arn
    iam_actions.extract_resource_arn = of_tasks
    iam_evaluator.enforce = told
    iam_evaluator._resolve_condition_key = by_tls


def _of_ecs(headers: dict[str, str], body: bytes) -> str | None:
    """What AWS looks at where the emulator looks at the cluster: the task definition of a start, the task itself of what follows."""
    action = headers.get("x-amz-target", "").rpartition(".")[2]
    asked = json.loads(body or b"{}")
    of = {"RunTask": asked.get("taskDefinition"), "StopTask": asked.get("task"), "DescribeTasks": (asked.get("tasks") or [None])[0]}
    found = of.get(action)
    return found if isinstance(found, str) and found.startswith("arn:") else None
