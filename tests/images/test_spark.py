"""images/spark.sh: what it builds and uploads, with stand-ins for uv's network and the command line of AWS."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from propensity.adapters.spark_jobs import ARCHIVE, PYTHON, SCRIPT

PROJECT = Path(__file__).resolve().parents[2]
AWS = """#!/bin/bash
echo "aws $*" >>"$LOG"
case "$*" in
    *describe-stacks*) echo s3://lake/ ;;
    "s3 ls"*) [ -n "$THERE" ] ;;
esac
"""
# Puts one file where packages would be.
UV = """#!/bin/bash
echo "uv $*" >>"$LOG"
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/botocore/data/s3" "$2/botocore/data/ec2" "$2/numpy/tests" "$2/scipy" "$2/pandas" "$2/pyarrow"
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder like a checkout, with the programs that it calls."""
    for name in ("propensity", "flows", "requirements"):
        (tmp_path / name).symlink_to(PROJECT / name)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "spark.sh").write_bytes((PROJECT / "images" / "spark.sh").read_bytes())
    for path, text in (("bin/aws", AWS), ("bin/uv", UV), ("tree/bin/python3.11", "")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
        (tmp_path / path).chmod(0o755)
    (tmp_path / "tree" / "bin" / "python3").symlink_to("python3.11")
    return tmp_path


def spark(machine: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    told = {"PATH": f"{machine / 'bin'}:{os.environ['PATH']}", "LOG": str(machine / "log"), "THERE": "", "UV": str(machine / "bin" / "uv")}
    told |= {"PYTHON_TREE": str(machine / "tree")} | environ
    command = ["bash", str(machine / "images" / "spark.sh"), *arguments]
    return subprocess.run(command, env=told, capture_output=True, text=True, check=False)


def log(machine: Path) -> list[str]:
    return (machine / "log").read_text(encoding="utf-8").splitlines() if (machine / "log").exists() else []


def test_packages_code_and_script_are_uploaded_the_script_last(machine: Path) -> None:
    done = spark(machine, "dev", "abc")
    assert (done.returncode, done.stdout) == (0, "s3://lake/spark/abc\n"), done.stderr
    copied = [line.split()[-1] for line in log(machine) if line.startswith("aws s3 cp")]
    assert copied == [f"s3://lake/spark/abc/{ARCHIVE}", f"s3://lake/spark/abc/{SCRIPT}"]
    (install,) = (line for line in log(machine) if line.startswith("uv pip install"))
    assert "--require-hashes" in install
    assert "--python-platform aarch64-manylinux_2_28" in install
    with tarfile.open(machine / "build" / "spark" / ARCHIVE) as archive:
        names = {name.removeprefix("./") for name in archive.getnames()}
    site = "lib/python3.11/site-packages"
    assert {PYTHON.removeprefix("./environment/"), f"{site}/flows/spark_list.py", f"{site}/propensity/campaigns/term_deposit.py"} <= names
    assert f"{site}/botocore/data/s3" in names
    assert not [name for name in names if "__pycache__" in name or name in (f"{site}/botocore/data/ec2", f"{site}/numpy/tests")]
    assert (machine / "build" / "spark" / SCRIPT).read_bytes() == (PROJECT / "flows" / "spark_list.py").read_bytes()


def test_what_is_there_is_not_built_again(machine: Path) -> None:
    done = spark(machine, "dev", "abc", THERE="1")
    assert (done.returncode, done.stdout) == (0, "s3://lake/spark/abc\n")
    assert not [line for line in log(machine) if line.startswith(("uv", "aws s3 cp"))]


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        ((), {}, "name the environment"),
        (("dev",), {}, "name the tag"),
        (("dev", "a/b"), {}, "is no tag"),
        (("dev", "abc"), {"ARCHITECTURE": "mips"}, "aarch64 or x86_64"),
        (("dev", "abc"), {"UV": "/nowhere/uv"}, "make setup"),
        (("dev", "abc"), {"PYTHON_TREE": "/nowhere"}, "is no Python 3.11"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(machine: Path, arguments: tuple[str, ...], environ: dict[str, str], said: str) -> None:
    done = spark(machine, *arguments, **environ)
    assert done.returncode != 0
    assert said in done.stderr
    assert not [line for line in log(machine) if "s3 cp" in line]
