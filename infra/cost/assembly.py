"""The resources of a synthesised application, read from its CloudFormation templates."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from propensity.errors import ProgramFailed, SettingsInvalid

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of one stack.

    Attributes
    ----------
    stack, name : str
        The stack's name, and the logical id in its template.
    kind : str
        CloudFormation type.
    properties : dict
        As in the template, references unresolved.
    """

    stack: str
    name: str
    kind: str
    properties: dict[str, Any] = field(default_factory=dict, repr=False)


def read_assembly(folder: Path) -> list[Resource]:
    """Every resource of every stack below a folder that CDK wrote. Raises SettingsInvalid where there are none."""
    try:
        found = [resource for template, stack in _templates(folder) for resource in read_template(_json(template), stack)]
    except (OSError, ValueError, KeyError) as exc:
        raise SettingsInvalid(f"{folder} holds no templates that can be read ({exc}): make them with make synth ENV=NAME") from exc
    if not found:
        raise SettingsInvalid(f"{folder} holds templates without resources")
    return found


def read_template(template: Mapping[str, Any], stack: str) -> list[Resource]:
    """The resources of one template."""
    return [Resource(stack, name, body["Type"], body.get("Properties") or {}) for name, body in template.get("Resources", {}).items()]


def synthesise(environment: str, profile: str | None, folder: Path) -> None:
    """Write the templates of an environment below a folder: no credentials, no network, no validation.

    Raises
    ------
    SettingsInvalid
        The application refused; its own sentence is passed on.
    ProgramFailed
        It broke.
    """
    declared: dict[str, Any] = json.loads((PROJECT / "cdk.json").read_text(encoding="utf-8")).get("context", {})
    zones = PROJECT / "cdk.context.json"
    known: dict[str, Any] = json.loads(zones.read_text(encoding="utf-8")) if zones.exists() else {}
    # Which version of an image runs does not change what it costs.
    asked = {"env": environment, "tag": "any"} | ({} if profile is None else {"profile": profile})
    told = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
    told |= {"CDK_OUTDIR": str(folder), "CDK_CONTEXT_JSON": json.dumps({**known, **declared, **asked}), "CDK_VALIDATION": "false"}
    done = subprocess.run([sys.executable, "-m", "infra.app"], cwd=PROJECT, env=told, capture_output=True, text=True, check=False)
    if done.returncode:
        refused = [line.removeprefix("infra: ") for line in done.stderr.splitlines() if line.startswith("infra: ")]
        if refused:
            raise SettingsInvalid(refused[-1])
        last = done.stderr.strip().splitlines()[-1:] or ["no word of why"]
        raise ProgramFailed(f"the templates of {environment} could not be made: {last[0]}")


def _templates(folder: Path) -> Iterator[tuple[Path, str]]:
    """Path and stack name of each template; a stage is an assembly within the assembly."""
    for artifact in _json(folder / "manifest.json").get("artifacts", {}).values():
        told = artifact.get("properties", {})
        if artifact["type"] == "aws:cloudformation:stack":
            yield folder / told["templateFile"], told.get("stackName") or artifact.get("displayName") or told["templateFile"]
        elif artifact["type"] == "cdk:cloud-assembly":
            yield from _templates(folder / told["directoryName"])


def _json(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read
