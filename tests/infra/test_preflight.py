"""What would stop a deployment is told in one sentence each, and nothing is created."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.preflight import main
from infra.preflight_asked import IMAGES, image_versions
from propensity.adapters.aws_account import Identity
from propensity.errors import SettingsInvalid

PROJECT = Path(__file__).resolve().parents[2]


@dataclass
class FakeAccount:
    """An account in which everything is there, unless a test takes it away."""

    refused: str = ""
    bootstrap: int | None = 25
    repositories: dict[str, str] = field(
        default_factory=lambda: {f"Repository{name.capitalize()}": f"repository/{name}" for name in IMAGES}
    )
    images: set[tuple[str, str]] = field(default_factory=lambda: {(f"repository/{name}", "abc123") for name in IMAGES})
    denied: str = ""

    def identity(self) -> Identity:
        if self.refused:
            raise SettingsInvalid(self.refused)
        return Identity("111122223333", "arn:aws:sts::111122223333:assumed-role/deployer/me")

    def bootstrap_version(self) -> int | None:
        if self.denied:
            raise SettingsInvalid(self.denied)
        return self.bootstrap

    def outputs(self, stack: str) -> dict[str, str]:
        assert stack == "propensity-dev-Registry"
        return self.repositories

    def has_image(self, repository: str, version: str) -> bool:
        return (repository, version) in self.images


@dataclass
class FakeMachine:
    programs: tuple[str, ...] = ("npx", "docker")
    running: tuple[str, ...] = ("docker",)
    configured: str | None = "eu-central-1"

    def has(self, program: str) -> bool:
        return program in self.programs

    def answers(self, program: str) -> bool:
        return program in self.running

    def region(self) -> str | None:
        return self.configured


Check = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """Run the command against a fake account and machine: exit code, sentences, standard output."""

    def run(
        *arguments: str, account: FakeAccount | None = None, machine: FakeMachine | None = None, environ: dict[str, str] | None = None
    ) -> tuple[int, list[str], str]:
        there: Any = machine or FakeMachine()
        code = main(arguments, account=lambda _: account or FakeAccount(), machine=there, environ=environ or {})
        shown = capsys.readouterr()
        assert all(line.startswith("preflight: ") for line in shown.err.splitlines())
        return code, [line.removeprefix("preflight: ") for line in shown.err.splitlines()], shown.out

    return run


def test_nothing_stands_in_the_way(check: Check) -> None:
    code, sentences, out = check("dev", "--tag", "abc123")
    assert (code, sentences) == (0, [])
    assert "111122223333" in out
    assert "eu-central-1" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("production", "--tag", "abc123"), ("production", "dev, staging, prod")),
        (("--tag", "abc123"), ("dev, staging, prod",)),
        (("dev",), ("tag",)),
        (("dev", "--tag", "spaces are none"), ("spaces are none",)),
        (("dev", "--tag", "abc123", "--images", "web=1"), ("web", "api, flows, mlflow, grafana")),
        (("dev", "--tag", "abc123", "--profile", "cheap"), ("cheap", "near-zero")),
    ],
    ids=["unknown environment", "no environment", "no tag", "not a tag", "unknown image", "unknown profile"],
)
def test_what_is_asked_for_is_checked_before_aws_is_asked(arguments: tuple[str, ...], words: tuple[str, ...], check: Check) -> None:
    code, sentences, out = check(*arguments, account=FakeAccount(refused="AWS was asked"))
    assert code == 3
    assert len(sentences) == 1
    assert all(word in sentences[0] for word in words)
    assert out == ""


@pytest.mark.parametrize(
    ("account", "machine", "words"),
    [
        (FakeAccount(refused="the AWS session has expired: sign in"), FakeMachine(), ("expired", "sign in")),
        (FakeAccount(), FakeMachine(configured=None), ("AWS_REGION=eu-central-1",)),
        (FakeAccount(), FakeMachine(configured="us-east-1"), ("us-east-1", "AWS_REGION=eu-central-1")),
        (FakeAccount(), FakeMachine(programs=("docker",)), ("npx", "Node.js")),
        (FakeAccount(bootstrap=None), FakeMachine(), ("bootstrap aws://111122223333/eu-central-1",)),
        (FakeAccount(bootstrap=5), FakeMachine(), ("too old", "bootstrap aws://111122223333/eu-central-1")),
        (FakeAccount(denied="whoever is signed in may not call GetParameter"), FakeMachine(), ("may not call GetParameter",)),
        (FakeAccount(images=set()), FakeMachine(), ("api (abc123)", "make images ENV=dev")),
        (FakeAccount(images=set()), FakeMachine(programs=("npx",)), ("grafana (abc123)", "install Docker or podman")),
        (FakeAccount(images=set()), FakeMachine(running=()), ("docker does not answer",)),
    ],
    ids=[
        "expired session",
        "no region",
        "another region",
        "no Node.js",
        "not bootstrapped",
        "bootstrap too old",
        "refused",
        "images missing",
        "no Docker",
        "Docker without its daemon",
    ],
)
def test_each_thing_that_is_missing_is_one_sentence(
    account: FakeAccount, machine: FakeMachine, words: tuple[str, ...], check: Check
) -> None:
    code, sentences, out = check("dev", "--tag", "abc123", account=account, machine=machine)
    assert code == 3
    assert len(sentences) == 1, sentences
    assert all(word in sentences[0] for word in words), sentences
    assert out == ""


def test_images_that_are_there_need_no_docker(check: Check) -> None:
    code, sentences, _ = check("dev", "--tag", "abc123", machine=FakeMachine(programs=("npx",), running=()))
    assert (code, sentences) == (0, [])


def test_one_image_of_another_version_is_looked_up_by_that_version(check: Check) -> None:
    digest = "sha256:" + "0" * 64
    code, sentences, _ = check("dev", "--tag", "abc123", "--images", f"api={digest}")
    assert code == 3
    assert digest in sentences[0]
    assert "flows" not in sentences[0].partition(":")[2].partition(": build")[0]
    account = FakeAccount()
    account.images.add(("repository/api", digest))
    assert check("dev", "--tag", "abc123", "--images", f"api={digest}", account=account)[0] == 0


def test_before_the_first_deployment_the_repositories_are_asked_for_and_nothing_else(check: Check) -> None:
    account = FakeAccount(repositories={}, images=set())
    code, sentences, _ = check("dev", "--tag", "abc123", account=account)
    assert code == 3
    assert "propensity-dev/Registry" in sentences[0]
    assert check("dev", "--without-images", account=account)[0] == 0


def test_another_container_program_can_be_named(check: Check) -> None:
    _, sentences, _ = check("dev", "--tag", "x", account=FakeAccount(), environ={"CDK_DOCKER": "finch"})
    assert "finch does not answer" in sentences[0]


def test_everything_that_is_missing_is_told_at_once(check: Check) -> None:
    account, machine = FakeAccount(bootstrap=None, images=set()), FakeMachine(programs=(), configured=None)
    code, sentences, _ = check("dev", "--tag", "abc123", account=account, machine=machine)
    assert code == 3
    assert len(sentences) == 4


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("images", ["", "api=sha256:" + "0" * 64, "flows=v2,api=v3", "web=1", "api=", "api=no space"])
@pytest.mark.parametrize("tag", ["abc123", "", ".dot", "x" * 129])
def test_what_is_asked_for_is_read_as_the_application_reads_it(tag: str, images: str) -> None:
    from infra.constructs.registry import image_tags

    def read(reader: Callable[[Any, Any], Mapping[Any, str]]) -> Mapping[Any, str] | None:
        try:
            return reader(tag, images)
        except SettingsInvalid:
            return None

    assert read(image_versions) == read(image_tags)


def test_it_can_be_asked_without_node() -> None:
    """The program that says that Node.js is missing must not need it."""
    code = "import sys; sys.modules['aws_cdk'] = None; sys.modules['jsii'] = None; import infra.preflight, infra.cost.__main__"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
