"""Environment variables as values: each function names its own and reads them here."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from propensity.errors import SettingsInvalid

CAPACITIES = ("FARGATE", "FARGATE_SPOT")

TLS_PORT = 443


def required(variables: Mapping[str, str], *names: str) -> None:
    """Raises SettingsInvalid, naming the first that is missing or empty."""
    for name in names:
        if not variables.get(name):
            raise SettingsInvalid(f"the environment variable {name} is missing")


def address(variables: Mapping[str, str], name: str, example: str) -> tuple[str, int]:
    """Host and port of an HTTP address without a path. Port 443 means TLS, and nothing else does. Raises SettingsInvalid."""
    wrong = f"{name} must be an address without a path, as in {example}"
    try:
        parts = urlsplit(variables[name])
        port = parts.port or (TLS_PORT if parts.scheme == "https" else 80)
    except ValueError as exc:
        raise SettingsInvalid(wrong) from exc
    if (
        parts.scheme not in ("http", "https")
        or (parts.scheme == "https") != (port == TLS_PORT)
        or not parts.hostname
        or parts.path.strip("/")
        or parts.query
        or parts.username is not None
    ):
        raise SettingsInvalid(wrong)
    return parts.hostname, port


def seconds(variables: Mapping[str, str], name: str, below: float) -> float:
    """A number of seconds above 0 and under ``below``. Raises SettingsInvalid."""
    wrong = f"{name} must be a number of seconds above 0 and below {below:g}"
    try:
        value = float(variables[name])
    except ValueError as exc:
        raise SettingsInvalid(wrong) from exc
    if not 0 < value < below:
        raise SettingsInvalid(wrong)
    return value


def whole_number(variables: Mapping[str, str], name: str, at_least: int, at_most: int) -> int:
    """A whole number within both bounds. Raises SettingsInvalid."""
    text = variables[name]
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and at_least <= int(text) <= at_most):
        raise SettingsInvalid(f"{name} must be a whole number from {at_least} to {at_most}")
    return int(text)


def bucket_and_prefix(variables: Mapping[str, str], name: str) -> tuple[str, str]:
    """Of ``s3://bucket/prefix``; the prefix without slashes at its ends, and mostly empty. Raises SettingsInvalid."""
    parts = urlsplit(variables[name])
    if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc or ":" in parts.netloc or parts.query:
        raise SettingsInvalid(f"{name} must be s3://bucket or s3://bucket/prefix")
    return parts.netloc, parts.path.strip("/")


def comma_separated(variables: Mapping[str, str], name: str, begin: str) -> tuple[str, ...]:
    """At least one identifier, each beginning with ``begin``. Raises SettingsInvalid."""
    found = tuple(part.strip() for part in variables[name].split(","))
    if not all(part.startswith(begin) for part in found):
        raise SettingsInvalid(f"{name} must be identifiers that begin with {begin}, separated by commas")
    return found


def capacity(variables: Mapping[str, str], name: str) -> str:
    """A capacity provider of Fargate. Raises SettingsInvalid."""
    if variables[name] not in CAPACITIES:
        raise SettingsInvalid(f"{name} must be one of {', '.join(CAPACITIES)}")
    return variables[name]


def arn(variables: Mapping[str, str], name: str, service: str) -> str:
    """The ARN of something of an AWS service. Raises SettingsInvalid."""
    parts = variables[name].split(":")
    if len(parts) < 6 or parts[0] != "arn" or parts[2] != service:
        raise SettingsInvalid(f"{name} must be the ARN of a resource of {service}")
    return variables[name]


def s3_endpoint(variables: Mapping[str, str], name: str) -> str | None:
    """Another S3 than that of AWS, from this variable or from those that the SDK itself knows; None for AWS."""
    return next((variables[known] for known in (name, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") if variables.get(known)), None)
