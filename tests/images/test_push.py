"""images/push.sh: what it builds, pushes and prints, with stand-ins for Docker and the command line of AWS."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
IMAGES = ("api", "flows", "mlflow", "grafana")
HOST = "111122223333.dkr.ecr.eu-central-1.amazonaws.com"

DOCKER = """#!/bin/bash
echo "docker $*" >>"$LOG"
[ "$1" = login ] && cat >/dev/null
[ "$1" = push ] && echo "${2%%:*}" >>"$PUSHED"
exit 0
"""
AWS = """#!/bin/bash
echo "aws $*" >>"$LOG"
case "$*" in
    *get-login-password*) echo token ;;
    *describe-stacks*) [ -n "$STACK" ] && printf '%s' "$STACK" || exit 254 ;;
    *describe-images*) grep -q "/$4\\$" "$PUSHED" 2>/dev/null && echo "sha256:$(printf '%s' "$4" | sha256sum | cut -c 1-64)" || exit 254 ;;
esac
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    for name, text in (("docker", DOCKER), ("aws", AWS)):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
    (tmp_path / "pushed").touch()
    return tmp_path


def push(machine: Path, *arguments: str, stack: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    told = {
        "PATH": f"{machine / 'bin'}:{os.environ['PATH']}",
        "LOG": str(machine / "log"),
        "PUSHED": str(machine / "pushed"),
        "STACK": stack,
    }
    return subprocess.run(
        ["bash", "images/push.sh", *arguments], cwd=PROJECT, env=told | environ, capture_output=True, text=True, check=False
    )


def log(machine: Path, beginning: str) -> list[str]:
    lines = (machine / "log").read_text(encoding="utf-8").splitlines() if (machine / "log").exists() else []
    return [line for line in lines if line.startswith(beginning)]


OUTPUTS = "\n".join(f"Repository{image.capitalize()}={HOST}/team/{image}" for image in IMAGES)
GIVEN = ",".join(f"{image}={HOST}/team/{image}" for image in IMAGES)


@pytest.mark.parametrize("how", ["stack", "given"])
def test_every_image_is_built_pushed_and_named_by_its_digest(how: str, machine: Path) -> None:
    done = push(machine, "dev", "abc", stack=OUTPUTS) if how == "stack" else push(machine, "dev", "abc", REPOSITORIES=GIVEN)
    assert done.returncode == 0, done.stderr
    printed = dict(part.split("=") for part in done.stdout.strip().split(","))
    assert tuple(printed) == IMAGES
    assert len(set(printed.values())) == len(IMAGES)
    assert all(digest.startswith("sha256:") and len(digest) == 71 for digest in printed.values())
    assert [line.split("--tag ")[1].split()[0] for line in log(machine, "docker build")] == [f"{HOST}/team/{i}:abc" for i in IMAGES]
    assert all("--platform linux/arm64" in line for line in log(machine, "docker build"))
    assert len(log(machine, "docker push")) == len(IMAGES)
    assert bool(log(machine, "aws cloudformation")) == (how == "stack")


def test_what_is_there_is_not_built_again(machine: Path) -> None:
    first = push(machine, "dev", "abc", REPOSITORIES=GIVEN)
    (machine / "log").unlink()
    again = push(machine, "dev", "abc", REPOSITORIES=GIVEN)
    assert again.stdout == first.stdout
    assert log(machine, "docker build") == []
    assert log(machine, "docker push") == []


@pytest.mark.parametrize(
    ("arguments", "environ", "word"),
    [
        (("dev",), {}, "name the tag"),
        ((), {}, "name the environment"),
        (("dev", "a b"), {"REPOSITORIES": GIVEN}, "is no tag"),
        (("dev", "abc"), {}, "STACKS=Registry"),
        (("dev", "abc"), {"REPOSITORIES": GIVEN.replace("grafana=", "else=")}, "grafana"),
        (("dev", "abc"), {"REPOSITORIES": GIVEN, "CDK_DOCKER": "no-such-program"}, "no-such-program is not installed"),
    ],
    ids=["no tag", "no environment", "not a tag", "no registry", "a repository is missing", "no Docker"],
)
def test_bad_input_is_one_sentence(arguments: tuple[str, ...], environ: dict[str, str], word: str, machine: Path) -> None:
    done = push(machine, *arguments, **environ)
    assert done.returncode != 0
    assert word in done.stderr.splitlines()[-1]
    assert done.stdout == ""
