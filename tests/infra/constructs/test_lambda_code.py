"""What a Lambda function is made of: this project's code, one layer, and nothing of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.constructs import lambda_code
from propensity.errors import SettingsInvalid

if TYPE_CHECKING:
    import aws_cdk as cdk

FUNCTIONS = sorted(handler.parent.name for handler in (lambda_code.PROJECT / "lambda").glob("*/handler.py"))
HEAVY = ("pandas", "pydantic", "numpy", "boto3")


def test_there_are_five_functions() -> None:
    assert FUNCTIONS == ["alert", "front_door", "list_uploaded", "lists", "run_migration"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_handler_needs_the_layer_and_the_project_alone(name: str) -> None:
    # Without this machine's packages (-S), as on Lambda but for boto3, which no import may need: it would slow every cold start.
    look = f"import importlib, sys; importlib.import_module('lambda.{name}.handler'); importlib.import_module('lambda.edge').logger('x')"
    told = f"{look}; print([m for m in {HEAVY!r} if m in sys.modules])"
    path = os.pathsep.join((str(lambda_code.layer_folder() / "python"), str(lambda_code.PROJECT)))
    variables = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-S", "-c", told], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_the_layer_holds_plain_python_and_says_nothing_about_this_machine() -> None:
    files = [file for file in lambda_code.layer_folder().rglob("*") if file.is_file()]
    assert not [file for file in files if file.suffix in (".so", ".pyd", ".pyc")]
    assert not [file for file in files if file.name in ("RECORD", "direct_url.json", "INSTALLER")]


def test_processes_that_make_the_layer_at_once_all_find_it_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lambda_code, "PROJECT", tmp_path)
    make = lambda_code.layer_folder.__wrapped__
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: make(), range(8)))
    (folder,) = found
    wanted = sum(1 for package in lambda_code.LAYER_PACKAGES for _ in lambda_code._files(package))
    assert sum(path.is_file() for path in folder.rglob("*")) == wanted
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsInvalid, match="no-such-package"):
        list(lambda_code._files("no-such-package"))
    # NumPy is machine code, and that of this machine would not run elsewhere.
    with pytest.raises(SettingsInvalid, match="machine code"):
        list(lambda_code._files("numpy"))


def test_the_code_is_two_folders(new_app: Callable[[str], cdk.App], tmp_path: Path) -> None:
    import aws_cdk as cdk
    from aws_cdk import aws_lambda as lambda_

    stack = cdk.Stack(new_app("dev"), "Stack")
    told: dict[str, Any] = {"handler": "x", "runtime": lambda_code.RUNTIME, "code": lambda_code.code()}
    lambda_.Function(stack, "Function", **told)
    cdk.assertions.Template.from_stack(stack)
    (asset,) = (folder for folder in (tmp_path / "cdk").glob("asset.*") if folder.is_dir())
    assert {found.name for found in asset.iterdir()} == {"propensity", "lambda"}
    assert not list(asset.rglob("*.pyc"))
