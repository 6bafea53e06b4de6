"""The application, synthesised once per environment for the whole session. CDK runs on node: without it, these tests are skipped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import aws_cdk as cdk

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Synthesised:
    """The data lake of one environment: its template, and whether its stack is protected."""

    template: dict[str, Any]
    protected: bool | None

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        return {name: found for name, found in self.template["Resources"].items() if found["Type"] == kind}

    def named(self, beginning: str, kind: str) -> dict[str, Any]:
        (found,) = (r for name, r in self.of_type(kind).items() if name.startswith(beginning))
        return found


Synthesise = Callable[[str], Synthesised]


def context(environment: str) -> dict[str, Any]:
    """What the command line would pass on: the flags of cdk.json and the environment's name."""
    flags: dict[str, Any] = json.loads((PROJECT / "cdk.json").read_text(encoding="utf-8"))["context"]
    return {**flags, "env": environment}


@pytest.fixture(scope="session")
def node() -> None:
    if shutil.which("node") is None:
        pytest.skip("the program node is not installed, and CDK runs on it")


@pytest.fixture
def new_app(node: None, tmp_path: Path) -> Callable[[str], cdk.App]:
    """An application with nothing in it. CloudFormation's own validator is left to the slower test."""
    import aws_cdk as cdk

    return lambda name: cdk.App(context=context(name), outdir=str(tmp_path / "cdk"), builtin_cloud_formation_validation=False)


@pytest.fixture(scope="session")
def synthesise(node: None, tmp_path_factory: pytest.TempPathFactory) -> Synthesise:
    import aws_cdk as cdk
    from aws_cdk.assertions import Template

    from infra.app import build

    @cache
    def one(name: str) -> Synthesised:
        outdir = str(tmp_path_factory.mktemp("cdk"))
        stack = build(cdk.App(context=context(name), outdir=outdir, builtin_cloud_formation_validation=False)).data_lake
        return Synthesised(dict(Template.from_stack(stack).to_json()), stack.termination_protection)

    return one
