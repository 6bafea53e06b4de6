"""RDS with a real Postgres behind it: creating an instance makes its administrator there, and the secret with his password."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

_INSTANCE = "AWS::RDS::DBInstance"
_SECRET = "AWS::SecretsManager::Secret"  # noqa: S105 - the name of a resource type


def register(handlers: dict[str, dict[str, Any]], *, python: str, project: str) -> None:
    """Let instances of RDS have an administrator on the Postgres whose superuser's address is in ``REHEARSAL_POSTGRES_URL``."""
    known = handlers[_INSTANCE]
    create, update = known["create"], known["update"]

    def with_administrator(logical_id: str, props: dict[str, Any], stack_name: str) -> tuple[str, dict[str, Any]]:
        physical_id, attributes = create(logical_id, props, stack_name)
        user, password = props["MasterUsername"], props.get("MasterUserPassword", "")
        if str(props.get("ManageMasterUserPassword", "")).lower() == "true":
            arn, password = _managed_secret(handlers, logical_id, user, stack_name)
            attributes = {**attributes, "MasterUserSecret.SecretArn": arn}
        _make_administrator(python, project, user, password)
        return physical_id, attributes

    def keeping_secret(physical_id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str, logical_id: str) -> Any:
        same_id, attributes = update(physical_id, old, new, stack_name, logical_id)
        if str(new.get("ManageMasterUserPassword", "")).lower() == "true":
            arn, _ = _managed_secret(handlers, logical_id, new["MasterUsername"], stack_name)
            attributes = {**attributes, "MasterUserSecret.SecretArn": arn}
        return same_id, attributes

    handlers[_INSTANCE] = {**known, "create": with_administrator, "update": keeping_secret, "update_with_logical_id": True}


def _managed_secret(handlers: dict[str, dict[str, Any]], logical_id: str, user: str, stack_name: str) -> tuple[str, str]:
    """The secret that RDS keeps for itself, made when first asked for; its ARN and the password."""
    from ministack.services import secretsmanager

    name = f"rds!db-{stack_name}-{logical_id}"
    if _arn_of(name) is None:
        generated = {
            "SecretStringTemplate": json.dumps({"username": user}),
            "GenerateStringKey": "password",
            "PasswordLength": 40,
            "ExcludePunctuation": True,
        }
        handlers[_SECRET]["create"](f"{logical_id}Administrator", {"Name": name, "GenerateSecretString": generated}, stack_name)
    arn = _arn_of(name)
    if arn is None:
        raise RuntimeError(f"the secret {name} was not made")
    return arn, json.loads(secretsmanager.resolve_secret_string(arn))["password"]


def _arn_of(name: str) -> str | None:
    from ministack.services import secretsmanager

    return next((str(secret["ARN"]) for secret in list(secretsmanager._secrets.values()) if secret.get("Name") == name), None)


def _make_administrator(python: str, project: str, user: str, password: str) -> None:
    """With the project's own Python: the emulator's has no driver for Postgres. Raises RuntimeError."""
    if not os.environ.get("REHEARSAL_POSTGRES_URL"):
        return
    done = subprocess.run(
        [python, "-m", "rehearse.administrator"],
        cwd=project,
        env={**os.environ, "REHEARSAL_ADMIN": user, "REHEARSAL_ADMIN_PASSWORD": password},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the administrator could not be made: {done.stderr.strip()[-300:]}")
