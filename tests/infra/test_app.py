"""The application as the command line starts it: a process with a context, no credentials, every validation on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]


def run(outdir: Path, **told: str) -> subprocess.CompletedProcess[str]:
    declared: dict[str, Any] = json.loads((PROJECT / "cdk.json").read_text(encoding="utf-8"))
    settings = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "CDK_"))}
    settings |= {"CDK_OUTDIR": str(outdir), "CDK_CONTEXT_JSON": json.dumps({**declared["context"], **told})}
    return subprocess.run([sys.executable, "-m", "infra.app"], cwd=PROJECT, env=settings, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("name", ["dev", "prod"])
def test_synthesis_passes_every_validation(name: str, tmp_path: Path) -> None:
    done = run(tmp_path, env=name, tag="0123456789ab")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "validation-report.json").read_text(encoding="utf-8"))
    # Only checks with something to say are listed; that the policy checks are among them is shown in constructs/test_data_lake.py.
    assert [violation for plugin in report["pluginReports"] for violation in plugin["violations"]] == []


@pytest.mark.slow
@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("told", [{"env": "production", "tag": "0123456789ab"}, {"env": "dev"}])
def test_what_cannot_be_deployed_ends_with_code_3_and_leaves_nothing(tmp_path: Path, told: dict[str, str]) -> None:
    done = run(tmp_path, **told)
    assert done.returncode == 3
    assert done.stdout == ""
    assert [line for line in done.stderr.splitlines() if line.startswith("infra: ")]
    assert list(tmp_path.iterdir()) == []
