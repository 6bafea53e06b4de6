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


# Of nothing that exists: templates only name it.
TAG = "0123456789ab"


@dataclass(frozen=True)
class Synthesised:
    """One stack: its template, and whether it is protected."""

    template: dict[str, Any]
    protected: bool | None

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.template.get("Resources", {})
        return found

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        return {name: found for name, found in self.resources.items() if found["Type"] == kind}

    def named(self, beginning: str, kind: str) -> dict[str, Any]:
        (found,) = (r for name, r in self.of_type(kind).items() if name.startswith(beginning))
        return found


@dataclass(frozen=True)
class Platform:
    """Every stack of an environment by its name in the stage, as ``Network``, and which are deployed before it."""

    stacks: dict[str, Synthesised]
    depends: dict[str, set[str]]

    def __getitem__(self, name: str) -> Synthesised:
        return self.stacks[name]

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Resources of all stacks by stack and logical id, as ``Network/FirewallJobs1234``."""
        return {f"{at}/{name}": r for at, stack in self.stacks.items() for name, r in stack.of_type(kind).items()}

    def properties(self, kind: str) -> dict[str, dict[str, Any]]:
        return {name: found["Properties"] for name, found in self.of_type(kind).items()}


Synthesise = Callable[..., Platform]


def context(environment: str | None, **more: str) -> dict[str, Any]:
    """What the command line would pass on: the flags of cdk.json, the environment's name, the images' tag."""
    flags: dict[str, Any] = json.loads((PROJECT / "cdk.json").read_text(encoding="utf-8"))["context"]
    return {**flags, "tag": TAG, **more} | ({} if environment is None else {"env": environment})


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
    """The platform of an environment (and a profile), synthesised once."""
    import aws_cdk as cdk

    from infra.app import build

    @cache
    def one(name: str, profile: str = "always-on", *, domain: str = "", certificate: str = "") -> Platform:
        outdir = tmp_path_factory.mktemp("cdk")
        told = context(name, profile=profile, github="owner/name", domain=domain, certificate=certificate)
        app = cdk.App(context=told, outdir=str(outdir), builtin_cloud_formation_validation=False)
        build(app)
        app.synth()
        return _read(outdir)

    return one


@pytest.fixture(params=["dev", "staging", "prod"])
def name(request: pytest.FixtureRequest) -> str:
    """Each environment."""
    return str(request.param)


def _read(outdir: Path) -> Platform:
    (manifest,) = outdir.glob("assembly-*/manifest.json")
    artifacts: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))["artifacts"]
    found = {key: told for key, told in artifacts.items() if told["type"] == "aws:cloudformation:stack"}
    names = {key: told["displayName"].rpartition("/")[2].partition(" ")[0] for key, told in found.items()}
    stacks = {}
    for key, told in found.items():
        template = json.loads((manifest.parent / told["properties"]["templateFile"]).read_text(encoding="utf-8"))
        stacks[names[key]] = Synthesised(template, told["properties"].get("terminationProtection"))
    before = {names[key]: {names[other] for other in told["dependencies"] if other in names} for key, told in found.items()}
    return Platform(stacks, before)
