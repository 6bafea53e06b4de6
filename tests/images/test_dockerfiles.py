"""What every image promises: a base that cannot change, no root, locked packages alone, its own process hears SIGTERM, a health check."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
IMAGES = ("api", "flows", "grafana", "mlflow")
BASE = re.compile(r"(?:[a-z]+/)?[a-z]+:[0-9][\w.-]*@sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Instruction:
    stage: int
    name: str
    value: str


def instructions(image: str) -> list[Instruction]:
    """Instructions with their continued lines, and the number of the stage that each belongs to."""
    text = (PROJECT / "images" / image / "Dockerfile").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ").splitlines()
    found, stage = [], -1
    for line in filter(None, map(str.strip, lines)):
        name, _, value = line.partition(" ")
        stage += name == "FROM"
        found.append(Instruction(stage, name, value.strip()))
    return found


def last(image: str, name: str) -> str:
    """The only such instruction of the last stage: what the container runs with."""
    found = instructions(image)
    (value,) = (one.value for one in found if one.name == name and one.stage == found[-1].stage)
    return value


def test_there_is_an_image_for_each_that_is_deployed() -> None:
    assert sorted(path.parent.name for path in (PROJECT / "images").glob("*/Dockerfile")) == list(IMAGES)


@pytest.mark.parametrize("image", IMAGES)
def test_the_base_cannot_change_and_can_be_replaced(image: str) -> None:
    found = instructions(image)
    assert found[0].name == "ARG"
    assert BASE.fullmatch(found[0].value.removeprefix("BASE="))
    assert {one.value.partition(" ")[0] for one in found if one.name == "FROM"} == {"${BASE}"}


@pytest.mark.parametrize("image", IMAGES)
def test_nobody_is_root_and_nothing_is_built_in_the_last_stage(image: str) -> None:
    user, group = last(image, "USER").split(":")
    assert int(user) > 0
    assert group.isdigit()
    found = instructions(image)
    assert not [one for one in found if one.stage == found[-1].stage and one.name in ("RUN", "ADD")]


@pytest.mark.parametrize("image", [image for image in IMAGES if image != "grafana"])
def test_packages_are_those_of_its_own_locked_set(image: str) -> None:
    installs = [part for one in instructions(image) if one.name == "RUN" for part in one.value.split("&&") if "pip install" in part]
    assert installs
    assert all("--require-hashes" in part for part in installs)
    copied = {name for one in instructions(image) if one.name == "COPY" for name in re.findall(r"requirements/(\w+)\.txt", one.value)}
    # The scoring service is a function, too, where nothing runs all the time.
    assert copied == {"bootstrap", image} | ({"lambda"} if image == "api" else set())
    assert all((PROJECT / "requirements" / f"{name}.txt").is_file() for name in copied), "make lock"


@pytest.mark.parametrize("image", IMAGES)
def test_what_is_copied_exists(image: str) -> None:
    for one in instructions(image):
        if one.name == "COPY" and "--from=" not in one.value:
            *sources, _ = [word for word in one.value.split() if not word.startswith("--")]
            for source in sources:
                assert (PROJECT / source).exists(), source


@pytest.mark.parametrize("image", [image for image in IMAGES if image != "grafana"])
def test_its_program_is_process_1_and_hears_sigterm(image: str) -> None:
    command = json.loads(last(image, "CMD"))  # the exec form: no shell that keeps signals to itself
    assert command[0] in ("python", "mlflow")
    assert last(image, "STOPSIGNAL") == "SIGTERM"
    assert not [one for one in instructions(image) if one.name == "ENTRYPOINT"]
    if command[:2] == ["python", "-m"]:
        assert (PROJECT / command[2] / "__main__.py").is_file()


@pytest.mark.parametrize("image", IMAGES)
def test_there_is_a_health_check_that_needs_no_other_service(image: str) -> None:
    check = last(image, "HEALTHCHECK")
    words = json.loads(check[check.index("[") :])
    assert "readyz" not in check
    if words[:3] == ["python", "-S", "-c"]:
        compile(words[3], "health check", "exec")


@pytest.mark.parametrize("image", IMAGES)
def test_nothing_in_an_image_is_a_secret(image: str) -> None:
    set_here = " ".join(one.value for one in instructions(image) if one.name in ("ENV", "ARG"))
    assert not re.search(r"PASSWORD|SECRET|TOKEN|AUTH_STRING", set_here)


def test_only_what_images_are_made_of_is_sent_to_the_builder() -> None:
    lines = [line for line in (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        word
        for image in IMAGES
        for one in instructions(image)
        if one.name == "COPY" and "--from=" not in one.value
        for word in [word for word in one.value.split() if not word.startswith("--")][:-1]
    }
    assert {next((a for a in allowed if name == a or name.startswith(a + "/")), None) for name in copied} == allowed


def test_the_service_keeps_the_descriptions_of_every_aws_service_that_it_calls() -> None:
    """The image drops those of all others; a client of one of them could not be made."""
    text = (PROJECT / "images" / "api" / "Dockerfile").read_text(encoding="utf-8")
    kept = set(re.findall(r"! -name (\w+)", text.partition("botocore/data")[2].partition("-exec")[0]))
    code = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]; print(*sys.modules)"
    entries = [
        "api.app",
        "api.compose",
        "lambda.container",
        "lambda.front_door.handler",
        "lambda.lists.handler",
        "propensity.adapters.alert_topics",
    ]
    done = subprocess.run([sys.executable, "-c", code, *entries], cwd=PROJECT, capture_output=True, text=True, check=True)
    loaded = [PROJECT / (name.replace(".", "/") + ".py") for name in done.stdout.split() if name.startswith("propensity.")]
    called = {name for path in loaded if path.is_file() for name in re.findall(r'client\("(\w+)"', path.read_text(encoding="utf-8"))}
    assert "s3" in called
    assert called <= kept


def test_hadolint_has_nothing_to_say() -> None:
    program = Path(sys.executable).with_name("hadolint")
    files = [f"images/{image}/Dockerfile" for image in IMAGES]
    done = subprocess.run([program, "--no-color", *files], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
