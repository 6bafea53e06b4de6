"""images/run.sh: what it asks of AWS, with a stand-in for its command line; the names that it looks for are in the templates."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.cost.assembly import read_assembly, synthesise

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = (PROJECT / "images" / "run.sh").read_text(encoding="utf-8")

AWS = """#!/usr/bin/env python3
import json, os, sys
given = sys.argv[1:]
open(os.environ["LOG"], "a").write(json.dumps(given) + "\\n")
if given[1] == "describe-stack-resources":
    name = given[-1].split("starts_with(LogicalResourceId,'")[1].split("'")[0]
    if name == os.environ.get("ABSENT"):
        sys.exit(254)
    print("subnet-1\\tsubnet-2" if "Subnet" in given[-1] else name.lower())
elif given[1] == "run-task":
    print("arn:aws:ecs:eu-central-1:111122223333:task/cluster/0123abcd")
elif given[1] == "describe-tasks":
    print("STOPPED" if "lastStatus" in given[-3] else os.environ.get("CODE", "0"))
elif given[1] == "get-log-events":
    print("databases, roles and tables are up to date")
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "aws"
    path.parent.mkdir()
    path.write_text(AWS, encoding="utf-8")
    path.chmod(0o755)
    return tmp_path


def run(machine: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    told = {"PATH": f"{machine / 'bin'}:{os.environ['PATH']}", "LOG": str(machine / "log"), "PAUSE_S": "0", **environ}
    return subprocess.run(["bash", "images/run.sh", *arguments], cwd=PROJECT, env=told, capture_output=True, text=True, check=False)


def started(machine: Path) -> dict[str, str]:
    """Options of the task that was started."""
    calls = [json.loads(line) for line in (machine / "log").read_text(encoding="utf-8").splitlines()]
    (words,) = (call for call in calls if call[1] == "run-task")
    return dict(zip(words[2::2], words[3::2], strict=True))


@pytest.mark.parametrize(
    ("task", "command"),
    [
        ("migration", ["python", "-m", "flows.keys", "add", '{"a":"it\'s \\"quoted\\""}']),
        ("flow", ["python", "-m", "flows.run", "retrain-x"]),
    ],
)
def test_a_command_runs_as_it_was_given(task: str, command: list[str], machine: Path) -> None:
    done = run(machine, "dev", task, *command[1:])
    assert done.returncode == 0, done.stderr
    assert done.stdout == "databases, roles and tables are up to date\n"
    options = started(machine)
    assert json.loads(options["--overrides"]) == {"containerOverrides": [{"name": task, "command": command}]}
    assert options["--network-configuration"].startswith("awsvpcConfiguration={subnets=[subnet-1,subnet-2],securityGroups=[firewalljobs]")


def test_the_exit_code_is_the_commands(machine: Path) -> None:
    assert run(machine, "dev", "migration", "-m", "flows.databases", CODE="3").returncode == 3
    never = run(machine, "dev", "migration", "-m", "flows.databases", CODE="None")
    assert never.returncode == 1
    assert "never ran" in never.stderr


@pytest.mark.parametrize(
    ("arguments", "environ", "word"),
    [
        ((), {}, "name the environment"),
        (("dev",), {}, "migration or flow"),
        (("dev", "scoring", "-m", "x"), {}, "migration or flow"),
        (("dev", "flow"), {}, "flows.keys list"),
        (("dev", "flow", "-m", "x"), {"ABSENT": "FlowTaskDefinition"}, "is it deployed"),
    ],
)
def test_bad_input_is_one_sentence_and_starts_nothing(
    arguments: tuple[str, ...], environ: dict[str, str], word: str, machine: Path
) -> None:
    done = run(machine, *arguments, **environ)
    assert done.returncode != 0
    assert word in done.stderr.splitlines()[-1]
    assert not (machine / "log").exists() or '"run-task"' not in (machine / "log").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_names_that_it_looks_for_are_in_the_templates(tmp_path: Path) -> None:
    synthesise("dev", None, tmp_path)
    resources = read_assembly(tmp_path)

    def count(stack: str, kind: str, beginning: str) -> int:
        return sum(r.stack == f"propensity-dev-{stack}" and r.kind == kind and r.name.startswith(beginning) for r in resources)

    for stack, kind, beginning in re.findall(r"\$\(found (\w+) (AWS::\S+) (\w+)\)", SCRIPT):
        assert count(stack, kind, beginning) == (2 if "Subnet" in kind else 1), beginning
    named: list[tuple[Any, ...]] = re.findall(r"(\w+)\) stack=(\w+) definition=(\w+) lines=(\w+)", SCRIPT)
    assert len(named) == 2
    for task, stack, definition, lines in named:
        assert count(stack, "AWS::ECS::TaskDefinition", definition) == 1
        assert count(stack, "AWS::Logs::LogGroup", lines) == 1
        (found,) = (r for r in resources if r.kind == "AWS::ECS::TaskDefinition" and r.name.startswith(definition))
        (container,) = (c for c in found.properties["ContainerDefinitions"] if c["Name"] == task)
        assert container["LogConfiguration"]["Options"]["awslogs-stream-prefix"] == task
        assert "EntryPoint" not in container
