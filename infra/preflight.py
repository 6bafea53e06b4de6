"""``python -m infra.preflight dev --tag TAG``: what would stop a deployment, one sentence each, before anything is created."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from infra.config import Environment
from infra.preflight_asked import chosen, image_versions
from infra.profiles import PROFILES
from propensity.adapters.aws_account import AwsAccount, Identity
from propensity.errors import PropensityError, SettingsInvalid

# Below it the CDK of this project's version cannot deploy.
LEAST_BOOTSTRAP = 6
_ANSWER_S = 20.0


class Account(Protocol):
    """What is asked of AWS; `AwsAccount` is the real one."""

    def identity(self) -> Identity: ...
    def bootstrap_version(self) -> int | None: ...
    def outputs(self, stack: str) -> dict[str, str]: ...
    def has_image(self, repository: str, version: str) -> bool: ...


class Machine:
    """This machine: its programs and the region that AWS's own programs would take."""

    def has(self, program: str) -> bool:
        return shutil.which(program) is not None

    def answers(self, program: str) -> bool:
        """Whether a container program can work; without its daemon Docker cannot."""
        try:
            done = subprocess.run([program, "info"], capture_output=True, check=False, timeout=_ANSWER_S)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0

    def region(self) -> str | None:
        return AwsAccount.configured_region()


def problems(
    environment: Environment, tags: Mapping[str, str], account: Account, machine: Machine, environ: Mapping[str, str]
) -> Iterator[str]:
    """Each thing that would stop the deployment; what depends on a thing that is missing is not asked for."""
    if not machine.has("npx"):
        yield "npx is not installed, and the CDK command line runs on it: install Node.js 22 or newer"
    region = environment.network.region
    try:
        configured = machine.region()
        who = account.identity()
    except SettingsInvalid as exc:
        yield str(exc)
        return
    if configured is None:
        yield f"no AWS region is set: export AWS_REGION={region}, where {environment.name} lies"
    elif configured != region:
        yield f"the AWS region is set to {configured}, but {environment.name} lies in {region}: export AWS_REGION={region}"
    yield from _refusals(lambda: _bootstrap(account, who, region))
    yield from _refusals(lambda: _images(environment, tags, account, machine, environ))


def _bootstrap(account: Account, who: Identity, region: str) -> Iterator[str]:
    version = account.bootstrap_version()
    command = f"npx aws-cdk bootstrap aws://{who.account}/{region}"
    if version is None:
        yield f"CDK has not been set up in account {who.account}, region {region}: run {command}, once"
    elif version < LEAST_BOOTSTRAP:
        yield f"CDK's own stack in account {who.account}, region {region}, is too old ({version}, {LEAST_BOOTSTRAP} needed): run {command}"


def _images(
    environment: Environment, tags: Mapping[str, str], account: Account, machine: Machine, environ: Mapping[str, str]
) -> Iterator[str]:
    """Images that are not in the registry must be built and pushed first, and that takes a container program."""
    repositories = account.outputs(f"propensity-{environment.name}-Registry")
    missing = [
        f"{image} ({version})"
        for image, version in tags.items()
        if not ((repository := repositories.get(f"Repository{image.capitalize()}")) and account.has_image(repository, version))
    ]
    if not missing:
        return
    if not repositories:
        yield f"the image repositories of {environment.name} are not there yet: deploy propensity-{environment.name}/Registry first"
    what = f"these images are not in the registry: {', '.join(missing)}"
    program = environ.get("CDK_DOCKER") or next((name for name in ("docker", "podman") if machine.has(name)), None)
    if program is None:
        yield f"{what}, and nothing is installed to build them with: install Docker or podman, or let the pipeline build and push them"
    elif not machine.answers(program):
        yield f"{what}, and {program} does not answer: start it, or set CDK_DOCKER to one that runs, or let the pipeline build them"
    else:
        yield f"{what}: build and push them with make images ENV={environment.name}, or name a version that is there"


def _refusals(asked: Callable[[], Iterator[str]]) -> Iterator[str]:
    """The sentences of one check; where AWS refuses to answer it, that is the sentence."""
    try:
        yield from asked()
    except SettingsInvalid as exc:
        yield str(exc)


def main(
    arguments: Sequence[str] | None = None,
    *,
    account: Callable[[str], Account] = AwsAccount,
    machine: Machine | None = None,
    environ: Mapping[str, str] = os.environ,
) -> int:
    """Check, tell; return the exit code: 0 where nothing stands in the way."""
    given = _parser().parse_args(arguments)
    try:
        environment = chosen(given.env, given.profile)
        tags = {} if given.without_images else image_versions(given.tag, given.images)
    except PropensityError as exc:
        print(f"preflight: {exc}", file=sys.stderr)
        return exc.exit_code
    asked = account(environment.network.region)
    found = list(dict.fromkeys(problems(environment, tags, asked, machine or Machine(), environ)))
    for sentence in found:
        print(f"preflight: {sentence}", file=sys.stderr)
    if found:
        return SettingsInvalid.exit_code
    who = asked.identity()
    print(f"preflight: {environment.name} can be deployed to account {who.account} in {environment.network.region}, as {who.arn}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.preflight", description="What would stop a deployment, before it begins.")
    parser.add_argument("env", nargs="?", help="dev, staging or prod")
    parser.add_argument("--profile", help=f"one of {', '.join(PROFILES)}")
    parser.add_argument("--tag", help="of every image: mostly the commit that they were built from")
    parser.add_argument("--without-images", action="store_true", help="for the deployment of the image repositories themselves")
    parser.add_argument("--images", help="others for some of them, as api=sha256:...,flows=sha256:...")
    return parser


if __name__ == "__main__":
    sys.exit(main())
